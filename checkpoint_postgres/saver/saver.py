"""`PostgresSaver` and `AsyncPostgresSaver`: their arguments, and how they are opened and closed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from typing_extensions import Unpack

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT
from checkpoint_base.saver.mixins import FullAsyncSaver, FullSyncSaver
from checkpoint_base.saver.options import CommonSaverOptions, SaverOptions, SaverSettings
from checkpoint_postgres.connection.connections import (
    PoolOptions,
    aconnected,
    async_source,
    connected,
    sync_source,
)
from checkpoint_postgres.migrate_from_langgraph.adopt import Adopts
from checkpoint_postgres.saver.planner import PostgresPlanner

if TYPE_CHECKING:
    from psycopg import AsyncConnection, AsyncPipeline, Connection, Pipeline
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
    from typing_extensions import Self


class PostgresSaver(Adopts, FullSyncSaver):
    """Checkpoints in Postgres 14 or later, for threads; its async methods run in a worker thread.

    Args:
        conn: a connection, which serves one operation at a time, or a pool, which serves as many
            as it has connections. The caller closes it. If a transaction is open on a connection,
            each call is a savepoint in it, and the caller commits or rolls back. On a connection
            without autocommit, the first write begins such a transaction, and gives an
            `UncommittedWarning`. Connections of a pool may have autocommit or not.
        pipe: the pipeline of `conn`, as LangGraph's own saver takes it. It has no effect: each
            operation is one round trip, and is done when its call returns.
        serde: serializer of the values; None: LangGraph's `JsonPlusSerializer`.
        schema: the schema of the tables; `setup()` creates it if it does not exist.
        reconnect: opens a new connection when `conn` is lost; None: it is not replaced. A pool
            needs none.
        options: `CommonSaverOptions`, which are explained at `SaverOptions`.

    Call `setup()` once for a schema.

    Raises:
        InvalidArgumentError: `conn` is neither a connection nor a pool, or a pool with a `pipe`;
            or another argument is invalid.
        MissingDriverError: psycopg is not installed.
    """

    def __init__(
        self,
        conn: Connection[Any] | ConnectionPool[Any],
        pipe: Pipeline | None = None,
        serde: SerializerProtocol | None = None,
        *,
        schema: str = "public",
        reconnect: Callable[[], Connection[Any]] | None = None,
        **options: Unpack[CommonSaverOptions],
    ) -> None:
        settings = SaverSettings.of({**options, "serde": serde})
        source = sync_source(type(self).__name__, conn, reconnect, pipe)
        from checkpoint_postgres.connection.sync_driver import SyncPostgresDriver

        planner = postgres_planner(settings, schema)
        driver = SyncPostgresDriver(source, by_thread=True, call_timeout=settings.call_timeout)
        super().__init__(planner, driver, settings)
        self._postgres = planner
        self._source = source
        self.conn, self.pipe = conn, pipe

    def setup(self, partitions: int | None = None) -> None:
        """Create or migrate the schema. Many processes may call it at once; later a no-op.

        Args:
            partitions: number of hash partitions, by thread id, of new tables; None: they are not
                partitioned. Existing tables stay as they are.

        Raises:
            InvalidArgumentError: `partitions` is less than 1.
            PermissionDeniedError: the role may not create the schema or tables in it.
            SchemaVersionError: a newer version of this library has migrated the tables.
        """
        self._drive(self._postgres.setup(partitions))

    async def asetup(self, partitions: int | None = None) -> None:
        """`setup`, without blocking."""
        await self._adrive(self._postgres.setup(partitions))

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,  # noqa: ARG003
        pool: PoolOptions | None = None,
        schema: str = "public",
        **options: Unpack[SaverOptions],
    ) -> Iterator[Self]:
        """Connect as LangGraph's own saver does; disconnect at the end of the `with` block.

        Args:
            conn_string: `postgresql://…`, or `host=… dbname=…`.
            pipeline: as LangGraph's own saver takes it, where it saves round trips. It has no
                effect: each operation is one round trip anyway.
            pool: what psycopg's `ConnectionPool` takes, e.g. `{"max_size": 16}` (default
                10); None: one connection, replaced when it is lost.
            schema: as in the constructor.
            options: `SaverOptions`.

        Raises:
            InvalidArgumentError: `conn_string`, `pool` or another argument is invalid.
            PermissionDeniedError: the server refused the login.
            BackendUnavailableError: connecting failed; the message has the reason. With a pool,
                only if retries cannot help (no such database); otherwise a call raises it after
                it has waited for the pool's `timeout`.
        """
        timeout = options.get("call_timeout", CALL_TIMEOUT)
        with connected(cls.__name__, conn_string, pool, timeout) as (conn, reconnect):
            saver = cls(conn, schema=schema, reconnect=reconnect, **options)
            try:
                yield saver
            finally:
                saver._end()
                if reconnect is not None:
                    saver._source.close()


class AsyncPostgresSaver(Adopts, FullAsyncSaver):
    """Checkpoints in Postgres, for an event loop; its sync methods work from other threads.

    Args:
        conn: as in `PostgresSaver`: an `AsyncConnection` or an `AsyncConnectionPool`.
        pipe: as in `PostgresSaver`.
        serde: serializer of the values; None: LangGraph's `JsonPlusSerializer`.
        schema: as in `PostgresSaver`.
        reconnect: as in `PostgresSaver`, awaitable.
        options: `CommonSaverOptions`, which are explained at `SaverOptions`.

    Call `await saver.setup()` once for a schema.

    Raises:
        InvalidArgumentError: `conn` is neither a connection nor a pool, or a pool with a `pipe`;
            or another argument is invalid.
        MissingDriverError: psycopg is not installed.
    """

    def __init__(
        self,
        conn: AsyncConnection[Any] | AsyncConnectionPool[Any],
        pipe: AsyncPipeline | None = None,
        serde: SerializerProtocol | None = None,
        *,
        schema: str = "public",
        reconnect: Callable[[], Any] | None = None,
        **options: Unpack[CommonSaverOptions],
    ) -> None:
        settings = SaverSettings.of({**options, "serde": serde})
        source = async_source(type(self).__name__, conn, reconnect, pipe)
        from checkpoint_postgres.connection.async_driver import AsyncPostgresDriver

        planner = postgres_planner(settings, schema)
        driver = AsyncPostgresDriver(source, by_thread=True, call_timeout=settings.call_timeout)
        super().__init__(planner, driver, settings)
        self._postgres = planner
        self._pipelines = driver
        self._source = source
        self.conn, self.pipe = conn, pipe

    async def setup(self, partitions: int | None = None) -> None:
        """As `PostgresSaver.setup`."""
        await self.asetup(partitions)

    async def asetup(self, partitions: int | None = None) -> None:
        """`setup`, under the name that it has on every saver."""
        await self._adrive(self._postgres.setup(partitions))

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,  # noqa: ARG003
        pool: PoolOptions | None = None,
        schema: str = "public",
        **options: Unpack[SaverOptions],
    ) -> AsyncIterator[Self]:
        """`PostgresSaver.from_conn_string`, for an event loop."""
        timeout = options.get("call_timeout", CALL_TIMEOUT)
        async with aconnected(cls.__name__, conn_string, pool, timeout) as (conn, reconnect):
            saver = cls(conn, schema=schema, reconnect=reconnect, **options)
            try:
                yield saver
            finally:
                await saver._aend()
                await saver._pipelines.aclose()
                if reconnect is not None:
                    await saver._source.close()


def postgres_planner(settings: SaverSettings, schema: str) -> PostgresPlanner:
    """The planner of a saver with these settings."""
    return PostgresPlanner(settings.ttl, settings.clock, schema, deduplicate=settings.deduplicate)
