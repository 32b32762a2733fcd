"""Temporary files of tests are kept in memory, because commits of databases wait for a disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.servers import process


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands in for the in-memory file system; monkeypatch restores the settings."""
    monkeypatch.setattr(tempfile, "tempdir", "chosen before")
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(process, "IN_MEMORY", tmp_path)
    monkeypatch.setattr(process, "ROOM", 1)
    return tmp_path


def test_they_are_in_memory(room: Path) -> None:
    process.keep_temporary_files_in_memory()
    assert os.environ["TMPDIR"] == str(room)
    assert tempfile.gettempdir() == str(room)


def test_a_folder_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "mine")
    process.keep_temporary_files_in_memory()
    assert os.environ["TMPDIR"] == "mine"


@pytest.mark.parametrize("lacking", ["the folder", "room"])
def test_the_disk_is_taken_where_there_is_no(
    lacking: str, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacking == "room":
        monkeypatch.setattr(process, "ROOM", 1 << 62)
    else:
        monkeypatch.setattr(process, "IN_MEMORY", room / "not there")
    process.keep_temporary_files_in_memory()
    assert "TMPDIR" not in os.environ
    assert tempfile.tempdir == "chosen before"
