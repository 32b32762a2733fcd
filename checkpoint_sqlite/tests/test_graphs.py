"""Compiled graphs on both SQLite savers, with their sync and their async methods."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoint_sqlite.tests.harness import SqliteHarness
from conformance_tests.savers.graph_conformance import GraphConformance


class TestSqliteGraphs(GraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path / "checkpoints.db")
