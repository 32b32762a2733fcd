"""`SqliteSaver` and `AsyncSqliteSaver`: their arguments, and how they are opened and closed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import Unpack

from checkpoint_base.errors import InvalidArgumentError, MissingDriverError
from checkpoint_base.saver.mixins import FullAsyncSaver, FullSyncSaver
from checkpoint_base.saver.options import SaverOptions, SaverSettings
from checkpoint_sqlite.connection.errors import opening, path_of
from checkpoint_sqlite.connection.sync_driver import SyncSqliteDriver
from checkpoint_sqlite.saver.planner import SqlitePlanner

if TYPE_CHECKING:
    import aiosqlite
    from typing_extensions import Self

SYNCHRONOUS: Final = ("off", "normal", "full", "extra")


class SqliteSaver(FullSyncSaver):
    """Checkpoints in a SQLite file, for threads; its async methods run in a worker thread.

    Args:
        conn: an open connection, made with `check_same_thread=False`, since graphs write from
            several threads. The caller closes it. If the caller has a transaction open on it,
            writes become part of that transaction, and the caller commits or rolls back.
        reader: a second connection to the same file; reads on it do not wait for a commit.
        synchronous: SQLite's `PRAGMA synchronous`; None: leave the connection's setting.
        options: `SaverOptions`. If others use the connection, the smallest `call_timeout` holds
            for all.

    The schema is created on first use, or by `setup()`.

    Raises:
        InvalidArgumentError: `conn`, `ttl` or another argument is invalid.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        reader: sqlite3.Connection | None = None,
        synchronous: str | None = None,
        **options: Unpack[SaverOptions],
    ) -> None:
        settings = SaverSettings.of(options)
        planner = sqlite_planner(settings)
        driver = SyncSqliteDriver(
            conn, planner.setup, reader, synchronous_level(synchronous), settings.call_timeout
        )
        super().__init__(planner, driver, settings)
        self.conn = conn
        self._sqlite = driver

    @property
    def is_setup(self) -> bool:
        """Whether this saver has created or checked the schema; its first call does."""
        return self._sqlite.is_set_up

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str | PathLike[str],
        *,
        busy_timeout: float = 30.0,
        synchronous: str = "full",
        **options: Unpack[SaverOptions],
    ) -> Iterator[Self]:
        """Open a saver on a file, or on `":memory:"`; the file is closed with the `with` block.

        Args:
            conn_string: the file's path.
            busy_timeout: seconds to wait for other processes that write; at most `call_timeout`.
            synchronous: `"full"` loses nothing that was saved, even when the machine loses power;
                `"normal"` may then lose the last writes, but not when the process dies.
            options: `SaverOptions`.

        Raises:
            InvalidArgumentError: `conn_string`, `ttl` or another argument is invalid.
            BackendUnavailableError: the file cannot be opened.
        """
        path = path_of(conn_string)
        connect = partial(sqlite3.connect, path, timeout=busy_timeout, check_same_thread=False)
        with ExitStack() as stack:
            with opening(path):
                connection = stack.enter_context(closing(connect()))
            reader = stack.enter_context(closing(connect())) if is_file(path) else None
            saver = cls(connection, reader=reader, synchronous=synchronous, **options)
            stack.callback(saver._end)
            yield saver


class AsyncSqliteSaver(FullAsyncSaver):
    """Checkpoints in a SQLite file, for an event loop; its sync methods work from other threads.

    Args:
        conn: a connection of aiosqlite, opened or not. The caller closes it.
        reader: a second connection to the same file; reads on it do not wait for a commit.
        synchronous: SQLite's `PRAGMA synchronous`; None: leave the connection's setting.
        options: `SaverOptions`. Others that use the connection keep their `call_timeout`, but none
            waits longer than the smallest for a locked file.

    The schema is created on first use, or by `await saver.setup()`.

    Raises:
        InvalidArgumentError: `conn`, `ttl` or another argument is invalid.
        MissingDriverError: aiosqlite is not installed.
    """

    def __init__(
        self,
        conn: aiosqlite.Connection,
        *,
        reader: aiosqlite.Connection | None = None,
        synchronous: str | None = None,
        **options: Unpack[SaverOptions],
    ) -> None:
        aiosqlite_module("AsyncSqliteSaver")
        from checkpoint_sqlite.connection.async_driver import AsyncSqliteDriver

        settings = SaverSettings.of(options)
        planner = sqlite_planner(settings)
        driver = AsyncSqliteDriver(
            conn, planner.setup, reader, synchronous_level(synchronous), settings.call_timeout
        )
        super().__init__(planner, driver, settings)
        self.conn = conn
        self._sqlite = driver

    @property
    def is_setup(self) -> bool:
        """Whether this saver has created or checked the schema; its first call does."""
        return self._sqlite.is_set_up

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str | PathLike[str],
        *,
        busy_timeout: float = 30.0,
        synchronous: str = "full",
        **options: Unpack[SaverOptions],
    ) -> AsyncIterator[Self]:
        """`SqliteSaver.from_conn_string`, for an event loop."""
        path = path_of(conn_string)
        module = aiosqlite_module("AsyncSqliteSaver")
        from checkpoint_sqlite.connection.async_driver import connected

        connect = partial(module.connect, path, timeout=busy_timeout)
        async with AsyncExitStack() as stack:
            with opening(path):
                connection = await connected(connect())
            stack.push_async_callback(connection.close)
            reader = await stack.enter_async_context(connect()) if is_file(path) else None
            saver = cls(connection, reader=reader, synchronous=synchronous, **options)
            stack.push_async_callback(saver._aend)
            yield saver


def sqlite_planner(settings: SaverSettings) -> SqlitePlanner:
    """The planner of a saver with these settings."""
    return SqlitePlanner(settings.ttl, settings.clock, deduplicate=settings.deduplicate)


def synchronous_level(level: str | None) -> str | None:
    """Check `synchronous`, which is formatted into a PRAGMA.

    Raises:
        InvalidArgumentError: it is none of SYNCHRONOUS.
    """
    if level is not None and level not in SYNCHRONOUS:
        raise InvalidArgumentError(f"synchronous: wanted one of {SYNCHRONOUS}, got {level!r}")
    return level


def is_file(path: str) -> bool:
    """Whether a second connection to `path` sees the same database."""
    return path != "" and ":memory:" not in path and "mode=memory" not in path


def aiosqlite_module(needed_by: str) -> Any:
    """Import aiosqlite.

    Raises:
        MissingDriverError: it is not installed; the message says how to install it.
    """
    try:
        import aiosqlite
    except ImportError as error:
        raise MissingDriverError.of(needed_by, "sqlite") from error
    return aiosqlite
