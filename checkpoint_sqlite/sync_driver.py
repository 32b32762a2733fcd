"""Blocking I/O: one connection, one lock. Writers that wait together commit together."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from checkpoint_base.plan import Atomic, Offload, Plan
from checkpoint_sqlite.session import Job, Session

T = TypeVar("T")


class SyncSqliteDriver:
    """Performs plans on a `sqlite3.Connection`, from any number of threads."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        setup: Callable[[], Plan[None]],
        synchronous: str | None = None,
    ) -> None:
        self._session = Session(connection)
        self._setup: Callable[[], Plan[None]] | None = setup
        self._synchronous = synchronous
        self._lock = Lock()
        self._waiting: deque[Job[Any]] = deque()

    def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction yet."""
        if isinstance(request, Atomic):
            return self._transact(request)
        if isinstance(request, Offload):
            return request.work()
        raise TypeError(f"cannot perform {request!r} outside a transaction")

    def _transact(self, request: Atomic[T]) -> T:
        job = Job(request.make(), write=request.write)
        if request.write:
            self._waiting.append(job)
        with self._lock:
            if not job.done:
                self._prepare()
                self._session.run_all(self._take() if request.write else [job])
        return job.result()

    def _take(self) -> list[Job[Any]]:
        # Whoever got the lock commits for all that wait for it: they find their jobs done.
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def _prepare(self) -> None:
        if self._setup is not None:
            self._session.prepare(self._setup, self._synchronous)
            self._setup = None
