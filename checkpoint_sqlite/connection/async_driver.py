"""The driver for event loops, on aiosqlite connections. A plan runs from start to end in the thread
of its connection, and all plans that wait for that thread run there as one batch.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any, Final, TypeVar

import aiosqlite

from checkpoint_base.deadlines.cancellation import until_done
from checkpoint_base.deadlines.loop_timer import loop_timer
from checkpoint_base.deadlines.timeouts import (
    CALL_TIMEOUT,
    Deadline,
    checked_call_timeout,
    timed_out,
)
from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.plan import Atomic, Plan, Unlimited
from checkpoint_base.sql.requests import Query, rows
from checkpoint_sqlite.connection.errors import closed_by_its_owner, connection_of
from checkpoint_sqlite.connection.jobs import Job, Single, in_snapshot, withdraw
from checkpoint_sqlite.connection.limits import WAIT
from checkpoint_sqlite.connection.session import SqliteSession

T = TypeVar("T")

_PAUSE: Final = 0.001  # seconds


class Lane:
    """A connection, its thread, and the queue of jobs that wait for it.

    Args:
        connection: opened or not.
        prepare: called in the connection's thread before each batch, until it returns True.
        call_timeout: seconds that a job may wait to begin, and that each of its statements may
            take; None: no limit.
    """

    def __init__(
        self,
        connection: aiosqlite.Connection,
        prepare: Callable[[SqliteSession], bool] | None = None,
        call_timeout: float | None = None,
    ) -> None:
        self._connection = connection
        self._call_timeout = call_timeout
        self._prepare = prepare
        self._session: SqliteSession | None = None
        self._writes: deque[Job[Any]] = deque()
        self._reads: deque[Job[Any]] = deque()
        self._waiters: dict[Job[Any], asyncio.Future[None]] = {}
        self._pump: asyncio.Task[None] | None = None

    @property
    def is_prepared(self) -> bool:
        """Whether jobs can run without calling `prepare` before."""
        return self._prepare is None

    @property
    def suits_reads(self) -> bool:
        """Whether a read should run on this connection and not on the one for reads: this one is
        idle, or it has to create the schema first, or the caller's transaction is open on it, whose
        writes no other connection sees.
        """
        if self._pump is None or not self.is_prepared:
            return True
        return self._session is not None and self._session.in_callers_transaction

    async def run(self, job: Job[T]) -> T:
        """Run a job, in one batch with all jobs that wait.

        If the caller is cancelled, its job is withdrawn. If the transaction of a write has already
        begun, the caller waits until it ends, but no longer than `call_timeout`: a call should not
        store anything after it has ended.

        Raises:
            BackendUnavailableError: the job did not begin within `call_timeout`.
        """
        waiting = self._writes if job.write else self._reads
        waiting.append(job)
        loop = asyncio.get_running_loop()
        self._waiters[job] = waiter = loop.create_future()
        timer = loop_timer()
        if job.limited:
            deadline = Deadline(self._call_timeout, WAIT)
            timer.start(job, deadline, partial(self._expire, job, waiting))
        if self._pump is None:
            self._pump = asyncio.create_task(self._run_waiting())
        try:
            await waiter
        except asyncio.CancelledError:
            if withdraw(job, waiting) or not job.write:
                self._waiters.pop(job, None)
            if job in self._waiters:
                self._waiters[job] = waiter = loop.create_future()
                await until_done(waiter, self._call_timeout)
            raise
        finally:
            timer.stop(job)
        return job.result()

    def _expire(self, job: Job[Any], waiting: deque[Job[Any]]) -> None:
        """Fail a job that still waits. The limit on statements ends a job that has begun."""
        if withdraw(job, waiting):
            job.error = timed_out(self._call_timeout, WAIT)
            self._wake([job])

    async def _run_waiting(self) -> None:
        try:
            while self._writes or self._reads:
                self._wake(await self._run_batch())
        finally:
            self._pump = None
            self._take_all()
            self._wake([*self._waiters])  # only if this task is cancelled: the loop ends

    def _wake(self, jobs: Iterable[Job[Any]]) -> None:
        for job in jobs:
            waiter = self._waiters.pop(job, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _take_all(self) -> list[Job[Any]]:
        jobs = [*self._writes, *self._reads]
        self._writes.clear()
        self._reads.clear()
        return jobs

    async def _run_batch(self) -> list[Job[Any]]:
        """Run the jobs that wait; returns those that have ended."""
        try:
            await self._connect()
            # aiosqlite has no public way to run a function in its thread
            ended = self._connection._execute(self._run_all)  # type: ignore[no-untyped-call]
            jobs: list[Job[Any]] = await ended
        except Exception as error:  # noqa: BLE001 (it goes to the callers that wait)
            jobs = self._take_all()
            is_closed = type(error) is ValueError and not self._is_connected  # from aiosqlite
            for job in jobs:
                job.error = closed_by_its_owner(error) if is_closed else error
        return jobs

    @property
    def _is_connected(self) -> bool:
        try:
            _ = self._connection.in_transaction
        except (ValueError, sqlite3.ProgrammingError):  # not opened yet, or closed
            return False
        return True

    async def _connect(self) -> None:
        if self._session is not None or self._is_connected:
            return
        thread = _thread_of(self._connection)
        if thread.ident is None:
            try:
                await connected(self._connection)
            except sqlite3.Error as error:  # only the owner knows which file
                raise BackendUnavailableError(f"SQLite cannot open the file: {error}") from error
        # Another saver or store may be opening it. There is no event to wait for, so poll.
        while thread.is_alive() and not self._is_connected:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)

    def _run_all(self) -> list[Job[Any]]:
        if self._session is None:
            self._session = SqliteSession(self._connection._conn, self._writes, self._call_timeout)
        if self._prepare is not None and self._prepare(self._session):
            self._prepare = None
        reads = []
        writes = self._session.commit_waiting() if self._writes else []
        with suppress(IndexError):
            while True:
                reads.append(self._reads.popleft())
        if reads:
            self._session.read(reads)
        return [*writes, *reads]


class AsyncSqliteDriver:
    """Performs the requests of plans on `aiosqlite` connections.

    Args:
        connection: for writes, and for reads while it is idle.
        setup: makes the plan that creates the schema, which runs before any other.
        reader: a second connection, for reads while `connection` is busy.
        synchronous: SQLite's `PRAGMA synchronous`; None: leave the connection's setting.
        call_timeout: seconds for each step; None: no limit.
    """

    def __init__(
        self,
        connection: aiosqlite.Connection,
        setup: Callable[[], Plan[None]],
        reader: aiosqlite.Connection | None = None,
        synchronous: str | None = None,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        limit = self.call_timeout = checked_call_timeout(call_timeout)
        connection_of(connection, aiosqlite.Connection)
        if reader is not None:
            connection_of(reader, aiosqlite.Connection, "reader")
        self._writer = Lane(connection, lambda session: session.prepare(setup, synchronous), limit)
        self._reader = self._writer if reader is None else Lane(reader, call_timeout=limit)

    @property
    def is_set_up(self) -> bool:
        """Whether the schema was created or checked; the first request does that."""
        return self._writer.is_prepared

    async def perform(self, request: Any) -> Any:
        """Perform a request that a plan yields outside of a transaction."""
        limited = not isinstance(request, Unlimited)
        if not limited:
            request = request.request
        if isinstance(request, Single):
            return await self._read(Job(partial(in_snapshot, request), write=False))
        if isinstance(request, Query):
            return await self._read(Job(partial(rows, *request), write=False))
        if not isinstance(request, Atomic):
            raise TypeError(f"cannot perform {request!r} outside a transaction")
        job = Job(request.make, write=request.write, limited=limited)
        return await (self._writer.run(job) if request.write else self._read(job))

    async def _read(self, job: Job[T]) -> T:
        # The writer's page cache has what was just written: prefer it, unless it is busy.
        return await (self._writer if self._writer.suits_reads else self._reader).run(job)


async def connected(connection: aiosqlite.Connection) -> aiosqlite.Connection:
    """Open a connection and return it. If that fails, wait for its thread to end: later, the thread
    might call into an event loop that is closed by then.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    try:
        return await connection
    except sqlite3.Error:
        await asyncio.to_thread(_thread_of(connection).join)
        raise


def _thread_of(connection: aiosqlite.Connection) -> Thread:
    given: Any = connection
    thread: Thread = getattr(given, "_thread", given)  # before aiosqlite 0.22 it is a Thread
    return thread
