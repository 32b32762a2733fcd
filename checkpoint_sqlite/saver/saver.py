"""`SqliteSaver` and `AsyncSqliteSaver`: their arguments, and how they are opened and closed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT
from checkpoint_base.errors import InvalidArgumentError, MissingDriverError
from checkpoint_base.saver.codec.values import OnUnreadable
from checkpoint_base.saver.mixins import FullAsyncSaver, FullSyncSaver
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.saver.ttl.retention import Retention
from checkpoint_sqlite.connection.errors import opening, path_of
from checkpoint_sqlite.connection.sync_driver import SyncSqliteDriver
from checkpoint_sqlite.saver.planner import SqlitePlanner

if TYPE_CHECKING:
    import aiosqlite
    from typing_extensions import Self

TTL = Mapping[str, Any] | TTLPolicy | None

SYNCHRONOUS: Final = ("off", "normal", "full", "extra")


class SqliteSaver(FullSyncSaver):
    """Checkpoints in a SQLite file, for threads; its async methods run in a worker thread.

    Args:
        conn: an open connection, made with `check_same_thread=False`, since graphs write from
            several threads. The caller closes it. If the caller has a transaction open on it,
            writes become part of that transaction, and the caller commits or rolls back.
        serde: serializer of the values; None: LangGraph's `JsonPlusSerializer`.
        on_unreadable: what a read does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError; `"skip"` the channel or write, with a warning; or
            `"langgraph"`: return what LangGraph's serializer makes of it.
        encrypted: set it if `serde` encrypts, but is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: then metadata is encrypted as well.
        deduplicate: store chunks that a thread's large values share only once. False: store each
            value whole, which is faster if values are replaced rather than extended.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        retention: a policy that sweeps apply; of several processes one at a time.
        clock: gives epoch seconds, for `ttl`.
        call_timeout: seconds that each step of a call may take, with its wait for the connection
            (`checkpoint_base.deadlines.timeouts`); None: no limit. If others use the connection,
            the smallest limit holds for all.
        reader: a second connection to the same file; reads on it do not wait for a commit.
        synchronous: SQLite's `PRAGMA synchronous`; None: leave the connection's setting.

    The schema is created on first use, or by `setup()`.

    Raises:
        InvalidArgumentError: `conn`, `ttl` or another argument is invalid.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        reader: sqlite3.Connection | None = None,
        synchronous: str | None = None,
    ) -> None:
        policy = TTLPolicy.of(ttl)
        planner = SqlitePlanner(policy, clock, deduplicate=deduplicate)
        driver = SyncSqliteDriver(
            conn, planner.setup, reader, synchronous_level(synchronous), call_timeout
        )
        super().__init__(
            planner,
            driver,
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
            retention=retention,
        )
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
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        busy_timeout: float = 30.0,
        synchronous: str = "full",
    ) -> Iterator[Self]:
        """Open a saver on a file, or on `":memory:"`; the file is closed with the `with` block.

        Args:
            conn_string: the file's path.
            serde: as in the constructor.
            on_unreadable: as in the constructor.
            encrypted: as in the constructor.
            deduplicate: as in the constructor.
            ttl: as in the constructor; minutes.
            retention: as in the constructor.
            clock: as in the constructor.
            call_timeout: as in the constructor; seconds.
            busy_timeout: seconds to wait for other processes that write; at most `call_timeout`.
            synchronous: `"full"` loses nothing that was saved, even when the machine loses power;
                `"normal"` may then lose the last writes, but not when the process dies.

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
            saver = cls(
                connection,
                serde=serde,
                on_unreadable=on_unreadable,
                encrypted=encrypted,
                deduplicate=deduplicate,
                ttl=ttl,
                retention=retention,
                clock=clock,
                call_timeout=call_timeout,
                reader=reader,
                synchronous=synchronous,
            )
            stack.callback(saver._end)
            yield saver


class AsyncSqliteSaver(FullAsyncSaver):
    """Checkpoints in a SQLite file, for an event loop; its sync methods work from other threads.

    Args:
        conn: a connection of aiosqlite, opened or not. The caller closes it.
        serde: serializer of the values; None: LangGraph's `JsonPlusSerializer`.
        on_unreadable: what a read does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError; `"skip"` the channel or write, with a warning; or
            `"langgraph"`: return what LangGraph's serializer makes of it.
        encrypted: set it if `serde` encrypts, but is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: then metadata is encrypted as well.
        deduplicate: store chunks that a thread's large values share only once. False: store each
            value whole, which is faster if values are replaced rather than extended.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        retention: a policy that sweeps apply; of several processes one at a time.
        clock: gives epoch seconds, for `ttl`.
        call_timeout: seconds that each step of a call may take, with its wait for the connection
            (`checkpoint_base.deadlines.timeouts`); None: no limit. Others that use the connection
            keep theirs, but none waits longer than the smallest for a locked file.
        reader: a second connection to the same file; reads on it do not wait for a commit.
        synchronous: SQLite's `PRAGMA synchronous`; None: leave the connection's setting.

    The schema is created on first use, or by `await saver.setup()`.

    Raises:
        InvalidArgumentError: `conn`, `ttl` or another argument is invalid.
        MissingDriverError: aiosqlite is not installed.
    """

    def __init__(
        self,
        conn: aiosqlite.Connection,
        *,
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        reader: aiosqlite.Connection | None = None,
        synchronous: str | None = None,
    ) -> None:
        aiosqlite_module("AsyncSqliteSaver")
        from checkpoint_sqlite.connection.async_driver import AsyncSqliteDriver

        policy = TTLPolicy.of(ttl)
        planner = SqlitePlanner(policy, clock, deduplicate=deduplicate)
        driver = AsyncSqliteDriver(
            conn, planner.setup, reader, synchronous_level(synchronous), call_timeout
        )
        super().__init__(
            planner,
            driver,
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
            retention=retention,
        )
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
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        busy_timeout: float = 30.0,
        synchronous: str = "full",
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
            saver = cls(
                connection,
                serde=serde,
                on_unreadable=on_unreadable,
                encrypted=encrypted,
                deduplicate=deduplicate,
                ttl=ttl,
                retention=retention,
                clock=clock,
                call_timeout=call_timeout,
                reader=reader,
                synchronous=synchronous,
            )
            stack.push_async_callback(saver._aend)
            yield saver


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
