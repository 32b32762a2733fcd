"""The public stores on Redis: `RedisStore` and `AsyncRedisStore`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from checkpoint_redis.connection.connect import attempt_timeout, opened_target
from checkpoint_redis.saver.saver import MAX_CONNECTIONS, driver, neither
from checkpoint_redis.store.planner import CACHE_BYTES, RedisStorePlanner
from store_vector.options import StoreOptions, StoreSettings
from store_vector.shell import AsyncStore, SyncStore

if TYPE_CHECKING:
    from redis import Redis, RedisCluster
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster
    from typing_extensions import Self


class RedisStore(SyncStore):
    """LangGraph's `BaseStore` (long-term memory) in Redis 6.2 or later, or Valkey. Its async
    methods run in a worker thread. On a cluster the whole store is in one slot. Call `setup()` once
    for each prefix.

    Vector search needs no module. Without an index on the server it is exact: this process caches
    the store's vectors and reads what other processes changed with each search; if the vectors are
    larger than `cache_bytes`, each search reads them all.

    Args:
        client: a `redis.Redis` or a `redis.RedisCluster`, with any settings. The caller closes it.
        prefix: all keys begin with it; stores of different prefixes share nothing.
        cache_bytes: limit of the cached vectors: 4 bytes for each dimension of each vector. The
            cache also takes a few hundred bytes for each item that has vectors.
        options: `StoreOptions`; `call_timeout` as in `RedisSaver`.

    Raises:
        InvalidArgumentError: `client` has another type, or `prefix`, `index` or `ttl` is invalid.
        MissingDriverError: redis-py is not installed.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "store",
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> None:
        redis = driver(type(self).__name__)
        from checkpoint_redis.connection.sync_driver import SyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.Redis or redis.RedisCluster", client)
        settings = StoreSettings.of(options)
        planner = redis_store_planner(settings, prefix, cache_bytes)
        super().__init__(planner, SyncRedisDriver(client, settings.call_timeout), settings)
        self.client = client

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "store",
        cache_bytes: int = CACHE_BYTES,
        max_connections: int = MAX_CONNECTIONS,
        **options: Unpack[StoreOptions],
    ) -> Iterator[Self]:
        """Open a store with a client of its own, which is closed when the context ends.

        Args:
            conn_string: as in `RedisSaver.from_conn_string`.
            prefix: as in the constructor.
            cache_bytes: as in the constructor.
            max_connections: limit of connections to one server; further calls wait for one.
            options: `StoreOptions`.

        Raises:
            InvalidArgumentError: the URL, or another argument, is invalid.
            BackendUnavailableError: the URL is of a cluster that cannot be reached. If another
                server cannot be reached, the first call raises this.
        """
        driver(cls.__name__)
        call_timeout = StoreSettings.of(options).call_timeout
        target = opened_target(conn_string, call_timeout, blocking=True)
        from checkpoint_redis.connection.sync_clients import connected

        with ExitStack() as stack:
            client = stack.enter_context(
                connected(conn_string, target, max_connections, attempt_timeout(call_timeout))
            )
            store = cls(client, prefix=prefix, cache_bytes=cache_bytes, **options)
            stack.callback(store._end)
            yield store


class AsyncRedisStore(AsyncStore):
    """`RedisStore` for an event loop. Operations requested in one tick of the loop are one batch.
    Its sync methods may be called from other threads.

    Args:
        client: a `redis.asyncio.Redis` or a `redis.asyncio.RedisCluster`. The caller closes it.
        prefix: as in `RedisStore`.
        cache_bytes: as in `RedisStore`.
        options: as in `RedisStore`.

    Raises:
        InvalidArgumentError: `client` has another type, or `prefix`, `index` or `ttl` is invalid.
        MissingDriverError: redis-py is not installed.
    """

    def __init__(
        self,
        client: AsyncRedis | AsyncRedisCluster,
        *,
        prefix: str = "store",
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> None:
        driver(type(self).__name__)
        from redis import asyncio as redis

        from checkpoint_redis.connection.async_driver import AsyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.asyncio.Redis or redis.asyncio.RedisCluster", client)
        settings = StoreSettings.of(options)
        planner = redis_store_planner(settings, prefix, cache_bytes)
        super().__init__(planner, AsyncRedisDriver(client, settings.call_timeout), settings)
        self.client = client

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "store",
        cache_bytes: int = CACHE_BYTES,
        max_connections: int = MAX_CONNECTIONS,
        **options: Unpack[StoreOptions],
    ) -> AsyncIterator[Self]:
        """`RedisStore.from_conn_string`, for an event loop."""
        driver(cls.__name__)
        call_timeout = StoreSettings.of(options).call_timeout
        target = opened_target(conn_string, call_timeout, blocking=False)
        from checkpoint_redis.connection.async_clients import connected

        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                connected(conn_string, target, max_connections, attempt_timeout(call_timeout))
            )
            store = cls(client, prefix=prefix, cache_bytes=cache_bytes, **options)
            stack.push_async_callback(store._aend)
            yield store


def redis_store_planner(
    settings: StoreSettings, prefix: str, cache_bytes: int
) -> RedisStorePlanner:
    """The planner of a store with these settings."""
    return RedisStorePlanner(
        settings.index, settings.ttl, prefix, cache_bytes, settings.filter_fields
    )
