"""Transactions on one thread take turns in a process: in the database they would conflict."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeVar

from checkpoint_base.timeouts import LoopDeadline, timed_out

L = TypeVar("L", threading.Lock, asyncio.Lock)
_STEP = "the wait for other writes to the thread"


class _Entry(Generic[L]):
    def __init__(self, lock: L) -> None:
        self.lock: L = lock
        self.users = 0


class ThreadTurns:
    """Locks by thread id, for blocking callers. An unused one is dropped."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._guard = threading.Lock()
        self._entries: dict[str, _Entry[threading.Lock]] = {}

    @contextmanager
    def turn(self, thread_id: str) -> Iterator[None]:
        """Hold the lock of a thread.

        Raises:
            BackendUnavailableError: other writers kept it for longer than `call_timeout`.
        """
        with self._guard:
            entry = self._entries.setdefault(thread_id, _Entry(threading.Lock()))
            entry.users += 1
        try:
            if not entry.lock.acquire(timeout=-1 if self._seconds is None else self._seconds):
                raise timed_out(self._seconds, _STEP)
            try:
                yield
            finally:
                entry.lock.release()
        finally:
            with self._guard:
                entry.users -= 1
                if not entry.users:
                    del self._entries[thread_id]


class TaskTurns:
    """Locks by thread id, for the tasks of one event loop. An unused one is dropped."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._entries: dict[str, _Entry[asyncio.Lock]] = {}

    @asynccontextmanager
    async def turn(self, thread_id: str) -> AsyncIterator[None]:
        """Hold the lock of a thread.

        Raises:
            BackendUnavailableError: other writers kept it for longer than `call_timeout`.
        """
        entry = self._entries.setdefault(thread_id, _Entry(asyncio.Lock()))
        entry.users += 1
        try:
            with LoopDeadline(self._seconds, _STEP):
                await entry.lock.acquire()
            try:
                yield
            finally:
                entry.lock.release()
        finally:
            entry.users -= 1
            if not entry.users:
                del self._entries[thread_id]
