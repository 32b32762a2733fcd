"""`PostgresCache` and `AsyncPostgresCache`, and the planner with their statements."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from checkpoint_base.cache.entries import CacheEntry
from checkpoint_base.cache.options import CACHE_TIMEOUT, CacheOptions, CacheSettings
from checkpoint_base.cache.shell import AsyncCache, SyncCache
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
        schema: the schema of the table; `setup()` creates it if it does not exist.
        reconnect: opens a new connection when `conn` is lost; None: it is not replaced.
        options: `CacheOptions`.

    Call `setup()` once for a schema. A saver and a store may share it.

    Raises:
        InvalidArgumentError: `conn`, `max_bytes`, `schema` or `serde` is invalid.
        MissingDriverError: psycopg is not installed.
    """

    def __init__(
        self,
        conn: Connection[Any] | ConnectionPool[Any],
        *,
        schema: str = "public",
        reconnect: Callable[[], Connection[Any]] | None = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        self._source = sync_source(type(self).__name__, conn, reconnect)
        from checkpoint_postgres.connection.sync_driver import SyncPostgresDriver

        settings = CacheSettings.of(options)
        planner = PostgresCachePlanner(schema, settings.clock)
        driver = SyncPostgresDriver(self._source, call_timeout=settings.call_timeout)
        super().__init__(planner, driver, settings)
        self.conn = conn

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        pool: PoolOptions | None = None,
        schema: str = "public",
        **options: Unpack[CacheOptions],
    ) -> Iterator[Self]:
        """Connect, and disconnect at the end of the `with` block.

        Args:
            conn_string: `postgresql://…`, or `host=… dbname=…`.
            pool: what psycopg's `ConnectionPool` takes, e.g. `{"max_size": 16}` (default
                10); None: one connection, replaced when it is lost.
            schema: as in the constructor.
            options: `CacheOptions`.

        Raises:
            InvalidArgumentError: `conn_string`, `pool` or another argument is invalid.
            PermissionDeniedError: the server refused the login.
            BackendUnavailableError: connecting failed; the message has the reason. With a pool,
                only if retries cannot help (no such database).
        """
        timeout = options.get("call_timeout", CACHE_TIMEOUT)
        with connected(cls.__name__, conn_string, pool, timeout) as (conn, reconnect):
            cache = cls(conn, schema=schema, reconnect=reconnect, **options)
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
        schema: as in `PostgresCache`.
        reconnect: as in `PostgresCache`, awaitable.
        options: `CacheOptions`.

    Call `await cache.setup()` once for a schema.

    Raises:
        InvalidArgumentError: `conn`, `max_bytes`, `schema` or `serde` is invalid.
        MissingDriverError: psycopg is not installed.
    """

    def __init__(
        self,
        conn: AsyncConnection[Any] | AsyncConnectionPool[Any],
        *,
        schema: str = "public",
        reconnect: Callable[[], Any] | None = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        self._source = async_source(type(self).__name__, conn, reconnect)
        from checkpoint_postgres.connection.async_driver import AsyncPostgresDriver

        settings = CacheSettings.of(options)
        planner = PostgresCachePlanner(schema, settings.clock)
        driver = AsyncPostgresDriver(self._source, call_timeout=settings.call_timeout)
        super().__init__(planner, driver, settings)
        self.conn = conn

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        pool: PoolOptions | None = None,
        schema: str = "public",
        **options: Unpack[CacheOptions],
    ) -> AsyncIterator[Self]:
        """`PostgresCache.from_conn_string`, for an event loop."""
        timeout = options.get("call_timeout", CACHE_TIMEOUT)
        async with aconnected(cls.__name__, conn_string, pool, timeout) as (conn, reconnect):
            cache = cls(conn, schema=schema, reconnect=reconnect, **options)
            try:
                yield cache
            finally:
                await cache._aend()
                if reconnect is not None:
                    await cache._source.close()
