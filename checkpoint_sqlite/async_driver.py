"""I/O on an event loop: each plan runs whole in one hop to the thread of an aiosqlite connection,
and all plans that wait for that thread go there together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import aiosqlite

from checkpoint_base.plan import Atomic, Offload, Plan
from checkpoint_sqlite.session import Job, Session

T = TypeVar("T")


class AsyncSqliteDriver:
    """Performs plans on an `aiosqlite.Connection`."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        setup: Callable[[], Plan[None]],
        synchronous: str | None = None,
    ) -> None:
        self._connection = connection
        self._setup: Callable[[], Plan[None]] | None = setup
        self._synchronous = synchronous
        self._session: Session | None = None
        self._waiting: list[tuple[Job[Any], asyncio.Future[None]]] = []
        self._pump: asyncio.Task[None] | None = None

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction yet."""
        if isinstance(request, Atomic):
            return await self._transact(request)
        if isinstance(request, Offload):
            return await asyncio.to_thread(request.work)
        raise TypeError(f"cannot perform {request!r} outside a transaction")

    async def _transact(self, request: Atomic[T]) -> T:
        job = Job(request.make(), write=request.write)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, done))
        if self._pump is None:
            self._pump = asyncio.create_task(self._run_waiting())
        await done
        return job.result()

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
                await self._connection

    def _run_all(self, jobs: Sequence[Job[Any]]) -> None:
        """Runs in the connection's thread."""
        if self._session is None:
            self._session = Session(self._connection._conn)
        if self._setup is not None:
            self._session.prepare(self._setup, self._synchronous)
            self._setup = None
        self._session.run_all(jobs)
