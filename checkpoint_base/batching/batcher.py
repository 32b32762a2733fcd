"""Request batching: many tasks share few connections; requests that wait go together."""

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
"""Seconds after which a trip that goes on is cancelled again."""

Request = TypeVar("Request")
Reply = TypeVar("Reply")


@dataclass(eq=False)
class _Entry(Generic[Request, Reply]):
    """A request that waits, and the trip on which it went."""

    request: Request
    reply: asyncio.Future[Reply]
    trip: _Trip | None = None


@dataclass(eq=False)
class _Trip:
    """Requests that went together, and the task that sends them."""

    entries: Sequence[_Entry[Any, Any]]
    task: asyncio.Task[None]

    @property
    def is_abandoned(self) -> bool:
        """Whether no caller waits for it any more."""
        return all(entry.reply.done() for entry in self.entries)


class RequestBatcher(Generic[Request, Reply]):
    """Sends requests on one event loop. Those that wait for a trip go together, as one batch.

    A batch costs the client, the network and the server less than its requests one by one; a
    request that finds few trips under way does not wait.

    For a caller that is cancelled nothing is sent later: its request is dropped while it waits; a
    trip is cancelled when all its callers are; and the call does not end before the trip does.

    Args:
        send: sends a batch. All its requests get what it raises.
        max_batch: how many requests at most.
        min_concurrency: a request goes at once, alone, while fewer trips than this are under way.
        max_concurrency: how many trips there may be, where none ends within `linger`.
        linger: seconds that requests wait for a trip to end before another one begins.
        withdraw: called with the request of a caller that is cancelled on its trip, which may not
            have begun to be sent: makes it void.
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
        """The reply to a request.

        Args:
            request: what is sent.
            deadline: when a request that waits, or is on a trip with others, is given up, and its
                caller gets the deadline's error. A trip ends when all its callers are gone.
            at_once: whether it may overtake requests that wait, while few trips are under way.
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
            retrieve(entry.reply)  # an error may have come together with the cancellation
            raise
        finally:
            timer.stop(entry)

    def _expire(self, entry: _Entry[Request, Reply], deadline: Deadline) -> None:
        """Let a caller go whose request takes too long."""
        if entry.reply.done():
            return
        deadline.expired = True
        entry.reply.set_exception(deadline.error())
        if entry.trip is not None:
            self._withdraw(entry.request)
            if entry.trip.is_abandoned:
                entry.trip.task.cancel()

    async def _leave(self, entry: _Entry[Request, Reply], trip: _Trip, deadline: Deadline) -> None:
        """Wait for the end of a trip, until the deadline at most. If all its callers are cancelled,
        it is.
        """
        self._withdraw(entry.request)
        while trip.is_abandoned and not trip.task.done() and not deadline.is_over:
            trip.task.cancel()
            # before Python 3.12 `asyncio.wait_for` in a driver may swallow one cancellation
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
        """Send requests that wait, in a task of its own: any of their callers may be cancelled."""
        some: list[_Entry[Request, Reply]] = []
        while self._waiting and len(some) < self._max_batch:
            entry = self._waiting.popleft()
            if not entry.reply.done():  # cancelled while it waited
                some.append(entry)
        if some:
            self._trips += 1
            task = asyncio.get_running_loop().create_task(self._run_trip(some))
            trip = _Trip(some, task)
            for entry in some:
                entry.trip = trip
            self._tasks.add(task)
            task.add_done_callback(self._on_trip_end)  # also where it is cancelled before it begins

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
        """Wait for the trips under way, and for those that wait for them.

        Args:
            limit: seconds after which what is still under way is cancelled; None: never.
        """
        deadline = Deadline(limit, "")
        while self._tasks and not deadline.is_over:
            await asyncio.wait(self._tasks, timeout=deadline.remaining())
        for task in self._tasks:
            task.cancel()
