"""I/O on an event loop: each plan runs whole in one hop to the thread of an aiosqlite connection,
and all plans that wait for that thread go there together.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import aiosqlite

from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.plan import Atomic, Offload, Plan
from checkpoint_base.statements.requests import Query, rows
from checkpoint_sqlite.failures import connection_of
from checkpoint_sqlite.session import Job, Session

T = TypeVar("T")


class Lane:
    """A connection, its thread, and the jobs that wait for it.

    Args:
        connection: connected or not.
        prepare: called in the connection's thread, before the first job.
    """

    def __init__(
        self, connection: aiosqlite.Connection, prepare: Callable[[Session], None] | None = None
    ) -> None:
        self._connection = connection
        self._prepare = prepare
        self._session: Session | None = None
        self._waiting: list[tuple[Job[Any], asyncio.Future[None]]] = []
        self._pump: asyncio.Task[None] | None = None

    @property
    def is_prepared(self) -> bool:
        """Whether there is nothing to be done before jobs."""
        return self._prepare is None

    @property
    def is_idle(self) -> bool:
        """Whether a job would be run at once."""
        return self._pump is None

    async def run(self, job: Job[Any]) -> None:
        """Run a job, together with those that wait as well."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, done))
        if self._pump is None:
            self._pump = asyncio.create_task(self._run_waiting())
        await done

    async def _run_waiting(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._run_batch(batch)
        finally:
            self._pump = None

    async def _run_batch(self, batch: Sequence[tuple[Job[Any], asyncio.Future[None]]]) -> None:
        jobs = [job for job, _ in batch]
        try:
            await self._connect()
            # aiosqlite has no public way to run a function in its thread
            await self._connection._execute(self._run_all, jobs)  # type: ignore[no-untyped-call]
        except BaseException as error:
            for job in jobs:
                job.error = job.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for _, done in batch:
                if not done.done():  # its caller may have been cancelled
                    done.set_result(None)

    async def _connect(self) -> None:
        if self._session is None:
            try:
                _ = self._connection.in_transaction
            except ValueError:  # aiosqlite's way to say: not connected yet
                await self._open()

    async def _open(self) -> None:
        try:
            await connected(self._connection)
        except sqlite3.Error as error:  # which file, only the connection's owner knows
            raise BackendUnavailableError(f"SQLite cannot open the file: {error}") from error

    def _run_all(self, jobs: Sequence[Job[Any]]) -> None:
        if self._session is None:
            self._session = Session(self._connection._conn)
        if self._prepare is not None:
            self._prepare(self._session)
            self._prepare = None
        self._session.run_all(jobs)


class AsyncSqliteDriver:
    """Performs plans on `aiosqlite` connections.

    Args:
        connection: for everything that writes.
        setup: the plan that makes the schema, run before anything else.
        reader: for reads, if they may have a connection of their own.
        synchronous: how a commit waits for the disk; None: as the connection has it.
    """

    def __init__(
        self,
        connection: aiosqlite.Connection,
        setup: Callable[[], Plan[None]],
        reader: aiosqlite.Connection | None = None,
        synchronous: str | None = None,
    ) -> None:
        connection_of(connection, aiosqlite.Connection)
        if reader is not None:
            connection_of(reader, aiosqlite.Connection, "reader")
        self._writer = Lane(connection, lambda session: session.prepare(setup, synchronous))
        self._reader = self._writer if reader is None else Lane(reader)

    @property
    def is_set_up(self) -> bool:
        """Whether the schema has been made or looked at, as the first request does."""
        return self._writer.is_prepared

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction yet."""
        if isinstance(request, Offload):
            return await asyncio.to_thread(request.work)
        if isinstance(request, Query):
            return await self._read(Job(rows(request.sql, request.values), write=False))
        if not isinstance(request, Atomic):
            raise TypeError(f"cannot perform {request!r} outside a transaction")
        job = Job(request.make(), write=request.write)
        if not request.write:
            return await self._read(job)
        await self._writer.run(job)
        return job.result()

    async def _read(self, job: Job[T]) -> T:
        if not self._writer.is_prepared:
            await self._set_up()
        # The writer still has in memory what was just written, but it may be busy.
        await (self._writer if self._writer.is_idle else self._reader).run(job)
        return job.result()

    async def _set_up(self) -> None:
        """Let the writer make the schema, which it does before its first job."""
        nothing = Job(_nothing(), write=False)
        await self._writer.run(nothing)
        nothing.result()


def _nothing() -> Plan[None]:
    yield from ()


async def connected(connection: aiosqlite.Connection) -> aiosqlite.Connection:
    """The connection, opened. Of one that cannot be, the thread has ended: it would have something
    to tell to an event loop that is gone by then.
    """
    try:
        return await connection
    except sqlite3.Error:
        thread: Any = getattr(connection, "_thread", connection)  # before aiosqlite 0.22: itself
        await asyncio.to_thread(thread.join)
        raise
