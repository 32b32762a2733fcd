"""`PostgresStore` and `AsyncPostgresStore`: their arguments, and how they are opened and closed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT
from checkpoint_postgres.connection.connections import (
    PoolOptions,
    aconnected,
    async_source,
    connected,
    pool_options,
    sync_source,
)
from checkpoint_postgres.store.planner import INDEXED_FROM, PostgresStorePlanner
from store_vector.options import StoreOptions, StoreSettings
from store_vector.shell import AsyncStore, SyncStore

if TYPE_CHECKING:
    from psycopg import AsyncConnection, AsyncPipeline, Connection, Pipeline
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
    from typing_extensions import Self


class PostgresStore(SyncStore):
    """Long-term memory in Postgres 14 or later; its async methods run in a worker thread.

    Vector search uses pgvector 0.8 or later if it is installed, or else compares all vectors of
    items that match namespace and filter. `setup()` builds an approximate index once there are
    `indexed_from` vectors; until then, and if few items match, search is exact.

    Args:
        conn: a connection, which serves one operation at a time, or a pool, which serves as many
            as it has connections. The caller closes it. If a transaction is open on a connection,
            each call is a savepoint in it, as with `PostgresSaver`.
        pipe: as in `PostgresSaver`.
        schema: the schema of the tables; `setup()` creates it if it does not exist.
        reconnect: opens a new connection when `conn` is lost; None: it is not replaced.
        indexed_from: how many vectors there must be before `setup()` builds an approximate index.
        options: `StoreOptions`. `index` may have `ann_index_config`, `ef_search`, `probes` and
            `engine`. `setup()` creates the indexes of `filter_fields` one after the other; puts
            wait meanwhile.

    Call `setup()` once for a schema. A saver may share it.

    Raises:
        InvalidArgumentError: `conn`, `index`, `ttl` or `schema` is invalid, or `conn` is a pool
            and `pipe` is given.
        MissingDriverError: psycopg is not installed.
    """

    def __init__(
        self,
        conn: Connection[Any] | ConnectionPool[Any],
        *,
        pipe: Pipeline | None = None,
        schema: str = "public",
        reconnect: Callable[[], Connection[Any]] | None = None,
        indexed_from: int = INDEXED_FROM,
        **options: Unpack[StoreOptions],
    ) -> None:
        self._source = sync_source(type(self).__name__, conn, reconnect, pipe)
        from checkpoint_postgres.connection.sync_driver import SyncPostgresDriver

        settings = StoreSettings.of(options)
        planner = postgres_store_planner(settings, schema, indexed_from)
        driver = SyncPostgresDriver(self._source, call_timeout=settings.call_timeout)
        super().__init__(planner, driver, settings)
        self.conn, self.pipe = conn, pipe

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,  # noqa: ARG003
        pool: PoolOptions | None = None,
        pool_config: PoolOptions | None = None,
        schema: str = "public",
        indexed_from: int = INDEXED_FROM,
        **options: Unpack[StoreOptions],
    ) -> Iterator[Self]:
        """Connect as LangGraph's own store does; disconnect at the end of the `with` block.

        Args:
            conn_string: `postgresql://…`, or `host=… dbname=…`.
            pipeline: as LangGraph's own store takes it. It has no effect: operations are one round
                trip anyway.
            pool: what psycopg's `ConnectionPool` takes, e.g. `{"max_size": 16}` (default
                10); None: one connection, replaced when it is lost.
            pool_config: the same as `pool`, under the name in LangGraph's own store.
            schema: as in the constructor.
            indexed_from: as in the constructor.
            options: `StoreOptions`.

        Raises:
            InvalidArgumentError: `conn_string`, `pool` or another argument is invalid.
            PermissionDeniedError: the server refused the login.
            BackendUnavailableError: connecting failed; the message has the reason. With a pool,
                only if retries cannot help (no such database); otherwise a call raises it after
                it has waited for the pool's `timeout`.
        """
        chosen = pool_options(pool, pool_config)
        timeout = options.get("call_timeout", CALL_TIMEOUT)
        with connected(cls.__name__, conn_string, chosen, timeout) as (conn, reconnect):
            store = cls(
                conn, schema=schema, indexed_from=indexed_from, reconnect=reconnect, **options
            )
            try:
                yield store
            finally:
                store._end()
                if reconnect is not None:
                    store._source.close()


class AsyncPostgresStore(AsyncStore):
    """Long-term memory in Postgres, for an event loop. Operations of one tick of the loop are one
    batch. Its sync methods work from other threads. Otherwise as `PostgresStore`.

    Args:
        conn: an `AsyncConnection` or an `AsyncConnectionPool`.
        pipe: as in `PostgresSaver`.
        schema: as in `PostgresStore`.
        reconnect: as in `PostgresStore`, awaitable.
        indexed_from: as in `PostgresStore`.
        options: as in `PostgresStore`.

    Call `await store.setup()` once for a schema.

    Raises:
        InvalidArgumentError: `conn`, `index`, `ttl` or `schema` is invalid, or `conn` is a pool
            and `pipe` is given.
        MissingDriverError: psycopg is not installed.
    """

    def __init__(
        self,
        conn: AsyncConnection[Any] | AsyncConnectionPool[Any],
        *,
        pipe: AsyncPipeline | None = None,
        schema: str = "public",
        reconnect: Callable[[], Any] | None = None,
        indexed_from: int = INDEXED_FROM,
        **options: Unpack[StoreOptions],
    ) -> None:
        self._source = async_source(type(self).__name__, conn, reconnect, pipe)
        from checkpoint_postgres.connection.async_driver import AsyncPostgresDriver

        settings = StoreSettings.of(options)
        planner = postgres_store_planner(settings, schema, indexed_from)
        driver = AsyncPostgresDriver(self._source, call_timeout=settings.call_timeout)
        super().__init__(planner, driver, settings)
        self.conn, self.pipe = conn, pipe

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,  # noqa: ARG003
        pool: PoolOptions | None = None,
        pool_config: PoolOptions | None = None,
        schema: str = "public",
        indexed_from: int = INDEXED_FROM,
        **options: Unpack[StoreOptions],
    ) -> AsyncIterator[Self]:
        """`PostgresStore.from_conn_string`, for an event loop."""
        chosen = pool_options(pool, pool_config)
        timeout = options.get("call_timeout", CALL_TIMEOUT)
        async with aconnected(cls.__name__, conn_string, chosen, timeout) as (conn, reconnect):
            store = cls(
                conn, schema=schema, indexed_from=indexed_from, reconnect=reconnect, **options
            )
            try:
                yield store
            finally:
                await store._aend()
                if reconnect is not None:
                    await store._source.close()


def postgres_store_planner(
    settings: StoreSettings, schema: str, indexed_from: int
) -> PostgresStorePlanner:
    """The planner of a store with these settings."""
    return PostgresStorePlanner(
        settings.index,
        settings.ttl,
        settings.clock,
        schema,
        indexed_from,
        fields=settings.filter_fields,
    )
