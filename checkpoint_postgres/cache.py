"""The public caches on Postgres, and what is asked of the database."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.cache.entries import CacheEntry
from checkpoint_base.cache.shell import CACHE_TIMEOUT, AsyncCache, SyncCache
from checkpoint_base.cache.statements import StatementCachePlanner
from checkpoint_base.plan import Plan, read, unlimited, write
from checkpoint_base.sql.requests import execute, rows
from checkpoint_base.sql.setup import StoreSchema
from checkpoint_postgres.connection.connections import (
    PoolOptions,
    aconnected,
    async_source,
    connected,
    sync_source,
)
from checkpoint_postgres.connection.requests import attempt
from checkpoint_postgres.saver.statements import cache_migrations, cache_statements, statements

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
    from typing_extensions import Self


class PostgresCachePlanner(StatementCachePlanner):
    """Plans for Postgres.

    Args:
        schema: where the table is.
        clock: epoch seconds, for the record of migrations.
    """

    database = "this Postgres schema"
    backend = "postgres"

    def __init__(self, schema: str = "public", clock: Callable[[], float] = time.time) -> None:
        super().__init__(StoreSchema(cache_statements(schema), clock), cache_migrations(schema))
        self._savers = statements(schema)

    def setup(self) -> Plan[None]:
        """Create or migrate the schema; only reads when there is nothing to do."""
        if (yield from unlimited(read(self._missing))):
            yield from unlimited(write(self._create))

    def _create(self) -> Plan[None]:
        yield from rows(self._savers["lock_setup"])
        if not (yield from rows(self._savers["has_schema"])):
            yield from execute(self._savers["create_schema"])
        yield from self._migrate()

    def _change(self, name: str, values: Sequence[Any] = ()) -> Plan[int]:
        ((count,),) = (yield from attempt(self._queries[name], values)) or [(0,)]
        return int(count)

    def put(self, entries: Sequence[CacheEntry], now: float) -> Plan[None]:
        """Store entries: one statement."""
        ids, data, expiries = map(list, zip(*entries, strict=True))
        yield from attempt(self._queries["put"], (ids, data, expiries, now))


class PostgresCache(SyncCache):
    """A cache in Postgres 14 or later, in an unlogged table: what is in it does not survive a crash
    of the server, and is not on its standbys. Its async methods run in a worker thread.

    Args:
        conn: a connection, used for one operation at a time, or a pool. It stays the caller's to
            close. In a transaction that is open on a connection each call is a savepoint.
        serde: LangGraph's `JsonPlusSerializer` unless another is given; none that pickles.
        encrypted: the serializer encrypts, though it is not LangGraph's `EncryptedSerializer` and
            has no `cipher`.
        max_bytes: how much the values may have together; beyond, those are removed that were
            stored longest ago; see `checkpoint_base.cache.Cache`. None: no limit.
        schema: where the table is; `setup()` creates it if it is not there.
        clock: epoch seconds, for the seconds of a `CachePolicy`'s `ttl`.
        call_timeout: seconds that each step of a call may take, with its retries and its wait for
            a connection; None: no limit.
        reconnect: makes another connection when `conn` is lost; None: it is not replaced.

    `setup()` must have been called once for a schema. A saver and a store may share it.

    Raises:
        InvalidArgumentError: a `conn`, a `max_bytes`, a `schema` or a `serde` that cannot be used.
        MissingDriverError: psycopg is not installed.
    """

    def __init__(
        self,
        conn: Connection[Any] | ConnectionPool[Any],
        *,
        serde: SerializerProtocol | None = None,
        encrypted: bool = False,
        max_bytes: int | None = None,
        schema: str = "public",
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CACHE_TIMEOUT,
        reconnect: Callable[[], Connection[Any]] | None = None,
    ) -> None:
        self._source = sync_source(type(self).__name__, conn, reconnect)
        from checkpoint_postgres.connection.sync_driver import SyncPostgresDriver

        super().__init__(
            PostgresCachePlanner(schema, clock),
            SyncPostgresDriver(self._source, call_timeout=call_timeout),
            serde=serde,
            encrypted=encrypted,
            max_bytes=max_bytes,
            clock=clock,
        )
        self.conn = conn

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        pool: PoolOptions | None = None,
        serde: SerializerProtocol | None = None,
        encrypted: bool = False,
        max_bytes: int | None = None,
        schema: str = "public",
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CACHE_TIMEOUT,
    ) -> Iterator[Self]:
        """Connect, and disconnect at the end.

        Args:
            conn_string: `postgresql://…`, or `host=… dbname=…`.
            pool: what psycopg's `ConnectionPool` takes, e.g. `{"max_size": 16}` (10);
                None: one connection, replaced when it is lost.
            serde: as in the constructor.
            encrypted: as in the constructor.
            max_bytes: as in the constructor.
            schema: as in the constructor.
            clock: as in the constructor.
            call_timeout: as in the constructor; seconds.

        Raises:
            InvalidArgumentError: `conn_string`, `pool` or one of the others cannot be used.
            PermissionDeniedError: the server refused the login.
            BackendUnavailableError: no connection came to be, with the reason. A pool raises it
                at once only where waiting mends nothing (no such database).
        """
        with connected(cls.__name__, conn_string, pool, call_timeout) as (conn, reconnect):
            cache = cls(
                conn,
                serde=serde,
                encrypted=encrypted,
                max_bytes=max_bytes,
                schema=schema,
                clock=clock,
                call_timeout=call_timeout,
                reconnect=reconnect,
            )
            try:
                yield cache
            finally:
                cache._end()
                if reconnect is not None:
                    cache._source.close()


class AsyncPostgresCache(AsyncCache):
    """A cache in Postgres, for an event loop. Its sync methods work from other threads. Otherwise
    as `PostgresCache`.

    Args:
        conn: an `AsyncConnection` or an `AsyncConnectionPool`.
        serde: as in `PostgresCache`.
        encrypted: as in `PostgresCache`.
        max_bytes: as in `PostgresCache`.
        schema: as in `PostgresCache`.
        clock: epoch seconds, for the seconds of a `CachePolicy`'s `ttl`.
        call_timeout: as in `PostgresCache`; seconds.
        reconnect: as in `PostgresCache`, awaitable.

    `await cache.setup()` must have been called once for a schema.

    Raises:
        InvalidArgumentError: a `conn`, a `max_bytes`, a `schema` or a `serde` that cannot be used.
        MissingDriverError: psycopg is not installed.
    """

    def __init__(
        self,
        conn: AsyncConnection[Any] | AsyncConnectionPool[Any],
        *,
        serde: SerializerProtocol | None = None,
        encrypted: bool = False,
        max_bytes: int | None = None,
        schema: str = "public",
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CACHE_TIMEOUT,
        reconnect: Callable[[], Any] | None = None,
    ) -> None:
        self._source = async_source(type(self).__name__, conn, reconnect)
        from checkpoint_postgres.connection.async_driver import AsyncPostgresDriver

        super().__init__(
            PostgresCachePlanner(schema, clock),
            AsyncPostgresDriver(self._source, call_timeout=call_timeout),
            serde=serde,
            encrypted=encrypted,
            max_bytes=max_bytes,
            clock=clock,
        )
        self.conn = conn

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        pool: PoolOptions | None = None,
        serde: SerializerProtocol | None = None,
        encrypted: bool = False,
        max_bytes: int | None = None,
        schema: str = "public",
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CACHE_TIMEOUT,
    ) -> AsyncIterator[Self]:
        """`PostgresCache.from_conn_string`, for an event loop."""
        async with aconnected(cls.__name__, conn_string, pool, call_timeout) as (conn, reconnect):
            cache = cls(
                conn,
                serde=serde,
                encrypted=encrypted,
                max_bytes=max_bytes,
                schema=schema,
                clock=clock,
                call_timeout=call_timeout,
                reconnect=reconnect,
            )
            try:
                yield cache
            finally:
                await cache._aend()
                if reconnect is not None:
                    await cache._source.close()
