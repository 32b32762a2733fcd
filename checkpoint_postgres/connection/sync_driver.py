"""The driver that runs requests in transactions of their own or in the caller's, and its sources of
connections: one connection under a lock, or a pool.

Made of `checkpoint_postgres/connection/async_statements.py`: python -m tests.sync_twins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Lock
from typing import Any, Final

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from checkpoint_base.batching.thread_queue import Turns, acquired_by_thread
from checkpoint_base.deadlines.timeouts import (
    CALL_TIMEOUT,
    Deadline,
    checked_call_timeout,
)
from checkpoint_base.plan import Atomic, InCallersTransaction, Unlimited, run
from checkpoint_base.sql.requests import Execute, ExecuteMany, Query
from checkpoint_postgres.connection.conninfo import explained
from checkpoint_postgres.connection.errors import ISOLATED, PostgresRetryPolicy, denied, is_denied
from checkpoint_postgres.connection.limits import STEP, thread_of, watched
from checkpoint_postgres.connection.requests import ConditionalWrite, encoded
from checkpoint_postgres.connection.transactions import BEGIN, Use, joins, lock_of, warn_uncommitted

Connection = psycopg.Connection[Any]
Cursor = psycopg.RawCursor[Any]


class SingleConnection:
    """One connection under a lock, for one operation at a time.

    Args:
        connection: open.
        reconnect: opens a new connection when this one is lost; None: it is not replaced.
    """

    width: Final = 1
    is_pool: Final = False

    def __init__(
        self, connection: Connection, reconnect: Callable[[], Connection] | None = None
    ) -> None:
        self.connection = connection
        self._reconnect = reconnect
        self._lock = lock_of(connection, Lock)

    @contextmanager
    def acquire(self, deadline: Deadline, *, validate: bool) -> Iterator[Connection]:
        """Lock and yield the connection. If it is closed, or with `validate`, `reconnect` replaces
        it before.
        """
        acquired_by_thread(self._lock, deadline)
        try:
            if self._reconnect is not None and (validate or self.connection.closed):
                self.connection.close()
                with nullcontext():
                    self.connection = self._reconnect()
                lock_of(self.connection, lambda: self._lock)
            with watched(self.connection, deadline):
                yield self.connection
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection, if this library has opened it."""
        self.connection.close()


class PooledConnections:
    """Connections of a pool."""

    is_pool: Final = True

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    @property
    def width(self) -> int:
        """The pool's maximum of connections."""
        return self._pool.max_size

    @contextmanager
    def acquire(self, deadline: Deadline, *, validate: bool) -> Iterator[Connection]:
        """Yield a connection; with `validate`, one whose server answers."""
        try:
            connection = self._validated(deadline) if validate else self._get(deadline)
        except PoolTimeout as error:
            raise explained(error, self._pool.connection_class, deadline) from error
        try:
            with watched(connection, deadline):
                yield connection
        finally:
            self._pool.putconn(connection)

    def close(self) -> None:
        """Do nothing: the pool is closed where it was opened."""

    def _get(self, deadline: Deadline) -> Connection:
        left = deadline.remaining(self._pool.timeout)
        connection: Connection = self._pool.getconn(left)
        return connection

    def _validated(self, deadline: Deadline) -> Connection:
        for _ in range(self._pool.max_size):
            connection = self._get(deadline)
            try:
                with watched(connection, deadline):
                    self._pool.check_connection(connection)
            except psycopg.OperationalError:
                self._pool.putconn(connection)  # the pool replaces it
            except BaseException:  # the caller was cancelled
                self._pool.putconn(connection)
                raise
            else:
                return connection
        return self._get(deadline)


class SyncPostgresDriver:
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
        source: SingleConnection | PooledConnections,
        *,
        by_thread: bool = False,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        self._source = source
        self.call_timeout = checked_call_timeout(call_timeout)
        self._turns = Turns() if by_thread and source.is_pool else None

    def perform(self, request: Any) -> Any:
        """Perform a request that a plan yields outside of a transaction."""
        deadline = Deadline(self.call_timeout, STEP)
        if isinstance(request, Unlimited):
            request, deadline = request.request, Deadline(None, STEP)
        if isinstance(request, InCallersTransaction):
            return self._in_callers_transaction(deadline)
        return self._alone(request, deadline)

    def _alone(self, request: Any, deadline: Deadline) -> Any:
        thread_id = None if self._turns is None else thread_of(request)
        if self._turns is None or thread_id is None:
            return self._attempted(request, deadline)
        with self._turns.turn(thread_id, deadline):
            return self._attempted(request, deadline)

    def _attempted(self, request: Any, deadline: Deadline) -> Any:
        attempts, alone = PostgresRetryPolicy(deadline), partial(self._alone, deadline=deadline)
        while True:
            use = Use(deadline)
            try:
                with self._source.acquire(deadline, validate=attempts.checked) as connection:
                    try:
                        return _once(connection, request, use, from_pool=self._source.is_pool)
                    finally:
                        use.ended(connection)
            except psycopg.Error as error:
                if type(request) is ConditionalWrite and isinstance(error, UniqueViolation):
                    return None
                if is_denied(error, request):
                    raise run(denied(error), alone) from error
                time.sleep(attempts.after(error, use))

    def _in_callers_transaction(self, deadline: Deadline) -> bool:
        if self._source.is_pool:
            return False
        with self._source.acquire(deadline, validate=False) as connection:
            return status_of(connection) != TransactionStatus.IDLE


