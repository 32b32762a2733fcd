"""Both SQLite savers under the contract of all savers: sync is one, async the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoint_sqlite.tests.harness import SqliteHarness
from conformance_tests import SaverConformance


class TestSqliteSaver(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path / "checkpoints.db")
