"""The public savers: how they are opened, and who closes what."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT, checked_call_timeout
from checkpoint_base.errors import InvalidArgumentError, MissingDriverError
from checkpoint_base.saver.codec.values import OnUnreadable
from checkpoint_base.saver.mixins import FullAsyncSaver, FullSyncSaver
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_redis.connection.connect import attempt_timeout, opened_target
from checkpoint_redis.saver.planner import RedisPlanner

if TYPE_CHECKING:
    from redis import Redis, RedisCluster
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster
    from typing_extensions import Self

TTL = Mapping[str, Any] | TTLPolicy | None
MAX_CONNECTIONS: Final = 50
"""Connections that a saver of a URL opens at most; further calls wait for one."""


class RedisSaver(FullSyncSaver):
    """Checkpoints in Redis 6.2 or later, or Valkey, for threads; its async methods run in a worker
    thread.

    Args:
        client: a `redis.Redis` or a `redis.RedisCluster`, with any settings: replies are read as
            bytes also where it decodes others. It stays the caller's to close.
        prefix: what all keys begin with.
        serde: LangGraph's `JsonPlusSerializer` unless another is given.
        on_unreadable: what reading does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError, `"skip"` the channel or write with a warning, or return
            what LangGraph's serializer makes of it (`"langgraph"`).
        encrypted: the serializer encrypts, though it is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: metadata goes through it, too.
        deduplicate: store what a thread's large values have in common once. Without it each is
            stored whole, which saves time where values are replaced and never grow.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`. With the
            strategy "delete" the server removes a thread by itself.
        clock: epoch seconds, for `ttl`.
        call_timeout: seconds that a step of a call may take; None: no limit. A blocking client that
            you bring needs a `socket_timeout` (redis-py's default since 8.0) so that new
            connections are limited, too, and so are calls of a cluster.

    `setup()` must have been called once for a prefix.

    Raises:
        InvalidArgumentError: `client` is neither of both, or the prefix cannot be one.
        MissingDriverError: redis-py is not installed.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "checkpoint",
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        redis = driver(type(self).__name__)
        from checkpoint_redis.connection.sync_driver import SyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.Redis or redis.RedisCluster", client)
        policy = TTLPolicy.of(ttl)
        planner = RedisPlanner(policy, clock, prefix, deduplicate=deduplicate)
        super().__init__(
            planner,
            SyncRedisDriver(client, checked_call_timeout(call_timeout)),
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
        )
        self.client = client

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "checkpoint",
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        max_connections: int = MAX_CONNECTIONS,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> Iterator[Self]:
        """Make a client, and close it at the end.

        Args:
            conn_string: `redis://[[user]:password@]host[:port][/db]`, `rediss://…` (TLS),
                `unix:///path?db=0`, `redis+cluster://host:port,host:port`, or
                `redis+sentinel://host:port,host:port/service[/db]`; `rediss+…` with TLS. Options
                of redis-py's connections go behind a `?`, e.g. `?socket_timeout=5` (else half of
                `call_timeout`).
            prefix: as in the constructor.
            serde: as in the constructor.
            on_unreadable: as in the constructor.
            encrypted: as in the constructor.
            deduplicate: as in the constructor.
            ttl: as in the constructor; minutes.
            clock: as in the constructor.
            max_connections: to one server; further calls wait for one.
            call_timeout: as in the constructor; seconds.

        Raises:
            InvalidArgumentError: the URL is none of these.
            BackendUnavailableError: there is no cluster. A server that is not there is an error of
                the first call.
        """
        driver(cls.__name__)
        target = opened_target(conn_string, checked_call_timeout(call_timeout), blocking=True)
        from checkpoint_redis.connection.sync_clients import connected

        with ExitStack() as stack:
            client = stack.enter_context(
                connected(conn_string, target, max_connections, attempt_timeout(call_timeout))
            )
            saver = cls(
                client,
                prefix=prefix,
                serde=serde,
                on_unreadable=on_unreadable,
                encrypted=encrypted,
                deduplicate=deduplicate,
                ttl=ttl,
                clock=clock,
                call_timeout=call_timeout,
            )
            stack.callback(saver._end)
            yield saver


class AsyncRedisSaver(FullAsyncSaver):
    """Checkpoints in Redis, for an event loop; its sync methods work from other threads.

    Args:
        client: as in `RedisSaver`: a `redis.asyncio.Redis` or a `redis.asyncio.RedisCluster`.
        prefix: as in `RedisSaver`.
        serde: LangGraph's `JsonPlusSerializer` unless another is given.
        on_unreadable: what reading does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError, `"skip"` the channel or write with a warning, or return
            what LangGraph's serializer makes of it (`"langgraph"`).
        encrypted: the serializer encrypts, though it is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: metadata goes through it, too.
        deduplicate: store what a thread's large values have in common once. Without it each is
            stored whole, which saves time where values are replaced and never grow.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        clock: epoch seconds, for `ttl`.
        call_timeout: seconds that a step of a call may take; None: no limit. A blocking client that
            you bring needs a `socket_timeout` (redis-py's default since 8.0) so that new
            connections are limited, too, and so are calls of a cluster.

    `await saver.setup()` must have been called once for a prefix.

    Raises:
        InvalidArgumentError: `client` is neither of both, or the prefix cannot be one.
        MissingDriverError: redis-py is not installed.
    """

    def __init__(
        self,
        client: AsyncRedis | AsyncRedisCluster,
        *,
        prefix: str = "checkpoint",
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        driver(type(self).__name__)
        from redis import asyncio as redis

        from checkpoint_redis.connection.async_driver import AsyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.asyncio.Redis or redis.asyncio.RedisCluster", client)
        policy = TTLPolicy.of(ttl)
        planner = RedisPlanner(policy, clock, prefix, deduplicate=deduplicate)
        self._commands = AsyncRedisDriver(client, checked_call_timeout(call_timeout))
        super().__init__(
            planner,
            self._commands,
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
        )
        self.client = client

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "checkpoint",
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        max_connections: int = MAX_CONNECTIONS,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> AsyncIterator[Self]:
        """`RedisSaver.from_conn_string`, for an event loop."""
        driver(cls.__name__)
        target = opened_target(conn_string, checked_call_timeout(call_timeout), blocking=False)
        from checkpoint_redis.connection.async_clients import connected

        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                connected(conn_string, target, max_connections, attempt_timeout(call_timeout))
            )
            saver = cls(
                client,
                prefix=prefix,
                serde=serde,
                on_unreadable=on_unreadable,
                encrypted=encrypted,
                deduplicate=deduplicate,
                ttl=ttl,
                clock=clock,
                call_timeout=call_timeout,
            )
            stack.push_async_callback(saver._commands.aclose)
            stack.push_async_callback(saver._aend)
            yield saver


def neither(wanted: str, given: object) -> InvalidArgumentError:
    """The error for a client that is none."""
    return InvalidArgumentError(f"client: wanted a {wanted}, got {type(given).__name__}")


def driver(needed_by: str) -> Any:
    """The module redis.

    Raises:
        MissingDriverError: it is not installed.
    """
    try:
        import redis
    except ImportError as error:
        raise MissingDriverError.of(needed_by, "redis") from error
    return redis
