"""The public savers on Redis: `RedisSaver` and `AsyncRedisSaver`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import Unpack

from checkpoint_base.errors import InvalidArgumentError, MissingDriverError
from checkpoint_base.saver.mixins import FullAsyncSaver, FullSyncSaver
from checkpoint_base.saver.options import SaverOptions, SaverSettings
from checkpoint_redis.connection.connect import attempt_timeout, opened_target
from checkpoint_redis.saver.planner import RedisPlanner

if TYPE_CHECKING:
    from redis import Redis, RedisCluster
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster
    from typing_extensions import Self

MAX_CONNECTIONS: Final = 50
"""Limit of connections of a saver that is opened by URL; further calls wait for one."""


class RedisSaver(FullSyncSaver):
    """LangGraph's `BaseCheckpointSaver` in Redis 6.2 or later, or Valkey, for blocking code. Its
    async methods run in a worker thread. Call `setup()` once for each prefix.

    Args:
        client: a `redis.Redis` or a `redis.RedisCluster`, with any settings, `decode_responses`
            included. The caller closes it.
        prefix: all keys begin with it.
        options: `SaverOptions`. With `ttl`'s strategy "delete" the server itself removes expired
            threads. A blocking client needs a `socket_timeout` as well as `call_timeout`
            (redis-py's default since 8.0): it limits connecting, and the calls of a cluster's
            client.

    Raises:
        InvalidArgumentError: `client` has another type, or `prefix` or `ttl` is invalid.
        MissingDriverError: redis-py is not installed.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "checkpoint",
        **options: Unpack[SaverOptions],
    ) -> None:
        redis = driver(type(self).__name__)
        from checkpoint_redis.connection.sync_driver import SyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.Redis or redis.RedisCluster", client)
        settings = SaverSettings.of(options)
        planner = redis_planner(settings, prefix)
        super().__init__(planner, SyncRedisDriver(client, settings.call_timeout), settings)
        self.client = client

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "checkpoint",
        max_connections: int = MAX_CONNECTIONS,
        **options: Unpack[SaverOptions],
    ) -> Iterator[Self]:
        """Open a saver with a client of its own, which is closed when the context ends.

        Args:
            conn_string: `redis://[[user]:password@]host[:port][/db]`, `rediss://…` (TLS),
                `unix:///path?db=0`, `redis+cluster://host:port,host:port`, or
                `redis+sentinel://host:port,host:port/service[/db]`; `rediss+…` with TLS. The query
                may have options of redis-py's connections, e.g. `?socket_timeout=5` (default: half
                of `call_timeout`).
            prefix: as in the constructor.
            max_connections: limit of connections to one server; further calls wait for one.
            options: `SaverOptions`.

        Raises:
            InvalidArgumentError: the URL, or another argument, is invalid.
            BackendUnavailableError: the URL is of a cluster that cannot be reached. If another
                server cannot be reached, the first call raises this.
        """
        driver(cls.__name__)
        call_timeout = SaverSettings.of(options).call_timeout
        target = opened_target(conn_string, call_timeout, blocking=True)
        from checkpoint_redis.connection.sync_clients import connected

        with ExitStack() as stack:
            client = stack.enter_context(
                connected(conn_string, target, max_connections, attempt_timeout(call_timeout))
            )
            saver = cls(client, prefix=prefix, **options)
            stack.callback(saver._end)
            yield saver


class AsyncRedisSaver(FullAsyncSaver):
    """`RedisSaver` for an event loop. Its sync methods may be called from other threads.

    Args:
        client: a `redis.asyncio.Redis` or a `redis.asyncio.RedisCluster`. The caller closes it.
        prefix: as in `RedisSaver`.
        options: as in `RedisSaver`, but only a cluster's client needs a `socket_timeout`.

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
        **options: Unpack[SaverOptions],
    ) -> None:
        driver(type(self).__name__)
        from redis import asyncio as redis

        from checkpoint_redis.connection.async_driver import AsyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.asyncio.Redis or redis.asyncio.RedisCluster", client)
        settings = SaverSettings.of(options)
        planner = redis_planner(settings, prefix)
        self._commands = AsyncRedisDriver(client, settings.call_timeout)
        super().__init__(planner, self._commands, settings)
        self.client = client

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "checkpoint",
        max_connections: int = MAX_CONNECTIONS,
        **options: Unpack[SaverOptions],
    ) -> AsyncIterator[Self]:
        """`RedisSaver.from_conn_string`, for an event loop."""
        driver(cls.__name__)
        call_timeout = SaverSettings.of(options).call_timeout
        target = opened_target(conn_string, call_timeout, blocking=False)
        from checkpoint_redis.connection.async_clients import connected

        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                connected(conn_string, target, max_connections, attempt_timeout(call_timeout))
            )
            saver = cls(client, prefix=prefix, **options)
            stack.push_async_callback(saver._commands.aclose)
            stack.push_async_callback(saver._aend)
            yield saver


def redis_planner(settings: SaverSettings, prefix: str) -> RedisPlanner:
    """The planner of a saver with these settings."""
    return RedisPlanner(settings.ttl, settings.clock, prefix, deduplicate=settings.deduplicate)


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
