"""I/O on an event loop: one connection under a lock, or a pool with as many operations as
connections. Statements that have to wait for a connection go together, as one pipeline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from checkpoint_base.batching import RequestBatcher
from checkpoint_base.plan import Atomic, InCallersTransaction, Unlimited, arun
from checkpoint_base.statements.requests import Execute, ExecuteMany, Query
from checkpoint_base.timeouts import CALL_TIMEOUT, Deadline, LoopDeadline, checked_call_timeout
from checkpoint_base.turns import LoopTurns, acquired
from checkpoint_base.watchdog import GRACE, LoopWatch
from checkpoint_postgres.conninfo import explained
from checkpoint_postgres.failures import ISOLATED, Attempts, denied, is_denied
from checkpoint_postgres.limits import STEP, sever, thread_of
from checkpoint_postgres.requests import Attempt, encoded
from checkpoint_postgres.transactions import BEGIN, Use, joins, lock_of, warn_uncommitted

_BATCHES: Final = 16 if psycopg.AsyncPipeline.is_supported() else 1, 4
"""How many statements go together at most, once so many trips are under way."""

_LARGE: Final = 1 << 16
"""With a value of more bytes than this a statement holds up nobody: it has its own connection."""

_LOCK_TIMEOUT: Final = b"SELECT set_config('lock_timeout', '50ms', true)"
"""How long statements that went together wait for a thread's row that one of them needs. Then each
is tried alone. The setting ends with their transaction.
"""

Connection = psycopg.AsyncConnection[Any]
Cursor = psycopg.AsyncRawCursor[Any]


class OneConnection:
    """A connection, for one operation at a time. `reconnect` gets another one if it is ours."""

    width: Final = 1
    is_pool: Final = False

    def __init__(
        self, connection: Connection, reconnect: Callable[[], Awaitable[Connection]] | None = None
    ) -> None:
        self.connection = connection
        self._reconnect = reconnect
        self._lock = lock_of(connection, asyncio.Lock)

    @asynccontextmanager
    async def borrow(self, deadline: Deadline, *, checked: bool) -> AsyncIterator[Connection]:
        """The connection; if it is lost and ours, a new one."""
        await acquired(self._lock, deadline)
        try:
            if self._reconnect is not None and (checked or self.connection.closed):
                await self.connection.close()
                with LoopDeadline.until(deadline):
                    self.connection = await self._reconnect()
                lock_of(self.connection, lambda: self._lock)
            async with _watched(self.connection, deadline):
                yield self.connection
        finally:
            self._lock.release()

    async def close(self) -> None:
        """Close the connection, which is ours."""
        await self.connection.close()


class FromPool:
    """Connections of a pool."""

    is_pool: Final = True

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    @property
    def width(self) -> int:
        """How many connections there may be."""
        return self._pool.max_size

    @asynccontextmanager
    async def borrow(self, deadline: Deadline, *, checked: bool) -> AsyncIterator[Connection]:
        """A connection; with `checked`, one whose server answers."""
        try:
            connection = await (self._checked(deadline) if checked else self._get(deadline))
        except PoolTimeout as error:
            raise explained(error, self._pool.connection_class, deadline) from error
        try:
            async with _watched(connection, deadline):
                yield connection
        finally:
            await self._pool.putconn(connection)

    async def close(self) -> None:
        """Nothing: the pool is closed by whoever opened it."""

    async def _get(self, deadline: Deadline) -> Connection:
        left = deadline.remaining(self._pool.timeout)
        connection: Connection = await self._pool.getconn(left)
        return connection

    async def _checked(self, deadline: Deadline) -> Connection:
        for _ in range(self._pool.max_size):
            connection = await self._get(deadline)
            try:
                async with _watched(connection, deadline):
                    await self._pool.check_connection(connection)
            except psycopg.OperationalError:
                await self._pool.putconn(connection)  # the pool replaces it
            except BaseException:  # the caller was cancelled
                await self._pool.putconn(connection)
                raise
            else:
                return connection
        return await self._get(deadline)


class UndoneError(Exception):
    """Statements that went together did not all succeed: each has to be tried again alone."""


class AsyncPostgresDriver:
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
        source: OneConnection | FromPool,
        *,
        by_thread: bool = False,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        self._source = source
        self.call_timeout = checked_call_timeout(call_timeout)
        max_batch, min_concurrency = _BATCHES if by_thread else (1, source.width)
        self._batcher = RequestBatcher[Any, Any](
            self._send,
            max_batch=max_batch,
            min_concurrency=min_concurrency,
            max_concurrency=lambda: source.width,
        )
        self._turns = LoopTurns() if by_thread and source.is_pool else None

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        deadline = Deadline(self.call_timeout, STEP)
        if isinstance(request, Unlimited):
            request, deadline = request.request, Deadline(None, STEP)
        if isinstance(request, InCallersTransaction):
            return await self._in_callers_transaction(deadline)
        if isinstance(request, (Query, Attempt)) and not _is_large(request.values):
            callers = self._callers(request)
            # While one waits for the thread's row, the next ones go together; the others wait.
            if callers < 2:
                try:
                    return await self._batcher.send(request, deadline, at_once=callers == 0)
                except UndoneError:
                    pass  # each is tried alone, and the one that failed raises its own error
        return await self._alone(request, deadline)

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
            async with self._source.borrow(deadline, checked=False) as connection:
                if not self._source.is_pool and not connection.autocommit:
                    raise UndoneError  # each decides whether it is in the caller's transaction
                return await _together(connection, requests)
        except Exception as error:  # one's values may not even be sendable
            raise UndoneError from error

    async def _alone(self, request: Any, deadline: Deadline) -> Any:
        thread_id = None if self._turns is None else thread_of(request)
        if self._turns is None or thread_id is None:
            return await self._attempted(request, deadline)
        async with self._turns.turn(thread_id, deadline):
            return await self._attempted(request, deadline)

    async def _attempted(self, request: Any, deadline: Deadline) -> Any:
        attempts, alone = Attempts(deadline), partial(self._alone, deadline=deadline)
        while True:
            use = Use(deadline)
            try:
                async with self._source.borrow(deadline, checked=attempts.checked) as connection:
                    try:
                        return await _once(connection, request, use, from_pool=self._source.is_pool)
                    finally:
                        use.ended(connection)
            except psycopg.Error as error:
                if type(request) is Attempt and isinstance(error, UniqueViolation):
                    return None
                if is_denied(error, request):
                    raise await arun(denied(error), alone) from error
                await asyncio.sleep(attempts.after(error, use))

    async def _in_callers_transaction(self, deadline: Deadline) -> bool:
        if self._source.is_pool:
            return False
        async with self._source.borrow(deadline, checked=False) as connection:
            return await _status(connection) != TransactionStatus.IDLE


def _watched(connection: Connection, deadline: Deadline) -> LoopWatch:
    """Until the deadline: then the statement is cancelled, or its connection lost."""
    return LoopWatch(deadline, (connection, asyncio.get_running_loop()), _cancel, _sever)


def _cancel(at: tuple[Connection, asyncio.AbstractEventLoop]) -> None:
    connection, loop = at
    cancelling = connection.cancel_safe(timeout=GRACE)
    asyncio.run_coroutine_threadsafe(cancelling, loop).result(GRACE)


def _sever(at: tuple[Connection, asyncio.AbstractEventLoop]) -> None:
    sever(at[0])


def _is_large(values: Sequence[Any]) -> bool:
    return any(type(value) is bytes and len(value) > _LARGE for value in values)


async def _together(connection: Connection, requests: Sequence[Any]) -> list[Any]:
    """The replies to some statements: one round trip, one transaction, committed."""
    if await _status(connection) != TransactionStatus.IDLE:
        raise UndoneError  # in the caller's transaction each is a savepoint of its own
    prepare = None if connection.prepare_threshold is None else True
    # Everybody takes the threads' rows in the same order: nobody waits for one who waits for him.
    order = sorted(requests, key=_first_thread)
    cursors = {id(one): psycopg.AsyncRawCursor(connection, row_factory=tuple_row) for one in order}
    async with _autocommit(connection), connection.pipeline():
        if thread_of(order[-1]) is not None:  # writes come last
            await connection.execute(_LOCK_TIMEOUT, prepare=prepare)
        for one in order:
            await _execute(cursors[id(one)], one, prepare)
    return [await cursors[id(one)].fetchall() for one in requests]


def _first_thread(request: Any) -> tuple[bool, str]:
    thread_id = thread_of(request)
    return thread_id is not None, thread_id or ""


async def _status(connection: Connection) -> TransactionStatus:
    """Where the connection is, once the statements before this one are done."""
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        async with connection.pipeline() as pipeline:
            await pipeline.sync()
    async with connection.lock:
        return connection.info.transaction_status


async def _once(connection: Connection, request: Any, use: Use, *, from_pool: bool) -> Any:
    """Perform a request on a connection: in a transaction of its own, or in the caller's."""
    status = await _status(connection)
    use.joined = joins(connection, request, status=status, from_pool=from_pool)
    if use.joined:
        async with _savepoint(connection, begins=status == TransactionStatus.IDLE):
            return await _in_transaction(connection, request, use)
    async with _autocommit(connection):
        if isinstance(request, Atomic):
            async with connection.transaction():
                if not request.write:
                    await connection.execute(ISOLATED)
                return await _in_transaction(connection, request, use)
        return await _in_transaction(connection, request, use)


