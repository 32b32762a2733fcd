"""`PostgresSaver` and `AsyncPostgresSaver`: their arguments, and how they are opened and closed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT
from checkpoint_base.saver.codec.values import OnUnreadable
from checkpoint_base.saver.mixins import FullAsyncSaver, FullSyncSaver
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.saver.ttl.retention import Retention
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

TTL = Mapping[str, Any] | TTLPolicy | None


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
        on_unreadable: what a read does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError; `"skip"` the channel or write, with a warning; or
            `"langgraph"`: return what LangGraph's serializer makes of it.
        encrypted: set it if `serde` encrypts, but is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: then metadata is encrypted as well.
        deduplicate: store chunks that a thread's large values share only once. False: store each
            value whole, which is faster if values are replaced rather than extended.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        retention: a policy that sweeps apply; of several processes one at a time.
        clock: gives epoch seconds, for `ttl`.
        call_timeout: seconds that each step of a call may take, with its retries and its wait for
            a connection (`checkpoint_base.deadlines.timeouts`); None: no limit.
        reconnect: opens a new connection when `conn` is lost; None: it is not replaced. A pool
            needs none.

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
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        reconnect: Callable[[], Connection[Any]] | None = None,
    ) -> None:
        source = sync_source(type(self).__name__, conn, reconnect, pipe)
        from checkpoint_postgres.connection.sync_driver import SyncPostgresDriver

        policy = TTLPolicy.of(ttl)
        planner = PostgresPlanner(policy, clock, schema, deduplicate=deduplicate)
        super().__init__(
            planner,
            SyncPostgresDriver(source, by_thread=True, call_timeout=call_timeout),
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
            retention=retention,
        )
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
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> Iterator[Self]:
        """Connect as LangGraph's own saver does; disconnect at the end of the `with` block.

        Args:
            conn_string: `postgresql://…`, or `host=… dbname=…`.
            pipeline: as LangGraph's own saver takes it, where it saves round trips. It has no
                effect: each operation is one round trip anyway.
            pool: what psycopg's `ConnectionPool` takes, e.g. `{"max_size": 16}` (default
                10); None: one connection, replaced when it is lost.
            schema: as in the constructor.
            serde: as in the constructor.
            on_unreadable: as in the constructor.
            encrypted: as in the constructor.
            deduplicate: as in the constructor.
            ttl: as in the constructor; minutes.
            retention: as in the constructor.
            clock: as in the constructor.
            call_timeout: as in the constructor; seconds.

        Raises:
            InvalidArgumentError: `conn_string`, `pool` or another argument is invalid.
            PermissionDeniedError: the server refused the login.
            BackendUnavailableError: connecting failed; the message has the reason. With a pool,
                only if retries cannot help (no such database); otherwise a call raises it after
                it has waited for the pool's `timeout`.
        """
        with connected(cls.__name__, conn_string, pool, call_timeout) as (conn, reconnect):
            saver = cls(
                conn,
                schema=schema,
                serde=serde,
                on_unreadable=on_unreadable,
                encrypted=encrypted,
                deduplicate=deduplicate,
                ttl=ttl,
                retention=retention,
                clock=clock,
                call_timeout=call_timeout,
                reconnect=reconnect,
            )
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
        on_unreadable: what a read does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError; `"skip"` the channel or write, with a warning; or
            `"langgraph"`: return what LangGraph's serializer makes of it.
        encrypted: set it if `serde` encrypts, but is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: then metadata is encrypted as well.
        deduplicate: store chunks that a thread's large values share only once. False: store each
            value whole, which is faster if values are replaced rather than extended.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        retention: a policy that sweeps apply; of several processes one at a time.
        clock: gives epoch seconds, for `ttl`.
        call_timeout: seconds that each step of a call may take, with its retries and its wait for
            a connection (`checkpoint_base.deadlines.timeouts`); None: no limit.
        reconnect: as in `PostgresSaver`, awaitable.

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
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
        reconnect: Callable[[], Any] | None = None,
    ) -> None:
        source = async_source(type(self).__name__, conn, reconnect, pipe)
        from checkpoint_postgres.connection.async_driver import AsyncPostgresDriver

        policy = TTLPolicy.of(ttl)
        planner = PostgresPlanner(policy, clock, schema, deduplicate=deduplicate)
        driver = AsyncPostgresDriver(source, by_thread=True, call_timeout=call_timeout)
        super().__init__(
            planner,
            driver,
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
            retention=retention,
        )
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
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> AsyncIterator[Self]:
        """`PostgresSaver.from_conn_string`, for an event loop."""
        async with aconnected(cls.__name__, conn_string, pool, call_timeout) as (conn, reconnect):
            saver = cls(
                conn,
                schema=schema,
                serde=serde,
                on_unreadable=on_unreadable,
                encrypted=encrypted,
                deduplicate=deduplicate,
                ttl=ttl,
                retention=retention,
                clock=clock,
                call_timeout=call_timeout,
                reconnect=reconnect,
            )
            try:
                yield saver
            finally:
                await saver._aend()
                await saver._pipelines.aclose()
                if reconnect is not None:
                    await saver._source.close()
