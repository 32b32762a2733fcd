"""Calls of one tick of an event loop become one batch; no task outlives the calls it serves."""

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
    """A batch of its own, and the future that its caller waits for."""

    batch: Batch
    done: asyncio.Future[list[Result]]
    work: Work | None = None


@dataclass(eq=False)
class Work:
    """Calls that are carried out together, and the task that does it."""

    calls: Sequence[Call]
    task: asyncio.Task[Any] | None
    ended: asyncio.Future[None]

    async def leave(self, limit: float | None) -> None:
        """Wait for the end, but no longer than `limit` seconds. It comes early when all callers are
        cancelled.
        """
        if not self.ended.done():
            if self.task is not None and all(call.done.done() for call in self.calls):
                self.task.cancel()
            await until_done(self.ended, limit)


class Coalescer:
    """Collects the calls of a tick; used on one loop only.

    Args:
        embed: embeds what a batch needs.
        perform: carries out a batch that is embedded.
        limit: seconds that a caller that is cancelled waits for what is carried out for it, and
            `aclose` for what is under way; None: until it has ended.
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
        """The results of a batch. A caller that is cancelled takes no other down with it. What is
        carried out for it by then ends before the call does.
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
            retrieve(done)  # an error may have come together with the cancellation
            raise

    def _start(self) -> None:
        calls, self._waiting = self._waiting, []
        calls = [call for call in calls if not call.done.done()]  # cancelled before it began
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
        except Exception as error:  # noqa: BLE001  (the embedding is the user's: anything)
            await self._sort_out(calls, error, shared=False)
            return
        # who gave up meanwhile may have written something else since, or gone on without it
        wanted = [call for call in calls if not call.done.done()]
        if not wanted:
            return
        if len(wanted) < len(calls):
            batch = Batch.merged([call.batch for call in wanted])
        try:
            results = await self._carry_out(wanted, batch, vectors)
        except Exception as error:  # noqa: BLE001  (it goes to whoever waits)
            # no call can help that, and each would only wait for it again
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
        """Nothing was written. Unless the error is that of all calls, only those at fault fail."""
        if len(calls) > 1 and not shared:
            for call in calls:
                if not call.done.done():
                    await self._run([call])
            return
        for call in calls:
            if not call.done.done():
                call.done.set_exception(error)

    async def aclose(self) -> None:
        """Wait until all calls are served, or cancelled because they take too long."""
        deadline = Deadline(self._limit, "")
        while (self._waiting or self._tasks) and not deadline.is_over:
            await asyncio.sleep(0)  # the calls of this tick
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=deadline.remaining())
        for task in self._tasks:
            task.cancel()
