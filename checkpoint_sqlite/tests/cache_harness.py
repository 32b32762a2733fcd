"""How the conformance suite opens the SQLite caches."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from checkpoint_sqlite import AsyncSqliteCache, SqliteCache
from conformance_tests import CacheHarness, MovableClock, Place


class SqliteCacheHarness(CacheHarness):
    """A database file; sync and async caches open it side by side."""

    name = "sqlite (file)"
    place = Place.FILES

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = MovableClock()

    @contextmanager
    def open(self, **options: Any) -> Iterator[SqliteCache]:
        with SqliteCache.from_conn_string(self.path, clock=self.clock, **options) as cache:
            yield cache

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncSqliteCache]:
        opened = AsyncSqliteCache.from_conn_string(self.path, clock=self.clock, **options)
        async with opened as cache:
            yield cache

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def damage(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            for digest, data in connection.execute("SELECT id, data FROM cache_entries").fetchall():
                changed = damaged(data)
                connection.execute(
                    "UPDATE cache_entries SET data = ? WHERE id = ?", (changed, digest)
                )

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def location(self) -> str:
        return str(self.path)

    @classmethod
    def reopen(cls, location: str) -> SqliteCacheHarness:
        return cls(Path(location))


def damaged(data: bytes) -> bytes:
    """Other bytes: one in the middle is another."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