@asynccontextmanager
async def _savepoint(connection: Connection, *, begins: bool) -> AsyncIterator[None]:
    """A savepoint in the caller's transaction, which psycopg begins first if `begins`."""
    try:
        if begins:
            warn_uncommitted(connection)
            await psycopg.AsyncRawCursor(connection).execute(BEGIN, prepare=False)
        async with connection.transaction():
            yield
    except BaseException:
        if begins and not connection.closed:
            await connection.rollback()  # nothing of the caller's is in it
        raise


async def _in_transaction(connection: Connection, request: Any, use: Use) -> Any:
    async with psycopg.AsyncRawCursor(connection, row_factory=tuple_row) as cursor:
        prepare = None if connection.prepare_threshold is None else True
        if isinstance(request, Atomic):
            return await arun(request.make(), partial(_next, cursor, prepare, use))
        return await _perform(cursor, prepare, use, request)


async def _next(cursor: Cursor, prepare: bool | None, use: Use, request: Any) -> Any:
    """Perform a request of a plan that is in a transaction: each has as much time."""
    use.deadline.restart()
    return await _perform(cursor, prepare, use, request)


async def _perform(cursor: Cursor, prepare: bool | None, use: Use, request: Any) -> Any:
    kind = type(request)
    if kind is ExecuteMany:
        await cursor.executemany(encoded(request.sql), request.rows)
        return (await _done(cursor)).rowcount
    if kind is Query or kind is Attempt:
        return await (await _done(await _execute(cursor, request, prepare))).fetchall()
    if kind is Execute:
        return (await _done(await _execute(cursor, request, prepare))).rowcount
    if kind is InCallersTransaction:
        return use.joined
    raise TypeError(f"cannot perform {request!r}")


async def _execute(cursor: Cursor, request: Any, prepare: bool | None) -> Cursor:
    sql = encoded(request.sql)
    return await cursor.execute(sql, request.values or None, prepare=prepare, binary=True)


async def _done(cursor: Cursor) -> Cursor:
    """The cursor, with its results: in pipeline mode, the caller's, they have to be asked for."""
    if cursor.connection.pgconn.pipeline_status != PipelineStatus.OFF:
        async with cursor.connection.pipeline() as pipeline:
            await pipeline.sync()
    return cursor


@asynccontextmanager
async def _autocommit(connection: Connection) -> AsyncIterator[None]:
    """The owner of the connection may not have asked for autocommit: nothing is sent to change
    it.
    """
    if connection.autocommit:
        yield
        return
    await connection.set_autocommit(True)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.set_autocommit(False)
