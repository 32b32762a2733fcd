"""I/O on an event loop: statements that have to wait for a connection go together, as one
pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from checkpoint_base.batching.batcher import RequestBatcher
from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT, Deadline
from checkpoint_base.sql.requests import Query
from checkpoint_postgres.connection.async_statements import (
    AsyncPooledConnections,
    AsyncSingleConnection,
    AsyncStatementDriver,
    Connection,
    autocommitting,
    status_of,
)
from checkpoint_postgres.connection.limits import STEP, thread_of
from checkpoint_postgres.connection.requests import ConditionalWrite, encoded

_BATCHES: Final = 16 if psycopg.AsyncPipeline.is_supported() else 1, 4
"""How many statements go together at most, once so many trips are under way."""

_LARGE: Final = 1 << 16
"""With a value of more bytes than this a statement holds up nobody: it has its own connection."""

_LOCK_TIMEOUT: Final = b"SELECT set_config('lock_timeout', '50ms', true)"
"""How long statements that went together wait for a thread's row that one of them needs. Then each
is tried alone. The setting ends with their transaction.
"""


class UndoneError(Exception):
    """Statements that went together did not all succeed: each has to be tried again alone."""


class AsyncPostgresDriver(AsyncStatementDriver):
    """Performs plans, of any number of tasks.

    Args:
        source: of connections.
        by_thread: whether statements that write name first the thread whose row they lock, and
            lock no other: those that wait for a connection may become one transaction, and on a
            pool one of them at a time has a connection for a thread.
        call_timeout: seconds for each step; None: no limit.
    """

    def __init__(
        self,
        source: AsyncSingleConnection | AsyncPooledConnections,
        *,
        by_thread: bool = False,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        super().__init__(source, by_thread=by_thread, call_timeout=call_timeout)
        max_batch, min_concurrency = _BATCHES if by_thread else (1, source.width)
        self._batcher = RequestBatcher[Any, Any](
            self._send,
            max_batch=max_batch,
            min_concurrency=min_concurrency,
            max_concurrency=lambda: source.width,
        )

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        if isinstance(request, (Query, ConditionalWrite)) and not _is_large(request.values):
            callers = self._callers(request)
            # While one waits for the thread's row, the next ones go together; the others wait.
            if callers < 2:
                deadline = Deadline(self.call_timeout, STEP)
                try:
                    return await self._batcher.send(request, deadline, at_once=callers == 0)
                except UndoneError:
                    # each is tried alone, and the one that failed raises its own error
                    return await self._alone(request, deadline)
        return await super().perform(request)

    async def aclose(self) -> None:
        """Wait for what callers who were cancelled have left under way."""
        await self._batcher.aclose(self.call_timeout)

    def _callers(self, request: Any) -> int:
        """How many statements about the same thread have a connection for themselves, or wait for
        that.
        """
        return 0 if self._turns is None else self._turns.callers(thread_of(request))

    async def _send(self, requests: Sequence[Any]) -> list[Any]:
        deadline = Deadline(self.call_timeout, STEP)
        if len(requests) == 1:
            if self._callers(requests[0]):
                raise UndoneError  # it waits for its turn, and holds up no others that wait here
            return [await self._alone(requests[0], deadline)]
        try:
            async with self._source.acquire(deadline, validate=False) as connection:
                if not self._source.is_pool and not connection.autocommit:
                    raise UndoneError  # each decides whether it is in the caller's transaction
                return await _together(connection, requests)
        except Exception as error:  # one's values may not even be sendable
            raise UndoneError from error


def _is_large(values: Sequence[Any]) -> bool:
    return any(type(value) is bytes and len(value) > _LARGE for value in values)


async def _together(connection: Connection, requests: Sequence[Any]) -> list[Any]:
    """The replies to some statements: one round trip, one transaction, committed."""
    if await status_of(connection) != TransactionStatus.IDLE:
        raise UndoneError  # in the caller's transaction each is a savepoint of its own
    prepare = None if connection.prepare_threshold is None else True
    # Everybody takes the threads' rows in the same order: nobody waits for one who waits for him.
    order = sorted(requests, key=_first_thread)
    cursors = {id(one): psycopg.AsyncRawCursor(connection, row_factory=tuple_row) for one in order}
    async with autocommitting(connection), connection.pipeline():
        if thread_of(order[-1]) is not None:  # writes come last
            await connection.execute(_LOCK_TIMEOUT, prepare=prepare)
        for one in order:
            sql, values = encoded(one.sql), one.values or None
            await cursors[id(one)].execute(sql, values, prepare=prepare, binary=True)
    return [await cursors[id(one)].fetchall() for one in requests]


def _first_thread(request: Any) -> tuple[bool, str]:
    thread_id = thread_of(request)
    return thread_id is not None, thread_id or ""
