"""The blocking driver: writes that wait are committed as one batch; reads wait for no write."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT, checked_call_timeout, timed_out
from checkpoint_base.plan import Atomic, Plan, Unlimited
from checkpoint_base.sql.requests import Query
from checkpoint_sqlite.connection.errors import connection_of
from checkpoint_sqlite.connection.jobs import Job, Single, withdraw
from checkpoint_sqlite.connection.limits import WAIT
from checkpoint_sqlite.connection.session import SqliteSession

A = TypeVar("A")
T = TypeVar("T")

_SESSIONS: Final[WeakValueDictionary[int, SqliteSession]] = WeakValueDictionary()
"""The sessions in use, by the identity of their connection. `sqlite3.Connection` takes no weak
reference; a session holds its connection, so no other object can have this identity meanwhile."""
_SESSIONS_LOCK: Final = Lock()


def session_of(
    connection: Any, argument: str = "conn", call_timeout: float | None = None
) -> SqliteSession:
    """The session of a connection. All savers and stores on the connection share the session, its
    lock, and the smallest `call_timeout`.

    Raises:
        InvalidArgumentError: it is no `sqlite3.Connection`, or cannot be used on this thread.
    """
    checked = connection_of(connection, sqlite3.Connection, argument)
    with _SESSIONS_LOCK:
        session = _SESSIONS.get(id(checked))
        if session is None:
            session = _SESSIONS[id(checked)] = SqliteSession(checked, call_timeout=call_timeout)
    session.lower_limit(call_timeout)
    return session


class SyncSqliteDriver:
    """Performs the requests of plans on `sqlite3` connections, from any number of threads.

    Args:
        connection: for writes, and for reads while it is idle.
        setup: makes the plan that creates the schema, which runs before any other.
        reader: a second connection, for reads while `connection` is busy.
        synchronous: SQLite's `PRAGMA synchronous`; None: leave the connection's setting.
        call_timeout: seconds for each step; None: no limit.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        setup: Callable[[], Plan[None]],
        reader: sqlite3.Connection | None = None,
        synchronous: str | None = None,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        self.call_timeout = checked_call_timeout(call_timeout)
        self._setup: Callable[[], Plan[None]] | None = setup
        self._synchronous = synchronous
        self._writer = session_of(connection, "conn", self.call_timeout)
        self._reader = None if reader is None else session_of(reader, "reader", self.call_timeout)

    @property
    def is_set_up(self) -> bool:
        """Whether the schema was created or checked; the first request does that."""
        return self._setup is None

    def perform(self, request: Any) -> Any:
        """Perform a request that a plan yields outside of a transaction."""
        limited = not isinstance(request, Unlimited)
        if not limited:
            request = request.request
        if self._setup is not None:
            self._prepare()
        if type(request) is Single:
            return self._read(SqliteSession.single, request)
        if isinstance(request, Query):
            return self._read(SqliteSession.query, request)
        if not isinstance(request, Atomic):
            raise TypeError(f"cannot perform {request!r} outside a transaction")
        job = Job(request.make, write=request.write, limited=limited)
        if request.write:
            self._commit(job)
        else:
            self._read(SqliteSession.read, [job])
        return job.result()

    def _read(self, work: Callable[[SqliteSession, A], T], argument: A) -> T:
        # Prefer the writer's connection unless it is busy: its page cache has what was just
        # written. Only this connection sees the writes of the caller's open transaction.
        session = self._writer
        if self._reader and session.lock.locked() and not session.in_callers_transaction:
            session = self._reader
        self._acquire(session)
        try:
            return work(session, argument)
        finally:
            session.lock.release()

    def _commit(self, job: Job[Any]) -> None:
        writer = self._writer
        try:
            writer.waiting.append(job)
            self._acquire(writer)
            try:
                if not job.done:
                    # The thread that gets the lock commits the jobs of all threads that wait for
                    # it: those find their jobs done.
                    writer.commit_waiting(job)
            finally:
                writer.lock.release()
        except BaseException:
            if not withdraw(job, writer.waiting):
                # Another thread is running the job: wait for its end, up to `call_timeout`.
                self._acquire(writer)
                writer.lock.release()
            raise

    def _acquire(self, session: SqliteSession) -> None:
        """Take the lock of a session's connection.

        Raises:
            BackendUnavailableError: other threads held it for all of `call_timeout`.
        """
        limit = self.call_timeout
        if not session.lock.acquire(timeout=-1 if limit is None else limit):
            raise timed_out(limit, WAIT)

    def _prepare(self) -> None:
        self._acquire(self._writer)
        try:
            if self._setup is not None and self._writer.prepare(self._setup, self._synchronous):
                self._setup = None
        finally:
            self._writer.lock.release()
