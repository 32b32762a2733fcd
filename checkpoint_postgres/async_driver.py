"""I/O on an event loop: one connection under a lock, or a pool with as many operations as
connections. Statements that have to wait for a connection go together, as one pipeline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from checkpoint_base.lanes import Lanes
from checkpoint_base.plan import Atomic, Offload, arun
from checkpoint_base.statements.requests import Execute, ExecuteMany, Query
from checkpoint_postgres.conninfo import explained
from checkpoint_postgres.failures import ISOLATED, Attempts
from checkpoint_postgres.requests import Attempt, encoded

_TOGETHER: Final = 16 if psycopg.AsyncPipeline.is_supported() else 1
_NARROW: Final = 4

_LARGE: Final = 1 << 16
"""With a value of more bytes than this a statement holds up nobody: it has its own connection."""

T = TypeVar("T")
Connection = psycopg.AsyncConnection[Any]
Cursor = psycopg.AsyncRawCursor[Any]


class OneConnection:
    """A connection, for one operation at a time. `reconnect` gets another one if it is ours."""

    width: Final = 1

    def __init__(
        self, connection: Connection, reconnect: Callable[[], Awaitable[Connection]] | None = None
    ) -> None:
        self.connection = connection
        self._reconnect = reconnect
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def borrow(self, *, checked: bool) -> AsyncIterator[Connection]:
        """The connection; if it is lost and ours, a new one."""
        async with self._lock:
            if self._reconnect is not None and (checked or self.connection.closed):
                await self.connection.close()
                self.connection = await self._reconnect()
            yield self.connection

    async def close(self) -> None:
        """Close the connection, which is ours."""
        await self.connection.close()


class FromPool:
    """Connections of a pool."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    @property
    def width(self) -> int:
        """How many connections there may be."""
        return self._pool.max_size

    @asynccontextmanager
    async def borrow(self, *, checked: bool) -> AsyncIterator[Connection]:
        """A connection; with `checked`, one whose server answers."""
        try:
            connection = await (self._checked() if checked else self._pool.getconn())
        except PoolTimeout as error:
            raise explained(error, self._pool.connection_class) from error
        try:
            yield connection
        finally:
            await self._pool.putconn(connection)

    async def close(self) -> None:
        """Nothing: the pool is closed by whoever opened it."""

    async def _checked(self) -> Connection:
        for _ in range(self._pool.max_size):
            connection: Connection = await self._pool.getconn()
            try:
                await self._pool.check_connection(connection)
            except psycopg.OperationalError:
                await self._pool.putconn(connection)  # the pool replaces it
            except BaseException:  # the caller was cancelled
                await self._pool.putconn(connection)
                raise
            else:
                return connection
        lent: Connection = await self._pool.getconn()
        return lent


class UndoneError(Exception):
    """Statements that went together did not all succeed: each has to be tried again alone."""


class AsyncPostgresDriver:
    """Performs plans, of any number of tasks.

    Args:
        source: of connections.
        pipelined: whether statements that wait for a connection may become one transaction. Each
            of them locks at most one thread's row, the one it names first.
    """

    def __init__(self, source: OneConnection | FromPool, *, pipelined: bool = False) -> None:
        self._source = source
        together, narrow = (_TOGETHER, _NARROW) if pipelined else (1, source.width)
        self._lanes = Lanes[Any, Any](self._send, together, narrow, lambda: source.width)

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        if isinstance(request, Offload):
            return await asyncio.to_thread(request.work)
        if isinstance(request, (Query, Attempt)) and not _is_large(request.values):
            try:
                return await self._lanes.send(request)
            except UndoneError:
                pass  # who was at fault finds out alone
        return await self._alone(request)

    async def aclose(self) -> None:
        """Wait for what callers who were cancelled have left under way."""
        await self._lanes.aclose()

    async def _send(self, requests: Sequence[Any]) -> list[Any]:
        if len(requests) == 1:
            return [await self._alone(requests[0])]
        try:
            async with self._source.borrow(checked=False) as connection:
                return await _together(connection, requests)
        except Exception as error:  # one's values may not even be sendable
            raise UndoneError from error

    async def _alone(self, request: Any) -> Any:
        attempts = Attempts()
        while True:
            lost = False
            try:
                async with self._source.borrow(checked=attempts.checked) as connection:
                    try:
                        return await _once(connection, request)
                    finally:
                        lost = connection.closed
            except psycopg.Error as error:
                if type(request) is Attempt and isinstance(error, UniqueViolation):
                    return None
                await asyncio.sleep(attempts.after(error, lost=lost))


def _is_large(values: Sequence[Any]) -> bool:
    return any(type(value) is bytes and len(value) > _LARGE for value in values)


async def _together(connection: Connection, requests: Sequence[Any]) -> list[Any]:
    """The replies to some statements: one round trip, one transaction, committed."""
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise UndoneError  # its owner's transaction is not for all of these to share
    prepare = None if connection.prepare_threshold is None else True
    # Everybody takes the threads' rows in the same order: nobody waits for one who waits for him.
    order = sorted(requests, key=_first_thread)
    cursors = {id(one): psycopg.AsyncRawCursor(connection, row_factory=tuple_row) for one in order}
    async with _autocommit(connection), connection.pipeline():
        for one in order:
            await _execute(cursors[id(one)], one, prepare)
    return [await cursors[id(one)].fetchall() for one in requests]


def _first_thread(request: Any) -> tuple[bool, str]:
    is_write = type(request) is Attempt
    return is_write, request.values[0] if is_write else ""


async def _once(connection: Connection, request: Any) -> Any:
    """Perform a request on a connection: alone, or in the transaction that its owner has open."""
    if connection.info.transaction_status == TransactionStatus.INTRANS:
        async with connection.transaction():
            reply = await _in_transaction(connection, request)
        if not isinstance(request, Query) and getattr(request, "write", True):
            await connection.commit()
        return reply
    async with _autocommit(connection):
        if isinstance(request, Atomic):
            async with connection.transaction():
                if not request.write:
                    await connection.execute(ISOLATED)
                return await _in_transaction(connection, request)
        return await _in_transaction(connection, request)


async def _in_transaction(connection: Connection, request: Any) -> Any:
    async with psycopg.AsyncRawCursor(connection, row_factory=tuple_row) as cursor:
        prepare = None if connection.prepare_threshold is None else True
        perform = partial(_perform, cursor, prepare)
        if isinstance(request, Atomic):
            return await arun(request.make(), perform)
        return await perform(request)


async def _perform(cursor: Cursor, prepare: bool | None, request: Any) -> Any:
    kind = type(request)
    if kind is ExecuteMany:
        await cursor.executemany(encoded(request.sql), request.rows)
        return cursor.rowcount
    if kind is Offload:
        return await asyncio.to_thread(request.work)
    if kind is Query or kind is Attempt:
        return await (await _execute(cursor, request, prepare)).fetchall()
    if kind is Execute:
        return (await _execute(cursor, request, prepare)).rowcount
    raise TypeError(f"cannot perform {request!r}")


async def _execute(cursor: Cursor, request: Any, prepare: bool | None) -> Cursor:
    sql = encoded(request.sql)
    return await cursor.execute(sql, request.values or None, prepare=prepare, binary=True)


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
