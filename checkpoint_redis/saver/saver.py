"""The public savers on Redis: `RedisSaver` and `AsyncRedisSaver`."""

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
from checkpoint_base.saver.ttl.retention import Retention
from checkpoint_redis.connection.connect import attempt_timeout, opened_target
from checkpoint_redis.saver.planner import RedisPlanner

if TYPE_CHECKING:
    from redis import Redis, RedisCluster
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster
    from typing_extensions import Self

TTL = Mapping[str, Any] | TTLPolicy | None
MAX_CONNECTIONS: Final = 50
"""Limit of connections of a saver that is opened by URL; further calls wait for one."""


class RedisSaver(FullSyncSaver):
    """LangGraph's `BaseCheckpointSaver` in Redis 6.2 or later, or Valkey, for blocking code. Its
    async methods run in a worker thread. Call `setup()` once for each prefix.

    Args:
        client: a `redis.Redis` or a `redis.RedisCluster`, with any settings, `decode_responses`
            included. The caller closes it.
        prefix: all keys begin with it.
        serde: default: LangGraph's `JsonPlusSerializer`.
        on_unreadable: what reading does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError, `"skip"` the channel or write with a warning, or return
            what LangGraph's serializer makes of it (`"langgraph"`).
        encrypted: True if `serde` encrypts, but is not LangGraph's `EncryptedSerializer` and has
            no attribute `cipher`; then metadata is encrypted, too.
        deduplicate: store equal chunks of a thread's large values once. False stores each value
            whole, which is faster if values are replaced instead of growing.
        ttl: time to live as in `langgraph.json`, in minutes; see `TTLPolicy`. With the strategy
            "delete" the server itself removes expired threads.
        retention: a policy that sweeps apply; of several processes one at a time.
        clock: returns the time in epoch seconds; `ttl` runs by it.
        call_timeout: seconds that a step of a call may take; None: no limit. A blocking client
            also needs a `socket_timeout` (redis-py's default since 8.0), which limits connecting,
            and the calls of a cluster's client.

    Raises:
        InvalidArgumentError: `client` has another type, or `prefix` or `ttl` is invalid.
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
        retention: Retention | None = None,
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
            retention=retention,
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
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        max_connections: int = MAX_CONNECTIONS,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> Iterator[Self]:
        """Open a saver with a client of its own, which is closed when the context ends.

        Args:
            conn_string: `redis://[[user]:password@]host[:port][/db]`, `rediss://…` (TLS),
                `unix:///path?db=0`, `redis+cluster://host:port,host:port`, or
                `redis+sentinel://host:port,host:port/service[/db]`; `rediss+…` with TLS. The query
                may have options of redis-py's connections, e.g. `?socket_timeout=5` (default: half
                of `call_timeout`).
            prefix: as in the constructor.
            serde: as in the constructor.
            on_unreadable: as in the constructor.
            encrypted: as in the constructor.
            deduplicate: as in the constructor.
            ttl: as in the constructor; minutes.
            retention: as in the constructor.
            clock: as in the constructor.
            max_connections: limit of connections to one server; further calls wait for one.
            call_timeout: as in the constructor; seconds.

        Raises:
            InvalidArgumentError: the URL, or another argument, is invalid.
            BackendUnavailableError: the URL is of a cluster that cannot be reached. If another
                server cannot be reached, the first call raises this.
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
                retention=retention,
                clock=clock,
                call_timeout=call_timeout,
            )
            stack.callback(saver._end)
            yield saver


class AsyncRedisSaver(FullAsyncSaver):
    """`RedisSaver` for an event loop. Its sync methods may be called from other threads.

    Args:
        client: a `redis.asyncio.Redis` or a `redis.asyncio.RedisCluster`. The caller closes it.
        prefix: as in `RedisSaver`.
        serde: as in `RedisSaver`.
        on_unreadable: as in `RedisSaver`.
        encrypted: as in `RedisSaver`.
        deduplicate: as in `RedisSaver`.
        ttl: as in `RedisSaver`; minutes.
        retention: a policy that sweeps apply; of several processes one at a time.
        clock: as in `RedisSaver`; epoch seconds.
        call_timeout: as in `RedisSaver`, but only a cluster's client needs a `socket_timeout`.

    Call `await saver.setup()` once for each prefix.

    Raises:
        InvalidArgumentError: `client` has another type, or `prefix` or `ttl` is invalid.
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
        retention: Retention | None = None,
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
            retention=retention,
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
        retention: Retention | None = None,
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
                retention=retention,
                clock=clock,
                call_timeout=call_timeout,
            )
            stack.push_async_callback(saver._commands.aclose)
            stack.push_async_callback(saver._aend)
            yield saver


def neither(wanted: str, given: object) -> InvalidArgumentError:
    """The error for a `client` of another type than those `wanted`."""
    return InvalidArgumentError(f"client: wanted a {wanted}, got {type(given).__name__}")


def driver(needed_by: str) -> Any:
    """Import redis-py.

    Raises:
        MissingDriverError: redis-py is not installed.
    """
    try:
        import redis
    except ImportError as error:
        raise MissingDriverError.of(needed_by, "redis") from error
    return redis
