"""How the conformance suite opens the Redis stores, and looks into their database."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from checkpoint_redis import AsyncRedisStore, RedisStore
from checkpoint_redis.saver.schema import name_of
from checkpoint_redis.tests.harness import OnServer, url_at
from conformance_tests import MovableClock, StoreHarness


class RedisStoreHarness(OnServer, StoreHarness):
    """The keys below a prefix; sync and async stores open them side by side."""

    name = "redis (exact)"
    options: Mapping[str, Any] = {}
    engine: Mapping[str, Any] = {"engine": "exact"}

    def __init__(self, url: str, prefix: str) -> None:
        self.url = url
        self.prefix = prefix
        self.clock = MovableClock()
        (self.client,) = self.nodes

    def _arguments(self, **options: Any) -> dict[str, Any]:
        return {"prefix": self.prefix, "clock": self.clock, **self.options, **options}

    @contextmanager
    def open(self, **options: Any) -> Iterator[RedisStore]:
        with RedisStore.from_conn_string(self.url, **self._arguments(**options)) as store:
            store.setup()
            yield store

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncRedisStore]:
        arguments = self._arguments(**options)
        async with AsyncRedisStore.from_conn_string(self.url, **arguments) as store:
            await store.setup()
            yield store

    def as_user(self, url: str) -> RedisStoreHarness:
        restricted = type(self)(url, self.prefix)
        restricted.client, restricted.clock = self.client, self.clock
        return restricted

    def through(self, host: str, port: int) -> RedisStoreHarness:
        return type(self)(url_at(host, port), self.prefix)

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def rows(self) -> Mapping[str, int]:
        items = self.client.hlen(f"{{{self.prefix}}}:items")
        vectors = self.client.hvals(f"{{{self.prefix}}}:vectors")
        return {"items": items, "vectors": sum(struct.unpack_from("<I", one)[0] for one in vectors)}

    def version(self) -> str:
        return name_of(self.client.execute_command("INFO", "server"))

    def location(self) -> str:
        return f"{self.url} {self.prefix}"

    @classmethod
    def reopen(cls, location: str) -> StoreHarness:
        return cls(*location.split())

    def close(self) -> None:
        for key in self.client.scan_iter(match=f"{{{self.prefix}}}:*", count=1000):
            self.client.unlink(key)


class WithoutCache(RedisStoreHarness):
    """Vectors that are more than the cache may hold are read at each search."""

    name = "redis (exact, no cache)"
    options: Mapping[str, Any] = {"cache_bytes": 0}


class VectorSetHarness(RedisStoreHarness):
    """Redis 8 has vector sets."""

    name = "redis (vector set)"
    engine: Mapping[str, Any] = {}


class QueryEngineHarness(RedisStoreHarness):
    """Redis with the Query Engine."""

    name = "redis-query (HNSW)"
    engine: Mapping[str, Any] = {}

    def version(self) -> str:
        search = {each[b"name"]: each[b"ver"] for each in self.client.module_list()}[b"search"]
        return f"{super().version()} search {search}"

    def close(self) -> None:
        name = f"{{{self.prefix}}}:graph"
        if name.encode() in self.client.execute_command("FT._LIST"):
            self.client.execute_command("FT.DROPINDEX", name, "DD")
        super().close()
