"""Coalescing of the calls of one event-loop tick into one batch, with cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.store.base import Result

from checkpoint_base.deadlines.cancellation import retrieve, until_done
from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.errors import BackendUnavailableError
from store_vector.batching.operations import Batch
from store_vector.embedding.embed import Embedded


@dataclass(eq=False)
class Call:
    """One caller's batch, and the future that the caller awaits."""

    batch: Batch
    done: asyncio.Future[list[Result]]
    work: Work | None = None


@dataclass(eq=False)
class Work:
    """Calls that run as one merged batch, and the task that runs it."""

    calls: Sequence[Call]
    task: asyncio.Task[Any] | None
    ended: asyncio.Future[None]

    async def leave(self, limit: float | None) -> None:
        """Wait until the batch ends, at most `limit` seconds; None waits without limit. If all its
        callers are cancelled, cancel the task.
        """
        if not self.ended.done():
            if self.task is not None and all(call.done.done() for call in self.calls):
                self.task.cancel()
            await until_done(self.ended, limit)


class Coalescer:
    """Merges the calls of a tick into one batch. Bound to one event loop.

    Args:
        embed: embeds the texts of a batch.
        perform: runs a batch, given its vectors.
        limit: seconds that a cancelled caller waits for its running batch to end, and that
            `aclose` waits for all batches; None: no limit.
    """

    def __init__(
        self,
        embed: Callable[[Batch], Awaitable[Embedded]],
        perform: Callable[[Batch, Embedded], Awaitable[list[Result]]],
        limit: float | None = None,
    ) -> None:
        self._limit = limit
        self._embed = embed
        self._perform = perform
        self._waiting: list[Call] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self, batch: Batch) -> list[Result]:
        """Run a batch and return its results. Cancelling the caller does not cancel other callers'
        calls. The cancelled call returns after its running batch has ended.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Result]] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._start)
        call = Call(batch, done)
        self._waiting.append(call)
        try:
            return await done
        except asyncio.CancelledError:
            if call.work is not None:
                await call.work.leave(self._limit)
            retrieve(done)  # the batch may have failed meanwhile: mark its exception as retrieved
            raise

    def _start(self) -> None:
        calls, self._waiting = self._waiting, []
        calls = [call for call in calls if not call.done.done()]  # drop cancelled calls
        if calls:
            task = asyncio.get_running_loop().create_task(self._serve(calls))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, calls: Sequence[Call]) -> None:
        try:
            await self._run(calls)
        finally:
            for call in calls:
                if not call.done.done():  # the task was cancelled: the loop is shutting down
                    call.done.cancel()

    async def _run(self, calls: Sequence[Call]) -> None:
        batch = Batch.merged([call.batch for call in calls])
        try:
            vectors = await self._embed(batch)
        except Exception as error:  # noqa: BLE001  (the user's embedding model may raise anything)
            await self._sort_out(calls, error, shared=False)
            return
        # Drop calls cancelled during embedding: their callers no longer expect a write, and may
        # have put another value since.
        wanted = [call for call in calls if not call.done.done()]
        if not wanted:
            return
        if len(wanted) < len(calls):
            batch = Batch.merged([call.batch for call in wanted])
        try:
            results = await self._carry_out(wanted, batch, vectors)
        except Exception as error:  # noqa: BLE001  (passed on to the callers)
            # if the backend is unavailable, retrying each call alone would only repeat the timeout
            shared = isinstance(error, BackendUnavailableError)
            await self._sort_out(wanted, error, shared=shared)
            return
        start = 0
        for call in wanted:
            end = start + call.batch.size
            if not call.done.done():
                call.done.set_result(results[start:end])
            start = end

    async def _carry_out(
        self, calls: Sequence[Call], batch: Batch, vectors: Embedded
    ) -> list[Result]:
        ended = asyncio.get_running_loop().create_future()
        work = Work(calls, asyncio.current_task(), ended)
        for call in calls:
            call.work = work
        try:
            return await self._perform(batch, vectors)
        finally:
            ended.set_result(None)

    async def _sort_out(self, calls: Sequence[Call], error: Exception, *, shared: bool) -> None:
        """Handle a failed batch, of which nothing was written. Unless the error is `shared` by all
        calls, run each call alone, so that only the faulty calls fail.
        """
        if len(calls) > 1 and not shared:
            for call in calls:
                if not call.done.done():
                    await self._run([call])
            return
        for call in calls:
            if not call.done.done():
                call.done.set_exception(error)

    async def aclose(self) -> None:
        """Wait until all calls have ended; cancel those still running after the time limit."""
        deadline = Deadline(self._limit, "")
        while (self._waiting or self._tasks) and not deadline.is_over:
            await asyncio.sleep(0)  # let the calls of this tick start
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=deadline.remaining())
        for task in self._tasks:
            task.cancel()
