"""`PostgresStore` and `AsyncPostgresStore`: their arguments, and how they are opened and closed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from langgraph.store.base import TTLConfig

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
from store_vector.config import IndexSettings, StoreTTL
from store_vector.filters.keys import declared_fields
from store_vector.shell import AsyncStore, Deserializer, SyncStore

if TYPE_CHECKING:
    from psycopg import AsyncConnection, AsyncPipeline, Connection, Pipeline
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
    from typing_extensions import Self

Index = Mapping[str, Any] | None
TTL = TTLConfig | StoreTTL | None


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
        deserializer: decodes an item's value from its JSON text (UTF-8 bytes); None: `json`.
        index: LangGraph's `IndexConfig`, with `ann_index_config`, `distance_type`, `ef_search`,
            `probes` and `engine`; None: no vector search.
        ttl: LangGraph's `TTLConfig`, in minutes.
        schema: the schema of the tables; `setup()` creates it if it does not exist.
        clock: gives epoch seconds, for the items' times and `ttl`.
        call_timeout: seconds that each step of a call may take, with its retries and its wait for
            a connection (`checkpoint_base.deadlines.timeouts`); None: no limit.
        reconnect: opens a new connection when `conn` is lost; None: it is not replaced.
        indexed_from: how many vectors there must be before `setup()` builds an approximate index.
        filter_fields: fields that many searches filter by, such as `"status"` or `"user.age"`;
            `setup()` creates an index for each, one after the other; puts wait meanwhile. The same
            as `index["filter_fields"]`.

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
        deserializer: Deserializer | None = None,
        index: Index = None,
        ttl: TTL = None,
        schema: str = "public",
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        reconnect: Callable[[], Connection[Any]] | None = None,
        indexed_from: int = INDEXED_FROM,
        filter_fields: Sequence[str] | None = None,
    ) -> None:
        self._source = sync_source(type(self).__name__, conn, reconnect, pipe)
        from checkpoint_postgres.connection.sync_driver import SyncPostgresDriver

        settings, policy = IndexSettings.of(index), StoreTTL.of(ttl)
        fields = declared_fields(index, filter_fields)
        planner = PostgresStorePlanner(settings, policy, clock, schema, indexed_from, fields=fields)
        driver = SyncPostgresDriver(self._source, call_timeout=call_timeout)
        super().__init__(planner, driver, settings, policy, clock, deserializer=deserializer)
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
        index: Index = None,
        ttl: TTL = None,
        schema: str = "public",
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        indexed_from: int = INDEXED_FROM,
        filter_fields: Sequence[str] | None = None,
    ) -> Iterator[Self]:
        """Connect as LangGraph's own store does; disconnect at the end of the `with` block.

        Args:
            conn_string: `postgresql://…`, or `host=… dbname=…`.
            pipeline: as LangGraph's own store takes it. It has no effect: operations are one round
                trip anyway.
            pool: what psycopg's `ConnectionPool` takes, e.g. `{"max_size": 16}` (default
                10); None: one connection, replaced when it is lost.
            pool_config: the same as `pool`, under the name in LangGraph's own store.
            index: as in the constructor.
            ttl: as in the constructor; minutes.
            schema: as in the constructor.
            clock: as in the constructor.
            call_timeout: as in the constructor; seconds.
            indexed_from: as in the constructor.
            filter_fields: as in the constructor.

        Raises:
            InvalidArgumentError: `conn_string`, `pool` or another argument is invalid.
            PermissionDeniedError: the server refused the login.
            BackendUnavailableError: connecting failed; the message has the reason. With a pool,
                only if retries cannot help (no such database); otherwise a call raises it after
                it has waited for the pool's `timeout`.
        """
        options = pool_options(pool, pool_config)
        with connected(cls.__name__, conn_string, options, call_timeout) as (conn, reconnect):
            store = cls(
                conn,
                index=index,
                ttl=ttl,
                schema=schema,
                clock=clock,
                call_timeout=call_timeout,
                reconnect=reconnect,
                indexed_from=indexed_from,
                filter_fields=filter_fields,
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
        deserializer: as in `PostgresStore`.
        index: as in `PostgresStore`.
        ttl: LangGraph's `TTLConfig`, in minutes.
        schema: as in `PostgresStore`.
        clock: as in `PostgresStore`.
        call_timeout: as in `PostgresStore`; seconds.
        reconnect: as in `PostgresStore`, awaitable.
        indexed_from: as in `PostgresStore`.
        filter_fields: as in `PostgresStore`.

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
        deserializer: Deserializer | None = None,
        index: Index = None,
        ttl: TTL = None,
        schema: str = "public",
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        reconnect: Callable[[], Any] | None = None,
        indexed_from: int = INDEXED_FROM,
        filter_fields: Sequence[str] | None = None,
    ) -> None:
        self._source = async_source(type(self).__name__, conn, reconnect, pipe)
        from checkpoint_postgres.connection.async_driver import AsyncPostgresDriver

        settings, policy = IndexSettings.of(index), StoreTTL.of(ttl)
        fields = declared_fields(index, filter_fields)
        planner = PostgresStorePlanner(settings, policy, clock, schema, indexed_from, fields=fields)
        driver = AsyncPostgresDriver(self._source, call_timeout=call_timeout)
        super().__init__(planner, driver, settings, policy, clock, deserializer=deserializer)
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
        index: Index = None,
        ttl: TTL = None,
        schema: str = "public",
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        indexed_from: int = INDEXED_FROM,
        filter_fields: Sequence[str] | None = None,
    ) -> AsyncIterator[Self]:
        """`PostgresStore.from_conn_string`, for an event loop."""
        options = pool_options(pool, pool_config)
        async with aconnected(cls.__name__, conn_string, options, call_timeout) as (
            conn,
            reconnect,
        ):
            store = cls(
                conn,
                index=index,
                ttl=ttl,
                schema=schema,
                clock=clock,
                call_timeout=call_timeout,
                reconnect=reconnect,
                indexed_from=indexed_from,
                filter_fields=filter_fields,
            )
            try:
                yield store
            finally:
                await store._aend()
                if reconnect is not None:
                    await store._source.close()
