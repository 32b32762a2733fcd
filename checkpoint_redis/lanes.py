"""Calls of many tasks on few connections: those that wait go together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from checkpoint_redis.commands import Command

LANES: Final = 4
"""Round trips at a time. Who comes later waits for one, and goes with the others that wait."""
TOGETHER: Final = 64
"""Commands of one round trip."""

_ALONE: Final = 1 << 16
"""With an argument of more bytes than this a command holds up nobody: it has its own connection."""

Replies = list[Any]
Send = Callable[[Sequence[Command]], Awaitable[Replies]]


class Lanes:
    """Sends commands, on one event loop.

    A pipeline of many commands takes less of this process's time than many round trips, and where
    nobody waits nothing is put off.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._busy = 0
        self._waiting: deque[tuple[Sequence[Command], asyncio.Future[Replies]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, commands: Sequence[Command]) -> Replies:
        """The replies to some commands, errors of the server among them."""
        if any(type(arg) is bytes and len(arg) > _ALONE for one in commands for arg in one):
            return await self._send(commands)
        if self._busy >= LANES:
            future: asyncio.Future[Replies] = asyncio.get_running_loop().create_future()
            self._waiting.append((commands, future))
            return await future
        self._busy += 1
        try:
            return await self._send(commands)
        finally:
            self._busy -= 1
            self._next()

    def _next(self) -> None:
        """Let go those that wait, in a task of their own: a caller may be cancelled."""
        if not self._waiting or self._busy >= LANES:
            return
        some: list[tuple[Sequence[Command], asyncio.Future[Replies]]] = []
        size = 0
        while self._waiting and (not some or size + len(self._waiting[0][0]) <= TOGETHER):
            commands, future = self._waiting.popleft()
            if not future.done():  # cancelled while it waited
                some.append((commands, future))
                size += len(commands)
        if some:
            self._busy += 1
            task = asyncio.get_running_loop().create_task(self._together(some))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _together(
        self, some: Sequence[tuple[Sequence[Command], asyncio.Future[Replies]]]
    ) -> None:
        try:
            replies = await self._send([one for commands, _ in some for one in commands])
            for commands, future in some:
                own, replies = replies[: len(commands)], replies[len(commands) :]
                if not future.done():
                    future.set_result(own)
        except BaseException as error:
            for _, future in some:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._busy -= 1
            self._next()
