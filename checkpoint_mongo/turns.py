"""Transactions on one thread take turns in a process: in the database they would conflict."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

L = TypeVar("L", threading.Lock, asyncio.Lock)


class Turns(Generic[L]):
    """Locks by thread id. An unused one is dropped.

    Args:
        new: makes a lock.
    """

    def __init__(self, new: Callable[[], L]) -> None:
        self._new: Callable[[], L] = new
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[L, int]] = {}

    @contextmanager
    def lock(self, thread_id: str) -> Iterator[L]:
        """The lock of a thread, not acquired yet."""
        with self._guard:
            lock, users = self._locks.get(thread_id) or (self._new(), 0)
            self._locks[thread_id] = lock, users + 1
        try:
            yield lock
        finally:
            with self._guard:
                _, users = self._locks.pop(thread_id)
                if users > 1:
                    self._locks[thread_id] = lock, users - 1
