"""`PostgresCache` and `AsyncPostgresCache`, and the planner with their statements."""

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
    """Plans of a cache on Postgres.

    Args:
        schema: the schema of the table.
        clock: gives epoch seconds, which are stored with each migration.
    """

    database = "this Postgres schema"
    backend = "postgres"

    def __init__(self, schema: str = "public", clock: Callable[[], float] = time.time) -> None:
        super().__init__(StoreSchema(cache_statements(schema), clock), cache_migrations(schema))
        self._savers = statements(schema)

    def setup(self) -> Plan[None]:
        """Create or migrate the schema; only reads if there is nothing to do."""
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
    """A cache in Postgres 14 or later, in an unlogged table: its entries are lost when the server
    crashes, and are not replicated to standbys. Its async methods run in a worker thread.

    Args:
        conn: a connection, which serves one operation at a time, or a pool. The caller closes it.
            If a transaction is open on the connection, each call is a savepoint in it.
        serde: serializer of the values; None: LangGraph's `JsonPlusSerializer`. One with
            `pickle_fallback` is refused.
        encrypted: set it if `serde` encrypts, but is not LangGraph's `EncryptedSerializer` and
            has no `cipher`.
        max_bytes: limit on the size of all values; beyond it, the entries stored longest ago are
            removed; see `checkpoint_base.cache.Cache`. None: no limit.
        schema: the schema of the table; `setup()` creates it if it does not exist.
        clock: gives epoch seconds, to which a `CachePolicy`'s `ttl` (seconds) is added.
        call_timeout: seconds that each step of a call may take, with its retries and its wait for
            a connection; None: no limit.
        reconnect: opens a new connection when `conn` is lost; None: it is not replaced.

    Call `setup()` once for a schema. A saver and a store may share it.

    Raises:
        InvalidArgumentError: `conn`, `max_bytes`, `schema` or `serde` is invalid.
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
        """Connect, and disconnect at the end of the `with` block.

        Args:
            conn_string: `postgresql://…`, or `host=… dbname=…`.
            pool: what psycopg's `ConnectionPool` takes, e.g. `{"max_size": 16}` (default
                10); None: one connection, replaced when it is lost.
            serde: as in the constructor.
            encrypted: as in the constructor.
            max_bytes: as in the constructor.
            schema: as in the constructor.
            clock: as in the constructor.
            call_timeout: as in the constructor; seconds.

        Raises:
            InvalidArgumentError: `conn_string`, `pool` or another argument is invalid.
            PermissionDeniedError: the server refused the login.
            BackendUnavailableError: connecting failed; the message has the reason. With a pool,
                only if retries cannot help (no such database).
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
        clock: as in `PostgresCache`.
        call_timeout: as in `PostgresCache`; seconds.
        reconnect: as in `PostgresCache`, awaitable.

    Call `await cache.setup()` once for a schema.

    Raises:
        InvalidArgumentError: `conn`, `max_bytes`, `schema` or `serde` is invalid.
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
