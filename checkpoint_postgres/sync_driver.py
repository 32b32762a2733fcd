"""Blocking I/O: one connection under a lock, or a pool with as many operations as connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, Final

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from checkpoint_base.plan import Atomic, InCallersTransaction, run
from checkpoint_base.statements.requests import Execute, ExecuteMany, Query
from checkpoint_postgres.conninfo import explained
from checkpoint_postgres.failures import ISOLATED, Attempts, denied, is_denied
from checkpoint_postgres.requests import Attempt, encoded
from checkpoint_postgres.transactions import BEGIN, Use, joins, lock_of, warn_uncommitted

Connection = psycopg.Connection[Any]
Cursor = psycopg.RawCursor[Any]


class OneConnection:
    """A connection, for one operation at a time. `reconnect` gets another one if it is ours."""

    is_pool: Final = False

    def __init__(
        self, connection: Connection, reconnect: Callable[[], Connection] | None = None
    ) -> None:
        self.connection = connection
        self._reconnect = reconnect
        self._lock = lock_of(connection, Lock)

    @contextmanager
    def borrow(self, *, checked: bool) -> Iterator[Connection]:
        """The connection; if it is lost and ours, a new one."""
        with self._lock:
            if self._reconnect is not None and (checked or self.connection.closed):
                self.connection.close()
                self.connection = self._reconnect()
                lock_of(self.connection, lambda: self._lock)
            yield self.connection

    def close(self) -> None:
        """Close the connection, which is ours."""
        self.connection.close()


class FromPool:
    """Connections of a pool."""

    is_pool: Final = True

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    @contextmanager
    def borrow(self, *, checked: bool) -> Iterator[Connection]:
        """A connection; with `checked`, one whose server answers."""
        try:
            connection = self._checked() if checked else self._pool.getconn()
        except PoolTimeout as error:
            raise explained(error, self._pool.connection_class) from error
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    def close(self) -> None:
        """Nothing: the pool is closed by whoever opened it."""

    def _checked(self) -> Connection:
        for _ in range(self._pool.max_size):
            connection: Connection = self._pool.getconn()
            try:
                self._pool.check_connection(connection)
            except psycopg.OperationalError:
                self._pool.putconn(connection)  # the pool replaces it
            except BaseException:
                self._pool.putconn(connection)
                raise
            else:
                return connection
        lent: Connection = self._pool.getconn()
        return lent


class SyncPostgresDriver:
    """Performs plans, from any number of threads."""

    def __init__(self, source: OneConnection | FromPool) -> None:
        self._source = source

    def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        if isinstance(request, InCallersTransaction):
            return self._in_callers_transaction()
        attempts = Attempts()
        while True:
            use = Use()
            try:
                with self._source.borrow(checked=attempts.checked) as connection:
                    try:
                        return _once(connection, request, use, from_pool=self._source.is_pool)
                    finally:
                        use.ended(connection)
            except psycopg.Error as error:
                if type(request) is Attempt and isinstance(error, UniqueViolation):
                    return None
                if is_denied(error, request):
                    raise run(denied(error), self.perform) from error
                time.sleep(attempts.after(error, use))

    def _in_callers_transaction(self) -> bool:
        if self._source.is_pool:
            return False
        with self._source.borrow(checked=False) as connection:
            return _status(connection) != TransactionStatus.IDLE


def _status(connection: Connection) -> TransactionStatus:
    """Where the connection is, once the statements before this one are done."""
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        with connection.pipeline() as pipeline:
            pipeline.sync()
    with connection.lock:
        return connection.info.transaction_status


def _once(connection: Connection, request: Any, use: Use, *, from_pool: bool) -> Any:
    """Perform a request on a connection: in a transaction of its own, or in the caller's."""
    status = _status(connection)
    use.joined = joins(connection, request, status=status, from_pool=from_pool)
    if use.joined:
        with _savepoint(connection, begins=status == TransactionStatus.IDLE):
            return _in_transaction(connection, request, use)
    with _autocommit(connection):
        if isinstance(request, Atomic):
            with connection.transaction():
                if not request.write:
                    connection.execute(ISOLATED)
                return _in_transaction(connection, request, use)
        return _in_transaction(connection, request, use)


@contextmanager
def _savepoint(connection: Connection, *, begins: bool) -> Iterator[None]:
    """A savepoint in the caller's transaction, which psycopg begins first if `begins`."""
    try:
        if begins:
            warn_uncommitted(connection)
            psycopg.RawCursor(connection).execute(BEGIN, prepare=False)
        with connection.transaction():
            yield
    except BaseException:
        if begins and not connection.closed:
            connection.rollback()  # nothing of the caller's is in it
        raise


def _in_transaction(connection: Connection, request: Any, use: Use) -> Any:
    with psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
        prepare = None if connection.prepare_threshold is None else True
        perform = partial(_perform, cursor, prepare, use)
        if isinstance(request, Atomic):
            return run(request.make(), perform)
        return perform(request)


def _perform(cursor: Cursor, prepare: bool | None, use: Use, request: Any) -> Any:
    kind = type(request)
    if kind is ExecuteMany:
        cursor.executemany(encoded(request.sql), request.rows)
        return _done(cursor).rowcount
    if kind is Query or kind is Attempt:
        return _execute(cursor, request, prepare).fetchall()
    if kind is Execute:
        return _execute(cursor, request, prepare).rowcount
    if kind is InCallersTransaction:
        return use.joined
    raise TypeError(f"cannot perform {request!r}")


def _execute(cursor: Cursor, request: Any, prepare: bool | None) -> Cursor:
    sql = encoded(request.sql)
    return _done(cursor.execute(sql, request.values or None, prepare=prepare, binary=True))


def _done(cursor: Cursor) -> Cursor:
    """The cursor, with its results: in pipeline mode, the caller's, they have to be asked for."""
    if cursor.connection.pgconn.pipeline_status != PipelineStatus.OFF:
        with cursor.connection.pipeline() as pipeline:
            pipeline.sync()
    return cursor


@contextmanager
def _autocommit(connection: Connection) -> Iterator[None]:
    """The owner of the connection may not have asked for autocommit: nothing is sent to change
    it.
    """
    if connection.autocommit:
        yield
        return
    connection.autocommit = True
    try:
        yield
    finally:
        if not connection.closed:
            connection.autocommit = False
