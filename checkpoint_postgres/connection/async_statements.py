"""The driver that runs requests in transactions of their own or in the caller's, and its sources of
connections: one connection under a lock, or a pool.

`sync_driver` is made of this file: python -m tests.sync_twins.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from checkpoint_base.batching.thread_queue import LoopTurns, acquired
from checkpoint_base.deadlines.timeouts import (
    CALL_TIMEOUT,
    Deadline,
    LoopDeadline,
    checked_call_timeout,
)
from checkpoint_base.plan import Atomic, InCallersTransaction, Unlimited, arun
from checkpoint_base.sql.requests import Execute, ExecuteMany, Query
from checkpoint_postgres.connection.conninfo import explained
from checkpoint_postgres.connection.errors import ISOLATED, PostgresRetryPolicy, denied, is_denied
from checkpoint_postgres.connection.limits import STEP, awatched, thread_of
from checkpoint_postgres.connection.requests import ConditionalWrite, encoded
from checkpoint_postgres.connection.transactions import BEGIN, Use, joins, lock_of, warn_uncommitted

Connection = psycopg.AsyncConnection[Any]
Cursor = psycopg.AsyncRawCursor[Any]


class AsyncSingleConnection:
    """One connection under a lock, for one operation at a time.

    Args:
        connection: open.
        reconnect: opens a new connection when this one is lost; None: it is not replaced.
    """

    width: Final = 1
    is_pool: Final = False

    def __init__(
        self, connection: Connection, reconnect: Callable[[], Awaitable[Connection]] | None = None
    ) -> None:
        self.connection = connection
        self._reconnect = reconnect
        self._lock = lock_of(connection, asyncio.Lock)

    @asynccontextmanager
    async def acquire(self, deadline: Deadline, *, validate: bool) -> AsyncIterator[Connection]:
        """Lock and yield the connection. If it is closed, or with `validate`, `reconnect` replaces
        it before.
        """
        await acquired(self._lock, deadline)
        try:
            if self._reconnect is not None and (validate or self.connection.closed):
                await self.connection.close()
                with LoopDeadline.until(deadline):
                    self.connection = await self._reconnect()
                lock_of(self.connection, lambda: self._lock)
            async with awatched(self.connection, deadline):
                yield self.connection
        finally:
            self._lock.release()

    async def close(self) -> None:
        """Close the connection, if this library has opened it."""
        await self.connection.close()


class AsyncPooledConnections:
    """Connections of a pool."""

    is_pool: Final = True

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    @property
    def width(self) -> int:
        """The pool's maximum of connections."""
        return self._pool.max_size

    @asynccontextmanager
    async def acquire(self, deadline: Deadline, *, validate: bool) -> AsyncIterator[Connection]:
        """Yield a connection; with `validate`, one whose server answers."""
        try:
            connection = await (self._validated(deadline) if validate else self._get(deadline))
        except PoolTimeout as error:
            raise explained(error, self._pool.connection_class, deadline) from error
        try:
            async with awatched(connection, deadline):
                yield connection
        finally:
            await self._pool.putconn(connection)

    async def close(self) -> None:
        """Do nothing: the pool is closed where it was opened."""

    async def _get(self, deadline: Deadline) -> Connection:
        left = deadline.remaining(self._pool.timeout)
        connection: Connection = await self._pool.getconn(left)
        return connection

    async def _validated(self, deadline: Deadline) -> Connection:
        for _ in range(self._pool.max_size):
            connection = await self._get(deadline)
            try:
                async with awatched(connection, deadline):
                    await self._pool.check_connection(connection)
            except psycopg.OperationalError:
                await self._pool.putconn(connection)  # the pool replaces it
            except BaseException:  # the caller was cancelled
                await self._pool.putconn(connection)
                raise
            else:
                return connection
        return await self._get(deadline)


