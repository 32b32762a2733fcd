"""Requests of many tasks on few connections: those that wait go together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Request = TypeVar("Request")
Reply = TypeVar("Reply")


class Lanes(Generic[Request, Reply]):
    """Sends requests, on one event loop.

    One trip for many requests takes less of everybody's time than many trips, and where nobody
    waits nothing is put off.

    Args:
        send: sends some requests in one trip. What it raises, all of them get.
        together: how many requests of one trip.
        narrow: how many trips at a time. Who comes later waits, and goes with others that wait.
        width: how many there may be at a time, if none ends within `patience`.
        patience: seconds.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Request]], Awaitable[Sequence[Reply]]],
        together: int,
        narrow: int,
        width: Callable[[], int],
        patience: float = 0.002,
    ) -> None:
        self._send = send
        self._together = together
        self._narrow = narrow
        self._width = width
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None
        self._busy = 0
        self._waiting: deque[tuple[Request, asyncio.Future[Reply]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, request: Request) -> Reply:
        """The reply to a request."""
        if self._busy >= min(self._narrow, self._width()):
            future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            self._waiting.append((request, future))
            self._be_patient()
            return await future
        self._busy += 1
        try:
            (reply,) = await self._send((request,))
            return reply
        finally:
            self._busy -= 1
            self._next()

    def _be_patient(self) -> None:
        if self._timer is None and self._busy < self._width():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._patience, self._widen)

    def _widen(self) -> None:
        self._timer = None
        if self._busy < self._width():
            self._next()
        if self._waiting:
            self._be_patient()

    def _next(self) -> None:
        """Let go those that wait, in a task of their own: a caller may be cancelled."""
        some: list[tuple[Request, asyncio.Future[Reply]]] = []
        while self._waiting and len(some) < self._together:
            entry = self._waiting.popleft()
            if not entry[1].done():  # cancelled while it waited
                some.append(entry)
        if some:
            self._busy += 1
            task = asyncio.get_running_loop().create_task(self._serve(some))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, some: Sequence[tuple[Request, asyncio.Future[Reply]]]) -> None:
        try:
            replies = await self._send([request for request, _ in some])
            for (_, future), reply in zip(some, replies, strict=True):
                if not future.done():
                    future.set_result(reply)
        except BaseException as error:
            for _, future in some:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._busy -= 1
            self._next()

    async def aclose(self) -> None:
        """Wait for the trips under way, and for those that wait for them."""
        while self._tasks:
            await asyncio.wait(self._tasks)
