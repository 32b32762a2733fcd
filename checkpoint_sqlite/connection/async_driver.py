"""I/O on an event loop: each plan runs whole in one hop to the thread of an aiosqlite connection,
and all plans that wait for that thread go there together.
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
    """A connection, its thread, and the jobs that wait for it.

    Args:
        connection: connected or not.
        prepare: called in the connection's thread before any jobs, until it returns True.
        call_timeout: seconds that a job waits, and that each of its statements may take.
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
        """Whether nothing has to be done before jobs."""
        return self._prepare is None

    @property
    def suits_reads(self) -> bool:
        """Whether a read should run here and not on another connection: it runs at once, or the
        schema has to be made before, or only this connection sees what the caller's transaction
        wrote.
        """
        if self._pump is None or not self.is_prepared:
            return True
        return self._session is not None and self._session.in_callers_transaction

    async def run(self, job: Job[T]) -> T:
        """Run a job, together with those that wait as well.

        The job of a caller that is cancelled is withdrawn. If its transaction has begun, the caller
        waits for the end, so that nothing is stored after the call has ended; but no longer than
        `call_timeout`.

        Raises:
            BackendUnavailableError: the job has not begun before the end of `call_timeout`.
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
        """Let the caller go if its job still waits. One that has begun ends by its statements."""
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
            self._wake([*self._waiters])  # none is left, unless the loop ends

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
        """Run the jobs that wait; those that have ended."""
        try:
            await self._connect()
            # aiosqlite has no public way to run a function in its thread
            ended = self._connection._execute(self._run_all)  # type: ignore[no-untyped-call]
            jobs: list[Job[Any]] = await ended
        except Exception as error:  # noqa: BLE001 (it goes to the callers that wait)
            jobs = self._take_all()
            is_closed = type(error) is ValueError and not self._is_connected  # aiosqlite's own
            for job in jobs:
                job.error = closed_by_its_owner(error) if is_closed else error
        return jobs

    @property
    def _is_connected(self) -> bool:
        try:
            _ = self._connection.in_transaction
        except (ValueError, sqlite3.ProgrammingError):  # not yet, or not any more
            return False
        return True

    async def _connect(self) -> None:
        if self._session is not None or self._is_connected:
            return
        thread = _thread_of(self._connection)
        if thread.ident is None:
            try:
                await connected(self._connection)
            except sqlite3.Error as error:  # which file, only the connection's owner knows
                raise BackendUnavailableError(f"SQLite cannot open the file: {error}") from error
        # Another saver or store may be opening it just now, and has no event to wait for.
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
    """Performs plans on `aiosqlite` connections.

    Args:
        connection: for everything that writes.
        setup: the plan that makes the schema, run before anything else.
        reader: for reads, if they may have a connection of their own.
        synchronous: how a commit waits for the disk; None: as the connection has it.
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
        """Whether the schema has been made or looked at, as the first request does."""
        return self._writer.is_prepared

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction yet."""
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
        # The writer still has in memory what was just written, but it may be busy.
        return await (self._writer if self._writer.suits_reads else self._reader).run(job)


async def connected(connection: aiosqlite.Connection) -> aiosqlite.Connection:
    """The connection, opened. Of one that cannot be, the thread has ended: it would have something
    to tell to an event loop that is gone by then.
    """
    try:
        return await connection
    except sqlite3.Error:
        await asyncio.to_thread(_thread_of(connection).join)
        raise


def _thread_of(connection: aiosqlite.Connection) -> Thread:
    given: Any = connection
    thread: Thread = getattr(given, "_thread", given)  # before aiosqlite 0.22: itself
    return thread
