"""Both MongoDB caches under the contract of all caches: sync is one, async the other."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import pytest

from checkpoint_mongo import AsyncMongoDBCache, MongoDBCache
from checkpoint_mongo.tests.harness import OnServer
from checkpoint_sqlite.tests.cache_harness import damaged
from conformance_tests import CacheConformance, CacheHarness, MovableClock


class MongoCacheHarness(OnServer, CacheHarness):
    """A database; sync and async caches open it side by side."""

    name = "mongo"

    def __init__(self, url: str, db_name: str | None = None) -> None:
        self.url = url
        self.db_name = db_name or f"saver_{secrets.token_hex(6)}"
        self.clock = MovableClock()

    def _arguments(self, **options: Any) -> dict[str, Any]:
        return {"db_name": self.db_name, "clock": self.clock, **options}

    @contextmanager
    def open(self, **options: Any) -> Iterator[MongoDBCache]:
        with MongoDBCache.from_conn_string(self.url, **self._arguments(**options)) as cache:
            cache.setup()
            yield cache

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncMongoDBCache]:
        opened = AsyncMongoDBCache.from_conn_string(self.url, **self._arguments(**options))
        async with opened as cache:
            await cache.setup()
            yield cache

    def through(self, host: str, port: int) -> MongoCacheHarness:
        far = type(self)(self.url_at(host, port), self.db_name)
        far.clock = self.clock
        return far

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self) -> None:
        entries = self.client[self.db_name]["cache_entries"]
        for one in list(entries.find()):
            entries.update_one({"_id": one["_id"]}, {"$set": {"data": damaged(one["data"])}})


class TestMongoDBCache(CacheConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, mongo_server: str) -> Iterator[MongoCacheHarness]:
        with closing(MongoCacheHarness(mongo_server)) as harness:
            yield harness


def test_a_value_that_fits_into_no_document_is_left_out(mongo_server: str) -> None:
    with closing(MongoCacheHarness(mongo_server)) as harness, harness.open() as cache:
        large, small = (("n",), "large"), (("n",), "small")
        cache.set({large: ("before", None)})
        cache.set({large: ("x" * 17_000_000, None), small: ("stored", None)})
        assert cache.get([large, small]) == {small: "stored"}
