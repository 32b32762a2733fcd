"""`SqliteCache` and `AsyncSqliteCache`, and the planner with their statements."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import Unpack

from checkpoint_base.cache.entries import CacheEntry
from checkpoint_base.cache.options import CacheOptions, CacheSettings
from checkpoint_base.cache.shell import AsyncCache, SyncCache
from checkpoint_base.cache.statements import StatementCachePlanner
from checkpoint_base.plan import Plan, write
from checkpoint_base.sql.migrations import load_migrations, load_queries
from checkpoint_base.sql.requests import execute, execute_many
from checkpoint_base.sql.setup import StoreSchema
from checkpoint_sqlite.connection.errors import opening, path_of
from checkpoint_sqlite.connection.sync_driver import SyncSqliteDriver
from checkpoint_sqlite.saver.saver import aiosqlite_module, is_file, synchronous_level

if TYPE_CHECKING:
    import aiosqlite
    from typing_extensions import Self

QUERIES: Final = load_queries("checkpoint_sqlite", "cache_queries.sql")
MIGRATIONS: Final = load_migrations("checkpoint_sqlite", "cache_migrations")


class SqliteCachePlanner(StatementCachePlanner):
    """Plans of a cache on SQLite.

    Args:
        clock: gives epoch seconds, which are stored with each migration.
    """

    database = "this SQLite database"
    backend = "sqlite"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(StoreSchema(QUERIES, clock), MIGRATIONS)

    def _change(self, name: str, values: Sequence[Any] = ()) -> Plan[int]:
        return (yield from write(partial(execute, self._queries[name], values)))

    def put(self, entries: Sequence[CacheEntry], now: float) -> Plan[None]:
        """Store entries: one transaction."""
        values = [
            (digest, data, len(data), expires_at, now) for digest, data, expires_at in entries
        ]
        yield from write(partial(execute_many, self._queries["put"], values))


class SqliteCache(SyncCache):
    """A cache in a SQLite file; its async methods run in a worker thread.

    Args:
        conn: an open connection, made with `check_same_thread=False`, since graphs use it from
            several threads. The caller closes it.
        reader: a second connection to the same file; reads on it do not wait for a commit.
        synchronous: SQLite's `PRAGMA synchronous`; None: leave the connection's setting.
        options: `CacheOptions`. If others use the connection, the smallest `call_timeout` holds
            for all.

    The schema is created on first use, or by `setup()`. A saver and a store may share the file.

    Raises:
        InvalidArgumentError: `conn`, `max_bytes` or `serde` is invalid.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        reader: sqlite3.Connection | None = None,
        synchronous: str | None = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        settings = CacheSettings.of(options)
        planner = SqliteCachePlanner(settings.clock)
        driver = SyncSqliteDriver(
            conn, planner.setup, reader, synchronous_level(synchronous), settings.call_timeout
        )
        super().__init__(planner, driver, settings)
        self.conn = conn

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str | PathLike[str],
        *,
        busy_timeout: float = 5.0,
        synchronous: str = "normal",
        **options: Unpack[CacheOptions],
    ) -> Iterator[Self]:
        """Open a cache on a file, or on `":memory:"`; the file is closed with the `with` block.

        Args:
            conn_string: the file's path.
            busy_timeout: seconds to wait for other processes that write; at most `call_timeout`.
            synchronous: `"normal"` may lose the last writes when the machine loses power, but not
                when the process dies; `"full"` loses nothing.
            options: `CacheOptions`.

        Raises:
            InvalidArgumentError: `conn_string`, `synchronous`, `max_bytes` or `serde` is invalid.
            BackendUnavailableError: the file cannot be opened.
        """
        path = path_of(conn_string)
        connect = partial(sqlite3.connect, path, timeout=busy_timeout, check_same_thread=False)
        with ExitStack() as stack:
            with opening(path):
                connection = stack.enter_context(closing(connect()))
            reader = stack.enter_context(closing(connect())) if is_file(path) else None
            cache = cls(connection, reader=reader, synchronous=synchronous, **options)
            stack.callback(cache._end)
            yield cache


class AsyncSqliteCache(AsyncCache):
    """A cache in a SQLite file, for an event loop. Its sync methods work from other threads.
    Otherwise as `SqliteCache`.

    Args:
        conn: a connection of aiosqlite, opened or not. The caller closes it.
        reader: as in `SqliteCache`.
        synchronous: as in `SqliteCache`.
        options: `CacheOptions`. Others that use the connection keep their own `call_timeout`.

    The schema is created on first use, or by `await cache.setup()`.

    Raises:
        InvalidArgumentError: `conn`, `max_bytes` or `serde` is invalid.
        MissingDriverError: aiosqlite is not installed.
    """

    def __init__(
        self,
        conn: aiosqlite.Connection,
        *,
        reader: aiosqlite.Connection | None = None,
        synchronous: str | None = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        aiosqlite_module("AsyncSqliteCache")
        from checkpoint_sqlite.connection.async_driver import AsyncSqliteDriver

        settings = CacheSettings.of(options)
        planner = SqliteCachePlanner(settings.clock)
        driver = AsyncSqliteDriver(
            conn, planner.setup, reader, synchronous_level(synchronous), settings.call_timeout
        )
        super().__init__(planner, driver, settings)
        self.conn = conn

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str | PathLike[str],
        *,
        busy_timeout: float = 5.0,
        synchronous: str = "normal",
        **options: Unpack[CacheOptions],
    ) -> AsyncIterator[Self]:
        """`SqliteCache.from_conn_string`, for an event loop."""
        path = path_of(conn_string)
        module = aiosqlite_module("AsyncSqliteCache")
        from checkpoint_sqlite.connection.async_driver import connected

        connect = partial(module.connect, path, timeout=busy_timeout)
        async with AsyncExitStack() as stack:
            with opening(path):
                connection = await connected(connect())
            stack.push_async_callback(connection.close)
            reader = await stack.enter_async_context(connect()) if is_file(path) else None
            cache = cls(connection, reader=reader, synchronous=synchronous, **options)
            stack.push_async_callback(cache._aend)
            yield cache
