"""Both SQLite caches under the contract of all caches: sync is one, async the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoint_sqlite.tests.cache_harness import SqliteCacheHarness
from conformance_tests import CacheConformance


class TestSqliteCache(CacheConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteCacheHarness:
        return SqliteCacheHarness(tmp_path / "cache.db")
