"""How the conformance suite opens the Redis caches."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from checkpoint_redis import AsyncRedisCache, RedisCache
from checkpoint_redis.saver.schema import name_of
from checkpoint_redis.tests.harness import OnServer, url_at
from checkpoint_sqlite.tests.cache_harness import damaged
from conformance_tests import CacheHarness, MovableClock


class RedisCacheHarness(OnServer, CacheHarness):
    """The keys below a prefix; sync and async caches open them side by side."""

    name = "redis (one server)"

    def __init__(self, url: str, prefix: str | None = None) -> None:
        self.url = url
        self.prefix = prefix or f"cache-{secrets.token_hex(6)}"
        self.clock = MovableClock()
        (self.client,) = self.nodes

    def _arguments(self, **options: Any) -> dict[str, Any]:
        return {"prefix": self.prefix, "clock": self.clock, **options}

    @contextmanager
    def open(self, **options: Any) -> Iterator[RedisCache]:
        with RedisCache.from_conn_string(self.url, **self._arguments(**options)) as cache:
            cache.setup()
            yield cache

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncRedisCache]:
        arguments = self._arguments(**options)
        async with AsyncRedisCache.from_conn_string(self.url, **arguments) as cache:
            await cache.setup()
            yield cache

    def through(self, host: str, port: int) -> RedisCacheHarness:
        far = type(self)(url_at(host, port), self.prefix)
        far.clock = self.clock
        return far

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self) -> None:
        key = f"{{{self.prefix}}}:entries"
        for field, data in self.client.hgetall(key).items():
            if field != b"bytes":
                self.client.hset(key, field, damaged(data))

    def version(self) -> str:
        return name_of(self.client.execute_command("INFO", "server"))

    def location(self) -> str:
        return f"{self.url} {self.prefix}"

    @classmethod
    def reopen(cls, location: str) -> RedisCacheHarness:
        return cls(*location.split())

    def close(self) -> None:
        for key in self.client.scan_iter(match=f"{{{self.prefix}}}:*", count=1000):
            self.client.unlink(key)
        self.client.close()
