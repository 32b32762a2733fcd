"""Blocking I/O: writers that wait together commit together, and readers wait for no writer."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from checkpoint_base.plan import Atomic, Offload, Plan
from checkpoint_base.statements.requests import Query
from checkpoint_sqlite.failures import connection_of
from checkpoint_sqlite.session import Job, Session

A = TypeVar("A")
T = TypeVar("T")


class SyncSqliteDriver:
    """Performs plans on `sqlite3` connections, from any number of threads.

    Args:
        connection: for everything that writes.
        setup: the plan that makes the schema, run before anything else.
        reader: for reads, if they may have a connection of their own.
        synchronous: how a commit waits for the disk; None: as the connection has it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        setup: Callable[[], Plan[None]],
        reader: sqlite3.Connection | None = None,
        synchronous: str | None = None,
    ) -> None:
        self._setup: Callable[[], Plan[None]] | None = setup
        self._synchronous = synchronous
        self._writing, self._writer = Lock(), _session(connection)
        self._reading = Lock()
        self._reader = None if reader is None else _session(reader, "reader")
        self._waiting: deque[Job[Any]] = deque()

    @property
    def is_set_up(self) -> bool:
        """Whether the schema has been made or looked at, as the first request does."""
        return self._setup is None

    def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction yet."""
        if isinstance(request, Offload):
            return request.work()
        if self._setup is not None:
            self._prepare()
        if isinstance(request, Query):
            return self._read(Session.query, request)
        if not isinstance(request, Atomic):
            raise TypeError(f"cannot perform {request!r} outside a transaction")
        job = Job(request.make(), write=request.write)
        if request.write:
            self._commit(job)
        else:
            self._read(Session.run_all, [job])
        return job.result()

    def _read(self, work: Callable[[Session, A], T], argument: A) -> T:
        # The writer's connection still has in memory what was just written: it is the better one
        # to read from, unless it is busy.
        if self._writing.acquire(self._reader is None):
            try:
                return work(self._writer, argument)
            finally:
                self._writing.release()
        with self._reading:
            return work(self._reader or self._writer, argument)

    def _commit(self, job: Job[Any]) -> None:
        self._waiting.append(job)
        with self._writing:
            if not job.done:
                # Whoever got the lock commits for all that wait for it: they find their jobs done.
                self._writer.run_all([self._waiting.popleft() for _ in range(len(self._waiting))])

    def _prepare(self) -> None:
        with self._writing:
            if self._setup is not None:
                self._writer.prepare(self._setup, self._synchronous)
                self._setup = None


def _session(connection: Any, argument: str = "conn") -> Session:
    return Session(connection_of(connection, sqlite3.Connection, argument))
