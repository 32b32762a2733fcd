"""`SqliteStore` and `AsyncSqliteStore`: their arguments, and how they are opened and closed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from checkpoint_sqlite.connection.errors import opening, path_of
from checkpoint_sqlite.connection.sync_driver import SyncSqliteDriver
from checkpoint_sqlite.saver.saver import aiosqlite_module, is_file, synchronous_level
from checkpoint_sqlite.store.planner import CACHE_BYTES, SqliteStorePlanner
from store_vector.options import StoreOptions, StoreSettings
from store_vector.shell import AsyncStore, SyncStore

if TYPE_CHECKING:
    import aiosqlite
    from typing_extensions import Self


class SqliteStore(SyncStore):
    """Long-term memory in a SQLite file; its async methods run in a worker thread.

    Vector search is exact. The vectors of the file are kept in memory as one matrix, which is
    updated after other processes have written. If it would exceed `cache_bytes`, each search reads
    the vectors from the file.

    Args:
        conn: an open connection, made with `check_same_thread=False`, since graphs use it from
            several threads. The caller closes it. If the caller has a transaction open on it,
            writes become part of that transaction, and the caller commits or rolls back.
        reader: a second connection to the same file; reads on it do not wait for a commit.
        synchronous: SQLite's `PRAGMA synchronous`; None: leave the connection's setting.
        cache_bytes: limit of the vectors in memory, 4 bytes for each dimension of each vector.
            Not counted: spare room for half as many while they grow, and a few hundred bytes for
            each item that has vectors.
        options: `StoreOptions`. If others use the connection, the smallest `call_timeout` holds
            for all.

    The schema is created on first use, or by `setup()`. A saver may share the file.

    Raises:
        InvalidArgumentError: `conn`, `index`, `ttl` or another argument is invalid.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        reader: sqlite3.Connection | None = None,
        synchronous: str | None = None,
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> None:
        settings = StoreSettings.of(options)
        planner = sqlite_store_planner(settings, cache_bytes)
        driver = SyncSqliteDriver(
            conn, planner.setup, reader, synchronous_level(synchronous), settings.call_timeout
        )
        super().__init__(planner, driver, settings)
        self.conn = conn
        self._sqlite = driver

    @property
    def is_setup(self) -> bool:
        """Whether this store has created or checked the schema; its first call does."""
        return self._sqlite.is_set_up

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str | PathLike[str],
        *,
        busy_timeout: float = 30.0,
        synchronous: str = "full",
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> Iterator[Self]:
        """Open a store on a file, or on `":memory:"`; the file is closed with the `with` block.

        Args:
            conn_string: the file's path.
            busy_timeout: seconds to wait for other processes that write; at most `call_timeout`.
            synchronous: `"full"` loses nothing that was put, even when the machine loses power;
                `"normal"` may then lose the last writes, but not when the process dies.
            cache_bytes: as in the constructor.
            options: `StoreOptions`.

        Raises:
            InvalidArgumentError: `conn_string`, `index` or another argument is invalid.
            BackendUnavailableError: the file cannot be opened.
        """
        path = path_of(conn_string)
        connect = partial(sqlite3.connect, path, timeout=busy_timeout, check_same_thread=False)
        with ExitStack() as stack:
            with opening(path):
                connection = stack.enter_context(closing(connect()))
            reader = stack.enter_context(closing(connect())) if is_file(path) else None
            store = cls(
                connection,
                reader=reader,
                synchronous=synchronous,
                cache_bytes=cache_bytes,
                **options,
            )
            stack.callback(store._end)
            yield store


class AsyncSqliteStore(AsyncStore):
    """Long-term memory in a SQLite file, for an event loop. Operations of one tick of the loop are
    one batch. Its sync methods work from other threads. Otherwise as `SqliteStore`.

    Args:
        conn: a connection of aiosqlite, opened or not. The caller closes it.
        reader: as in `SqliteStore`.
        synchronous: as in `SqliteStore`.
        cache_bytes: as in `SqliteStore`.
        options: `StoreOptions`. Others that use the connection keep their own `call_timeout`.

    The schema is created on first use, or by `await store.setup()`.

    Raises:
        InvalidArgumentError: `conn`, `index`, `ttl` or another argument is invalid.
        MissingDriverError: aiosqlite is not installed.
    """

    def __init__(
        self,
        conn: aiosqlite.Connection,
        *,
        reader: aiosqlite.Connection | None = None,
        synchronous: str | None = None,
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> None:
        aiosqlite_module("AsyncSqliteStore")
        from checkpoint_sqlite.connection.async_driver import AsyncSqliteDriver

        settings = StoreSettings.of(options)
        planner = sqlite_store_planner(settings, cache_bytes)
        driver = AsyncSqliteDriver(
            conn, planner.setup, reader, synchronous_level(synchronous), settings.call_timeout
        )
        super().__init__(planner, driver, settings)
        self.conn = conn
        self._sqlite = driver

    @property
    def is_setup(self) -> bool:
        """Whether this store has created or checked the schema; its first call does."""
        return self._sqlite.is_set_up

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str | PathLike[str],
        *,
        busy_timeout: float = 30.0,
        synchronous: str = "full",
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> AsyncIterator[Self]:
        """`SqliteStore.from_conn_string`, for an event loop."""
        path = path_of(conn_string)
        module = aiosqlite_module("AsyncSqliteStore")
        from checkpoint_sqlite.connection.async_driver import connected

        connect = partial(module.connect, path, timeout=busy_timeout)
        async with AsyncExitStack() as stack:
            with opening(path):
                connection = await connected(connect())
            stack.push_async_callback(connection.close)
            reader = await stack.enter_async_context(connect()) if is_file(path) else None
            store = cls(
                connection,
                reader=reader,
                synchronous=synchronous,
                cache_bytes=cache_bytes,
                **options,
            )
            stack.push_async_callback(store._aend)
            yield store


def sqlite_store_planner(settings: StoreSettings, cache_bytes: int) -> SqliteStorePlanner:
    """The planner of a store with these settings."""
    return SqliteStorePlanner(
        settings.index, settings.ttl, settings.clock, cache_bytes, settings.filter_fields
    )
