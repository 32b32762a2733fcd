"""Per-thread queues: calls about one LangGraph thread wait in this process for their turn.

Without a queue, each call that waits for the thread's lock in the database would hold a connection,
and calls about other threads could find the pool exhausted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Final, Generic, TypeVar

from checkpoint_base.deadlines.timeouts import Deadline, LoopDeadline

L = TypeVar("L", Lock, asyncio.Lock)


@dataclass
class _Queue(Generic[L]):
    lock: L
    callers: int = 0


class _Turns(Generic[L]):
    """One lock per key, kept only while a caller holds or awaits it.

    Args:
        make: creates a lock.
    """

    def __init__(self, make: Callable[[], L]) -> None:
        self._make: Callable[[], L] = make
        self._queues: dict[str, _Queue[L]] = {}
        self._guard: Final = Lock()

    def callers(self, key: str | None) -> int:
        """The number of callers that hold the key's lock or wait for it."""
        queue = self._queues.get(key) if key is not None else None
        return 0 if queue is None else queue.callers

    def _enter(self, key: str) -> L:
        with self._guard:
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = _Queue(self._make())
            queue.callers += 1
            return queue.lock

    def _leave(self, key: str) -> None:
        with self._guard:
            queue = self._queues[key]
            queue.callers -= 1
            if not queue.callers:
                del self._queues[key]


class Turns(_Turns[Lock]):
    """Per-key locks for blocking callers."""

    def __init__(self) -> None:
        super().__init__(Lock)

    @contextmanager
    def turn(self, key: str, deadline: Deadline) -> Iterator[None]:
        """Hold the key's lock during the block.

        Raises:
            BackendUnavailableError: the lock was not free before the deadline.
        """
        lock = self._enter(key)
        try:
            acquired_by_thread(lock, deadline)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._leave(key)


class LoopTurns(_Turns[asyncio.Lock]):
    """Per-key locks for the tasks of one event loop."""

    def __init__(self) -> None:
        super().__init__(asyncio.Lock)

    @asynccontextmanager
    async def turn(self, key: str, deadline: Deadline) -> AsyncIterator[None]:
        """`Turns.turn`, on an event loop."""
        lock = self._enter(key)
        try:
            await acquired(lock, deadline)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._leave(key)


def acquired_by_thread(lock: Lock, deadline: Deadline) -> None:
    """Acquire a lock, blocking.

    Raises:
        BackendUnavailableError: the lock was not free before the deadline.
    """
    left = deadline.remaining()
    if not lock.acquire(timeout=-1 if left is None else left):
        raise deadline.error()


async def acquired(lock: asyncio.Lock, deadline: Deadline) -> None:
    """`acquired_by_thread`, on an event loop."""
    if not lock.locked():
        await lock.acquire()
        return
    with LoopDeadline.until(deadline):
        await lock.acquire()
