"""Both SQLite stores under the contract of all stores: sync is one, async the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoint_sqlite.tests.store_harness import SqliteStoreHarness
from conformance_tests import StoreConformance
from conformance_tests.stores.graphs import StoreGraphConformance
from conformance_tests.stores.search.embedding import EmbeddingClauses
from conformance_tests.stores.search.meaning import MeaningClauses
from conformance_tests.stores.search.sentences import SentenceClauses


class TestSqliteStore(StoreConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteStoreHarness:
        return SqliteStoreHarness(tmp_path / "memories.db")


class TestSqliteSentences(SentenceClauses):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteStoreHarness:
        return SqliteStoreHarness(tmp_path / "memories.db")


class TestSqliteStoreGraphs(StoreGraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteStoreHarness:
        return SqliteStoreHarness(tmp_path / "memories.db")


class TestSqliteStoreWithoutCache(MeaningClauses, EmbeddingClauses):
    """Vectors that are more than the cache may hold are read at each search."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteStoreHarness:
        return SqliteStoreHarness(tmp_path / "memories.db", cache_bytes=0)
