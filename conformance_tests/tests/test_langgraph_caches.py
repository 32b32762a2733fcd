"""LangGraph's own caches under the profile `langgraph`, or it asks too much; their gaps by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.cache.sqlite import SqliteCache

from conformance_tests import CacheConformance, CacheHarness, Place
from conformance_tests.contract.gaps import Gaps


class InMemoryCacheHarness(CacheHarness):
    name = "langgraph (InMemoryCache)"
    place = Place.MEMORY

    def __init__(self) -> None:
        self.cache: InMemoryCache[Any] = InMemoryCache()

    @contextmanager
    def open(self) -> Iterator[InMemoryCache[Any]]:
        yield self.cache


class SqliteCacheHarness(CacheHarness):
    name = "langgraph (SqliteCache)"
    place = Place.FILES
    gaps: ClassVar[Gaps] = dict.fromkeys(
        (
            "cache.namespaces.are_kept_apart",
            "cache.namespaces.no_separator_joins_two",
            "cache.namespaces.clear_exactly_those",
            "cache.namespaces.clear_the_empty_one",
            "cache.namespaces.clear_none_of_them",
            "cache.namespaces.are_no_patterns",
        ),
        "labels are joined by a comma: () and ('',) are one",
    )

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cache.db"

    @contextmanager
    def open(self) -> Iterator[SqliteCache[Any]]:
        cache: SqliteCache[Any] = SqliteCache(path=str(self.path))
        yield cache
        cache._conn.close()


class TestInMemoryCache(CacheConformance):
    @pytest.fixture
    def harness(self) -> InMemoryCacheHarness:
        return InMemoryCacheHarness()


class TestSqliteCache(CacheConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteCacheHarness:
        return SqliteCacheHarness(tmp_path)