def status_of(connection: Connection) -> TransactionStatus:
    """The transaction status of a connection, once all statements of its pipeline are done."""
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        with connection.pipeline() as pipeline:
            pipeline.sync()
    with connection.lock:
        return connection.info.transaction_status


def _once(connection: Connection, request: Any, use: Use, *, from_pool: bool) -> Any:
    """Perform a request on a connection: in a transaction of its own, or in the caller's."""
    status = status_of(connection)
    use.joined = joins(connection, request, status=status, from_pool=from_pool)
    if use.joined:
        with _savepoint(connection, begins=status == TransactionStatus.IDLE):
            return _in_transaction(connection, request, use)
    with autocommitting(connection):
        if isinstance(request, Atomic):
            with connection.transaction():
                if not request.write:
                    connection.execute(ISOLATED)
                return _in_transaction(connection, request, use)
        return _in_transaction(connection, request, use)


@contextmanager
def _savepoint(connection: Connection, *, begins: bool) -> Iterator[None]:
    """Run the block in a savepoint of the caller's transaction. With `begins`, none is open yet,
    and psycopg begins one.
    """
    try:
        if begins:
            warn_uncommitted(connection)
            psycopg.RawCursor(connection).execute(BEGIN, prepare=False)
        with connection.transaction():
            yield
    except BaseException:
        if begins and not connection.closed:
            connection.rollback()  # the caller has done nothing in it
        raise


def _in_transaction(connection: Connection, request: Any, use: Use) -> Any:
    with psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
        prepare = _preparation(connection)
        if isinstance(request, Atomic):
            return run(request.make(), partial(_next, cursor, prepare, use))
        return _perform(cursor, prepare, use, request)


def _preparation(connection: Connection) -> bool | None:
    """Whether to prepare each statement; None: psycopg decides.

    In a pipeline of the caller's psycopg decides. When a statement there drops or alters something,
    psycopg deallocates all prepared statements only after it has prepared the next ones, and then
    executes them by names that the server no longer has.
    """
    in_pipeline = connection.pgconn.pipeline_status != PipelineStatus.OFF
    return None if in_pipeline or connection.prepare_threshold is None else True


def _next(cursor: Cursor, prepare: bool | None, use: Use, request: Any) -> Any:
    """Perform a request that a plan yields inside a transaction; each may take `call_timeout`."""
    use.deadline.restart()
    return _perform(cursor, prepare, use, request)


def _perform(cursor: Cursor, prepare: bool | None, use: Use, request: Any) -> Any:
    if isinstance(request, InCallersTransaction):
        return use.joined
    reply = _REPLIES.get(type(request))
    if reply is None:
        raise TypeError(f"cannot perform {request!r}")
    if isinstance(request, ExecuteMany):
        cursor.executemany(encoded(request.sql), request.rows)
    else:
        sql, values = encoded(request.sql), request.values or None
        cursor.execute(sql, values, prepare=prepare, binary=True)
    return reply(_done(cursor))


def _rows(cursor: Cursor) -> Any:
    return cursor.fetchall()


def _changed(cursor: Cursor) -> Any:
    return cursor.rowcount


_REPLIES: Final[Mapping[Any, Callable[[Cursor], Any]]] = {
    Query: _rows,
    ConditionalWrite: _rows,
    Execute: _changed,
    ExecuteMany: _changed,
}
"""How the reply to a request is read from the cursor, by the request's class."""


def _done(cursor: Cursor) -> Cursor:
    """The cursor with its results, which need a sync if the caller has a pipeline open."""
    if cursor.connection.pgconn.pipeline_status != PipelineStatus.OFF:
        with cursor.connection.pipeline() as pipeline:
            pipeline.sync()
    return cursor


@contextmanager
def autocommitting(connection: Connection) -> Iterator[None]:
    """Run the block with autocommit on, then restore the owner's setting. This sends nothing."""
    if connection.autocommit:
        yield
        return
    connection.set_autocommit(True)
    try:
        yield
    finally:
        if not connection.closed:
            connection.set_autocommit(False)