class AsyncStatementDriver:
    """Performs the requests of plans, for any number of callers.

    Args:
        source: gives connections.
        by_thread: whether each `ConditionalWrite` locks the row of one thread only, whose id is its
            first value. Then, on a pool, writes to one thread queue in this process, instead of
            each holding a connection while it waits for the lock.
        call_timeout: seconds for each step; None: no limit.
    """

    def __init__(
        self,
        source: AsyncSingleConnection | AsyncPooledConnections,
        *,
        by_thread: bool = False,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        self._source = source
        self.call_timeout = checked_call_timeout(call_timeout)
        self._turns = LoopTurns() if by_thread and source.is_pool else None

    async def perform(self, request: Any) -> Any:
        """Perform a request that a plan yields outside of a transaction."""
        deadline = Deadline(self.call_timeout, STEP)
        if isinstance(request, Unlimited):
            request, deadline = request.request, Deadline(None, STEP)
        if isinstance(request, InCallersTransaction):
            return await self._in_callers_transaction(deadline)
        return await self._alone(request, deadline)

    async def _alone(self, request: Any, deadline: Deadline) -> Any:
        thread_id = None if self._turns is None else thread_of(request)
        if self._turns is None or thread_id is None:
            return await self._attempted(request, deadline)
        async with self._turns.turn(thread_id, deadline):
            return await self._attempted(request, deadline)

    async def _attempted(self, request: Any, deadline: Deadline) -> Any:
        attempts, alone = PostgresRetryPolicy(deadline), partial(self._alone, deadline=deadline)
        while True:
            use = Use(deadline)
            try:
                async with self._source.acquire(deadline, validate=attempts.checked) as connection:
                    try:
                        return await _once(connection, request, use, from_pool=self._source.is_pool)
                    finally:
                        use.ended(connection)
            except psycopg.Error as error:
                if type(request) is ConditionalWrite and isinstance(error, UniqueViolation):
                    return None
                if is_denied(error, request):
                    raise await arun(denied(error), alone) from error
                await asyncio.sleep(attempts.after(error, use))

    async def _in_callers_transaction(self, deadline: Deadline) -> bool:
        if self._source.is_pool:
            return False
        async with self._source.acquire(deadline, validate=False) as connection:
            return await status_of(connection) != TransactionStatus.IDLE


async def status_of(connection: Connection) -> TransactionStatus:
    """The transaction status of a connection, once all statements of its pipeline are done."""
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        async with connection.pipeline() as pipeline:
            await pipeline.sync()
    async with connection.lock:
        return connection.info.transaction_status


async def _once(connection: Connection, request: Any, use: Use, *, from_pool: bool) -> Any:
    """Perform a request on a connection: in a transaction of its own, or in the caller's."""
    status = await status_of(connection)
    use.joined = joins(connection, request, status=status, from_pool=from_pool)
    if use.joined:
        async with _savepoint(connection, begins=status == TransactionStatus.IDLE):
            return await _in_transaction(connection, request, use)
    async with autocommitting(connection):
        if isinstance(request, Atomic):
            async with connection.transaction():
                if not request.write:
                    await connection.execute(ISOLATED)
                return await _in_transaction(connection, request, use)
        return await _in_transaction(connection, request, use)


@asynccontextmanager
async def _savepoint(connection: Connection, *, begins: bool) -> AsyncIterator[None]:
    """Run the block in a savepoint of the caller's transaction. With `begins`, none is open yet,
    and psycopg begins one.
    """
    try:
        if begins:
            warn_uncommitted(connection)
            await psycopg.AsyncRawCursor(connection).execute(BEGIN, prepare=False)
        async with connection.transaction():
            yield
    except BaseException:
        if begins and not connection.closed:
            await connection.rollback()  # the caller has done nothing in it
        raise


async def _in_transaction(connection: Connection, request: Any, use: Use) -> Any:
    async with psycopg.AsyncRawCursor(connection, row_factory=tuple_row) as cursor:
        prepare = _preparation(connection)
        if isinstance(request, Atomic):
            return await arun(request.make(), partial(_next, cursor, prepare, use))
        return await _perform(cursor, prepare, use, request)


def _preparation(connection: Connection) -> bool | None:
    """Whether to prepare each statement; None: psycopg decides.

    In a pipeline of the caller's psycopg decides. When a statement there drops or alters something,
    psycopg deallocates all prepared statements only after it has prepared the next ones, and then
    executes them by names that the server no longer has.
    """
    in_pipeline = connection.pgconn.pipeline_status != PipelineStatus.OFF
    return None if in_pipeline or connection.prepare_threshold is None else True


async def _next(cursor: Cursor, prepare: bool | None, use: Use, request: Any) -> Any:
    """Perform a request that a plan yields inside a transaction; each may take `call_timeout`."""
    use.deadline.restart()
    return await _perform(cursor, prepare, use, request)


async def _perform(cursor: Cursor, prepare: bool | None, use: Use, request: Any) -> Any:
    if isinstance(request, InCallersTransaction):
        return use.joined
    reply = _REPLIES.get(type(request))
    if reply is None:
        raise TypeError(f"cannot perform {request!r}")
    if isinstance(request, ExecuteMany):
        await cursor.executemany(encoded(request.sql), request.rows)
    else:
        sql, values = encoded(request.sql), request.values or None
        await cursor.execute(sql, values, prepare=prepare, binary=True)
    return await reply(await _done(cursor))


async def _rows(cursor: Cursor) -> Any:
    return await cursor.fetchall()


async def _changed(cursor: Cursor) -> Any:
    return cursor.rowcount


_REPLIES: Final[Mapping[Any, Callable[[Cursor], Awaitable[Any]]]] = {
    Query: _rows,
    ConditionalWrite: _rows,
    Execute: _changed,
    ExecuteMany: _changed,
}
"""How the reply to a request is read from the cursor, by the request's class."""


async def _done(cursor: Cursor) -> Cursor:
    """The cursor with its results, which need a sync if the caller has a pipeline open."""
    if cursor.connection.pgconn.pipeline_status != PipelineStatus.OFF:
        async with cursor.connection.pipeline() as pipeline:
            await pipeline.sync()
    return cursor


@asynccontextmanager
async def autocommitting(connection: Connection) -> AsyncIterator[None]:
    """Run the block with autocommit on, then restore the owner's setting. This sends nothing."""
    if connection.autocommit:
        yield
        return
    await connection.set_autocommit(True)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.set_autocommit(False)
