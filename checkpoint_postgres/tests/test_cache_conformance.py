"""Both Postgres caches under the contract of all caches: sync is one, async the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import pytest

from checkpoint_postgres import AsyncPostgresCache, PostgresCache
from checkpoint_postgres.tests.harness import POOL, OnServer
from conformance_tests import CacheConformance, CacheHarness, MovableClock

SCHEMA = "caches"


class PostgresCacheHarness(OnServer, CacheHarness):
    """A schema; sync and async caches open it side by side."""

    name = "postgres"

    def __init__(self, url: str) -> None:
        self.url, self.clock, self.pool = url, MovableClock(), POOL

    def _arguments(self, **options: Any) -> dict[str, Any]:
        more = {"schema": SCHEMA, "clock": self.clock, "pool": self.pool}
        return {"conn_string": self.url, **more, **options}

    @contextmanager
    def open(self, **options: Any) -> Iterator[PostgresCache]:
        with PostgresCache.from_conn_string(**self._arguments(**options)) as cache:
            cache.setup()
            yield cache

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncPostgresCache]:
        opened = AsyncPostgresCache.from_conn_string(**self._arguments(**options))
        async with opened as cache:
            await cache.setup()
            yield cache

    def through(self, host: str, port: int) -> PostgresCacheHarness:
        far = PostgresCacheHarness(self.url_at(host, port))
        far.clock, far.pool = self.clock, {**POOL, "timeout": 0.4}
        return far

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                f"UPDATE {SCHEMA}.cache_entries SET data = set_byte(data, size / 2, "
                "get_byte(data, size / 2) # 1)".encode()
            )

    def version(self) -> str:
        with psycopg.connect(self.url) as connection:
            return f"Postgres {connection.info.parameter_status('server_version')}"

    def location(self) -> str:
        return self.url

    @classmethod
    def reopen(cls, location: str) -> PostgresCacheHarness:
        return cls(location)

    def close(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())


class TestPostgresCache(CacheConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, database_url: str) -> Iterator[PostgresCacheHarness]:
        one = PostgresCacheHarness(database_url)
        yield one
        one.close()
