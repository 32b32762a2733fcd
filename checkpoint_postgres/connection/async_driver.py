"""The driver for event loops: statements that wait for a connection are sent as one pipeline."""

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
"""(maximum of statements in a pipeline, busy connections from which on statements are batched)"""

_LARGE: Final = 1 << 16
"""Bytes. A statement with a larger value is not batched, so that it does not delay others."""

_LOCK_TIMEOUT: Final = b"SELECT set_config('lock_timeout', '50ms', true)"
"""Limits how long a pipeline waits for the lock of a thread's row. If that expires, its statements
are retried one by one. The setting ends with the transaction.
"""


class UndoneError(Exception):
    """A pipeline failed and was rolled back: each of its statements has to be retried alone."""


class AsyncPostgresDriver(AsyncStatementDriver):
    """Performs the requests of plans, for any number of tasks.

    Args:
        source: gives connections.
        by_thread: whether each `ConditionalWrite` locks the row of one thread only, whose id is its
            first value. Then statements that wait for a connection may share a transaction; and on
            a pool, writes to one thread queue in this process, instead of each holding a
            connection while it waits for the lock.
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
        """Perform a request that a plan yields outside of a transaction."""
        if isinstance(request, (Query, ConditionalWrite)) and not _is_large(request.values):
            callers = self._callers(request)
            # If one statement about this thread runs alone, the next ones wait for a batch. If
            # another queues for the thread as well, they queue behind it.
            if callers < 2:
                deadline = Deadline(self.call_timeout, STEP)
                try:
                    return await self._batcher.send(request, deadline, at_once=callers == 0)
                except UndoneError:
                    # each statement is tried alone, and the one that failed raises its own error
                    return await self._alone(request, deadline)
        return await super().perform(request)

    async def aclose(self) -> None:
        """Wait for batches that cancelled callers have left running."""
        await self._batcher.aclose(self.call_timeout)

    def _callers(self, request: Any) -> int:
        """How many statements about the same thread run alone, or queue for it."""
        return 0 if self._turns is None else self._turns.callers(thread_of(request))

    async def _send(self, requests: Sequence[Any]) -> list[Any]:
        deadline = Deadline(self.call_timeout, STEP)
        if len(requests) == 1:
            if self._callers(requests[0]):
                raise UndoneError  # it queues for its thread outside of the batcher
            return [await self._alone(requests[0], deadline)]
        try:
            async with self._source.acquire(deadline, validate=False) as connection:
                if not self._source.is_pool and not connection.autocommit:
                    raise UndoneError  # each statement may join the caller's transaction
                return await _together(connection, requests)
        except Exception as error:  # e.g. psycopg cannot adapt a value of one statement
            raise UndoneError from error


def _is_large(values: Sequence[Any]) -> bool:
    return any(type(value) is bytes and len(value) > _LARGE for value in values)


async def _together(connection: Connection, requests: Sequence[Any]) -> list[Any]:
    """Perform and commit statements in one round trip and transaction; returns their replies."""
    if await status_of(connection) != TransactionStatus.IDLE:
        raise UndoneError  # in the caller's transaction each is a savepoint of its own
    prepare = None if connection.prepare_threshold is None else True
    # Lock the threads' rows in sorted order to avoid deadlocks between pipelines.
    order = sorted(requests, key=_first_thread)
    cursors = {id(one): psycopg.AsyncRawCursor(connection, row_factory=tuple_row) for one in order}
    async with autocommitting(connection), connection.pipeline():
        if thread_of(order[-1]) is not None:  # writes are sorted last
            await connection.execute(_LOCK_TIMEOUT, prepare=prepare)
        for one in order:
            sql, values = encoded(one.sql), one.values or None
            await cursors[id(one)].execute(sql, values, prepare=prepare, binary=True)
    return [await cursors[id(one)].fetchall() for one in requests]


def _first_thread(request: Any) -> tuple[bool, str]:
    thread_id = thread_of(request)
    return thread_id is not None, thread_id or ""
