"""Retention policies go in steps, between which others read and write."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoint_base.tests.retaining import BetweenSteps
from checkpoint_sqlite.tests.harness import SqliteHarness


class TestBetweenSteps(BetweenSteps):
    """On this backend."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path / "retention.db")
