"""The public savers: how they are opened, and who closes what."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.capabilities import FullAsyncSaver, FullSyncSaver
from checkpoint_base.errors import InvalidArgumentError, MissingDriverError
from checkpoint_base.ttl import TTLPolicy
from checkpoint_sqlite.planner import SqlitePlanner
from checkpoint_sqlite.sync_driver import SyncSqliteDriver

if TYPE_CHECKING:
    import aiosqlite
    from typing_extensions import Self

TTL = Mapping[str, Any] | TTLPolicy | None

SYNCHRONOUS: Final = ("off", "normal", "full", "extra")


class SqliteSaver(FullSyncSaver):
    """Checkpoints in a SQLite file, for threads; its async methods run in a worker thread.

    Args:
        conn: an open connection (`check_same_thread=False`, since graphs write from threads). It
            stays the caller's to close. A transaction that is open on it is committed with ours.
        serde: LangGraph's `JsonPlusSerializer` unless another is given.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        clock: epoch seconds, for `ttl`.

    The schema is made on first use, or by `setup()`.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        serde: SerializerProtocol | None = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        synchronous: str | None = None,
    ) -> None:
        policy = TTLPolicy.of(ttl)
        planner = SqlitePlanner(policy, clock)
        driver = SyncSqliteDriver(conn, planner.setup, _synchronous(synchronous))
        super().__init__(planner, driver, policy, serde=serde)
        self.conn = conn

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str | PathLike[str],
        *,
        serde: SerializerProtocol | None = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        busy_timeout: float = 30.0,
        synchronous: str = "full",
    ) -> Iterator[Self]:
        """Open a file, or `":memory:"`, and close it at the end.

        Args:
            conn_string: the file's path.
            serde: as in the constructor.
            ttl: as in the constructor; minutes.
            clock: as in the constructor.
            busy_timeout: seconds to wait for other processes that write.
            synchronous: `"full"` loses nothing that was saved, even when the machine loses power;
                `"normal"` may lose the last moments then, not when the process dies.

        Raises:
            InvalidArgumentError: no such `synchronous`, or a `ttl` that is none.
        """
        path = fspath(conn_string)
        connection = sqlite3.connect(path, timeout=busy_timeout, check_same_thread=False)
        with closing(connection):
            saver = cls(connection, serde=serde, ttl=ttl, clock=clock, synchronous=synchronous)
            try:
                yield saver
            finally:
                saver.stop_ttl_sweeper()


class AsyncSqliteSaver(FullAsyncSaver):
    """Checkpoints in a SQLite file, for an event loop; its sync methods work from other threads.

    Args:
        conn: a connection of aiosqlite, opened or not. It stays the caller's to close.
        serde: LangGraph's `JsonPlusSerializer` unless another is given.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        clock: epoch seconds, for `ttl`.

    The schema is made on first use, or by `await saver.setup()`.

    Raises:
        MissingDriverError: aiosqlite is not installed.
    """

    def __init__(
        self,
        conn: aiosqlite.Connection,
        *,
        serde: SerializerProtocol | None = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        synchronous: str | None = None,
    ) -> None:
        _aiosqlite()
        from checkpoint_sqlite.async_driver import AsyncSqliteDriver

        policy = TTLPolicy.of(ttl)
        planner = SqlitePlanner(policy, clock)
        driver = AsyncSqliteDriver(conn, planner.setup, _synchronous(synchronous))
        super().__init__(planner, driver, policy, serde=serde)
        self.conn = conn

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str | PathLike[str],
        *,
        serde: SerializerProtocol | None = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        busy_timeout: float = 30.0,
        synchronous: str = "full",
    ) -> AsyncIterator[Self]:
        """`SqliteSaver.from_conn_string`, for an event loop."""
        path = fspath(conn_string)
        async with _aiosqlite().connect(path, timeout=busy_timeout) as connection:
            saver = cls(connection, serde=serde, ttl=ttl, clock=clock, synchronous=synchronous)
            try:
                yield saver
            finally:
                await saver.astop_ttl_sweeper()


def _synchronous(level: str | None) -> str | None:
    if level is not None and level not in SYNCHRONOUS:
        raise InvalidArgumentError(f"synchronous: wanted one of {SYNCHRONOUS}, got {level!r}")
    return level


def _aiosqlite() -> Any:
    try:
        import aiosqlite
    except ImportError as error:
        raise MissingDriverError.of("AsyncSqliteSaver", "sqlite") from error
    return aiosqlite
