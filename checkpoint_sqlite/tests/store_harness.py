"""How the conformance suite opens the SQLite stores, and looks into their file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from checkpoint_sqlite import AsyncSqliteStore, SqliteStore
from checkpoint_sqlite.tests.harness import full
from conformance_tests import MovableClock, Place, StoreHarness


class SqliteStoreHarness(StoreHarness):
    """A database file; sync and async stores open it side by side."""

    name = "sqlite (file)"
    place = Place.FILES

    def __init__(self, path: Path, cache_bytes: int | None = None) -> None:
        self.path = path
        self.opens: str | Path = path
        self.clock = MovableClock()
        self._cache = {} if cache_bytes is None else {"cache_bytes": cache_bytes}

    def _arguments(self, **options: Any) -> dict[str, Any]:
        # No clause cuts the power, and waiting for the disk at each commit is most of the time.
        return {"clock": self.clock, "synchronous": "normal", **self._cache, **options}

    @contextmanager
    def reading_only(self) -> Iterator[SqliteStoreHarness]:
        restricted = SqliteStoreHarness(self.path)
        restricted.opens, restricted.clock = f"file:{self.path}?mode=ro", self.clock
        yield restricted

    @contextmanager
    def open(self, **options: Any) -> Iterator[SqliteStore]:
        with SqliteStore.from_conn_string(self.opens, **self._arguments(**options)) as store:
            store.setup()
            yield store

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncSqliteStore]:
        arguments = self._arguments(**options)
        async with AsyncSqliteStore.from_conn_string(self.opens, **arguments) as store:
            await store.setup()
            yield store

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def disk_full(self) -> AbstractContextManager[None]:
        return full(self.path)

    def rows(self) -> Mapping[str, int]:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return {"items": 0, "vectors": 0}
            items, vectors = connection.execute(
                "SELECT (SELECT count(*) FROM store_items), "
                "(SELECT coalesce(sum(count), 0) FROM store_embeddings)"
            ).fetchone()
            return {"items": items, "vectors": vectors}

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def location(self) -> str:
        return str(self.path)

    @classmethod
    def reopen(cls, location: str) -> StoreHarness:
        return cls(Path(location))

    def close(self) -> None:
        """The file is in pytest's temporary folder, which pytest removes."""
