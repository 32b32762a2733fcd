"""The cache in memory under the contract of all caches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from checkpoint_base import MemoryCache
from checkpoint_sqlite.tests.cache_harness import damaged
from conformance_tests import CacheConformance, CacheHarness, MovableClock, Place


class MemoryCacheHarness(CacheHarness):
    """The entries of one cache, whichever is opened."""

    name = "memory"
    place = Place.MEMORY

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.entries: dict[str, Any] = {}

    @contextmanager
    def open(self, **options: Any) -> Iterator[MemoryCache]:
        cache: MemoryCache = MemoryCache(clock=self.clock, **options)
        cache._memory.entries = self.entries
        yield cache
        cache._end()

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self) -> None:
        for digest, entry in self.entries.items():
            self.entries[digest] = entry._replace(data=damaged(entry.data))


class TestMemoryCache(CacheConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self) -> MemoryCacheHarness:
        return MemoryCacheHarness()
