"""Request batching: tasks share few connections, and waiting requests are sent as one batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from checkpoint_base.deadlines.cancellation import retrieve, until_done
from checkpoint_base.deadlines.loop_timer import loop_timer
from checkpoint_base.deadlines.timeouts import Deadline

_SWALLOWED: Final = 0.1
"""Seconds after which a trip that did not end on cancellation is cancelled again."""

Request = TypeVar("Request")
Reply = TypeVar("Reply")


@dataclass(eq=False)
class _Entry(Generic[Request, Reply]):
    """A queued request, its reply, and the trip that carries it (None: still queued)."""

    request: Request
    reply: asyncio.Future[Reply]
    trip: _Trip | None = None


@dataclass(eq=False)
class _Trip:
    """A batch under way: its requests, and the task that sends them."""

    entries: Sequence[_Entry[Any, Any]]
    task: asyncio.Task[None]

    @property
    def is_abandoned(self) -> bool:
        """Whether every caller has its reply or has given up."""
        return all(entry.reply.done() for entry in self.entries)


class RequestBatcher(Generic[Request, Reply]):
    """Sends requests on one event loop, and batches those that wait.

    Sending a batch, called a *trip*, costs the client, the network and the server less than sending
    its requests one by one. While few trips are under way, a request does not wait.

    Nothing is sent for a cancelled caller after its call has ended: a queued request is dropped; a
    trip is cancelled once all its callers are cancelled; a cancelled call waits for its trip's end.

    Args:
        send: sends a batch. An error that it raises goes to every caller in the batch.
        max_batch: maximum number of requests in a batch.
        min_concurrency: while fewer trips than this are under way, a request is sent immediately,
            by itself.
        max_concurrency: returns the maximum number of trips, reached only while no trip ends within
            `linger`.
        linger: seconds that requests wait for a trip to end before another trip starts.
        withdraw: called with the request of a caller that was cancelled or timed out during its
            trip. It invalidates the request, which may not have been sent yet.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Request]], Awaitable[Sequence[Reply]]],
        *,
        max_batch: int,
        min_concurrency: int,
        max_concurrency: Callable[[], int],
        linger: float = 0.002,
        withdraw: Callable[[Request], None] = lambda _: None,
    ) -> None:
        self._send = send
        self._max_batch = max_batch
        self._min_concurrency = min_concurrency
        self._max_concurrency = max_concurrency
        self._linger = linger
        self._withdraw = withdraw
        self._timer: asyncio.TimerHandle | None = None
        self._trips = 0
        self._waiting: deque[_Entry[Request, Reply]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(
        self, request: Request, deadline: Deadline | None = None, *, at_once: bool = True
    ) -> Reply:
        """Send a request and return its reply.

        Args:
            request: the request to send.
            deadline: when to give up a request that is queued or in a batch: the caller then gets
                the deadline's error. A trip whose callers have all given up is cancelled.
            at_once: whether the request may bypass the queue while few trips are under way.

        Raises:
            BackendUnavailableError: the deadline passed.
        """
        if not at_once or self._trips >= min(self._min_concurrency, self._max_concurrency()):
            return await self._queue(request, Deadline(None, "") if deadline is None else deadline)
        self._trips += 1
        try:
            (reply,) = await self._send((request,))
            return reply
        finally:
            self._trips -= 1
            self._send_waiting()

    async def _queue(self, request: Request, deadline: Deadline) -> Reply:
        entry = _Entry[Request, Reply](request, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._start_timer()
        timer = loop_timer()
        timer.start(entry, deadline, partial(self._expire, entry, deadline))
        try:
            return await entry.reply
        except asyncio.CancelledError:
            if entry.trip is not None:
                await self._leave(entry, entry.trip, deadline)
            retrieve(entry.reply)  # an error may have arrived together with the cancellation
            raise
        finally:
            timer.stop(entry)

    def _expire(self, entry: _Entry[Request, Reply], deadline: Deadline) -> None:
        """Give the caller the deadline's error, and cancel the trip if it was the last caller."""
        if entry.reply.done():
            return
        deadline.expired = True
        entry.reply.set_exception(deadline.error())
        if entry.trip is not None:
            self._withdraw(entry.request)
            if entry.trip.is_abandoned:
                entry.trip.task.cancel()

    async def _leave(self, entry: _Entry[Request, Reply], trip: _Trip, deadline: Deadline) -> None:
        """Wait for the trip to end, no longer than the deadline. Cancel it if no caller is left."""
        self._withdraw(entry.request)
        while trip.is_abandoned and not trip.task.done() and not deadline.is_over:
            trip.task.cancel()
            # before Python 3.12, `asyncio.wait_for` in a driver may swallow a cancellation
            await until_done(trip.task, _SWALLOWED)
        await until_done(trip.task, deadline.remaining())

    def _start_timer(self) -> None:
        if self._timer is None and self._trips < self._max_concurrency():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._linger, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._trips < self._max_concurrency():
            self._send_waiting()
        if self._waiting:
            self._start_timer()

    def _send_waiting(self) -> None:
        """Send a batch from the queue, in a separate task: any of its callers may be cancelled."""
        some: list[_Entry[Request, Reply]] = []
        while self._waiting and len(some) < self._max_batch:
            entry = self._waiting.popleft()
            if not entry.reply.done():  # otherwise cancelled or expired in the queue
                some.append(entry)
        if some:
            self._trips += 1
            task = asyncio.get_running_loop().create_task(self._run_trip(some))
            trip = _Trip(some, task)
            for entry in some:
                entry.trip = trip
            self._tasks.add(task)
            task.add_done_callback(self._on_trip_end)  # runs even if cancelled before it starts

    async def _run_trip(self, some: Sequence[_Entry[Request, Reply]]) -> None:
        try:
            replies = await self._send([entry.request for entry in some])
            for entry, reply in zip(some, replies, strict=True):
                if not entry.reply.done():
                    entry.reply.set_result(reply)
        except BaseException as error:
            for entry in some:
                if not entry.reply.done():
                    entry.reply.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def _on_trip_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._trips -= 1
        self._send_waiting()

    async def aclose(self, limit: float | None = None) -> None:
        """Wait for the batches under way, and for those that start meanwhile.

        Requests that `send` sent without queueing are not waited for: their callers await them.

        Args:
            limit: seconds after which the remaining batches are cancelled; None: never.
        """
        deadline = Deadline(limit, "")
        while self._tasks and not deadline.is_over:
            await asyncio.wait(self._tasks, timeout=deadline.remaining())
        for task in self._tasks:
            task.cancel()
