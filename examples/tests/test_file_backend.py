"""The conformance suite on the file backend, and a check that the tutorial shows its real code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance_tests import GraphConformance, SaverConformance
from examples.file_backend.harness import FileHarness

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "howto" / "write-a-backend.md"
SHOWN = re.compile(
    r"^`(examples/file_backend/\w+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


class TestFileSaver(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, tmp_path: Path) -> FileHarness:
        return FileHarness(tmp_path / "threads")


class TestFileGraphs(GraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, tmp_path: Path) -> FileHarness:
        return FileHarness(tmp_path / "threads")


def test_the_tutorial_shows_the_files_as_they_are() -> None:
    shown = dict(SHOWN.findall(TUTORIAL.read_text(encoding="utf-8")))
    files = (ROOT / "examples" / "file_backend").glob("*.py")
    there = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}
    assert shown == there
