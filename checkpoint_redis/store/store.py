"""The public stores on Redis: `RedisStore` and `AsyncRedisStore`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from langgraph.store.base import TTLConfig

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT, checked_call_timeout
from checkpoint_redis.connection.connect import attempt_timeout, opened_target
from checkpoint_redis.saver.saver import MAX_CONNECTIONS, driver, neither
from checkpoint_redis.store.planner import CACHE_BYTES, RedisStorePlanner
from store_vector.config import IndexSettings, StoreTTL
from store_vector.filters.keys import declared_fields
from store_vector.shell import AsyncStore, SyncStore

if TYPE_CHECKING:
    from redis import Redis, RedisCluster
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster
    from typing_extensions import Self

Index = Mapping[str, Any] | None
TTL = TTLConfig | StoreTTL | None


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
        index: LangGraph's `IndexConfig`, with `distance_type`; None: no vector search.
        ttl: LangGraph's `TTLConfig`, in minutes.
        clock: returns the time in epoch seconds; items' times and `ttl` run by it.
        call_timeout: as in `RedisSaver`; seconds.
        cache_bytes: limit of the cached vectors: 4 bytes for each dimension of each vector. The
            cache also takes a few hundred bytes for each item that has vectors.
        filter_fields: fields that many searches filter by, such as `"status"` or `"user.age"`;
            setup() builds an index for each. The same as `index["filter_fields"]`.

    Raises:
        InvalidArgumentError: `client` has another type, or `prefix`, `index` or `ttl` is invalid.
        MissingDriverError: redis-py is not installed.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "store",
        index: Index = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        filter_fields: Sequence[str] | None = None,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        redis = driver(type(self).__name__)
        from checkpoint_redis.connection.sync_driver import SyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.Redis or redis.RedisCluster", client)
        settings, policy = IndexSettings.of(index), StoreTTL.of(ttl)
        fields = declared_fields(index, filter_fields)
        planner = RedisStorePlanner(settings, policy, prefix, cache_bytes, fields)
        super().__init__(
            planner,
            SyncRedisDriver(client, checked_call_timeout(call_timeout)),
            settings,
            policy,
            clock,
        )
        self.client = client

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "store",
        index: Index = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        filter_fields: Sequence[str] | None = None,
        max_connections: int = MAX_CONNECTIONS,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> Iterator[Self]:
        """Open a store with a client of its own, which is closed when the context ends.

        Args:
            conn_string: as in `RedisSaver.from_conn_string`.
            prefix: as in the constructor.
            index: as in the constructor.
            ttl: as in the constructor; minutes.
            clock: as in the constructor.
            cache_bytes: as in the constructor.
            filter_fields: as in the constructor.
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
            store = cls(
                client,
                prefix=prefix,
                index=index,
                ttl=ttl,
                clock=clock,
                cache_bytes=cache_bytes,
                filter_fields=filter_fields,
                call_timeout=call_timeout,
            )
            stack.callback(store._end)
            yield store


class AsyncRedisStore(AsyncStore):
    """`RedisStore` for an event loop. Operations requested in one tick of the loop are one batch.
    Its sync methods may be called from other threads.

    Args:
        client: a `redis.asyncio.Redis` or a `redis.asyncio.RedisCluster`. The caller closes it.
        prefix: as in `RedisStore`.
        index: as in `RedisStore`.
        ttl: as in `RedisStore`; minutes.
        clock: as in `RedisStore`; epoch seconds.
        cache_bytes: as in `RedisStore`.
        filter_fields: as in `RedisStore`.
        call_timeout: as in `RedisSaver`; seconds.

    Raises:
        InvalidArgumentError: `client` has another type, or `prefix`, `index` or `ttl` is invalid.
        MissingDriverError: redis-py is not installed.
    """

    def __init__(
        self,
        client: AsyncRedis | AsyncRedisCluster,
        *,
        prefix: str = "store",
        index: Index = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        filter_fields: Sequence[str] | None = None,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        driver(type(self).__name__)
        from redis import asyncio as redis

        from checkpoint_redis.connection.async_driver import AsyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.asyncio.Redis or redis.asyncio.RedisCluster", client)
        settings, policy = IndexSettings.of(index), StoreTTL.of(ttl)
        fields = declared_fields(index, filter_fields)
        planner = RedisStorePlanner(settings, policy, prefix, cache_bytes, fields)
        super().__init__(
            planner,
            AsyncRedisDriver(client, checked_call_timeout(call_timeout)),
            settings,
            policy,
            clock,
        )
        self.client = client

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "store",
        index: Index = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        filter_fields: Sequence[str] | None = None,
        max_connections: int = MAX_CONNECTIONS,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> AsyncIterator[Self]:
        """`RedisStore.from_conn_string`, for an event loop."""
        driver(cls.__name__)
        target = opened_target(conn_string, checked_call_timeout(call_timeout), blocking=False)
        from checkpoint_redis.connection.async_clients import connected

        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                connected(conn_string, target, max_connections, attempt_timeout(call_timeout))
            )
            store = cls(
                client,
                prefix=prefix,
                index=index,
                ttl=ttl,
                clock=clock,
                cache_bytes=cache_bytes,
                filter_fields=filter_fields,
                call_timeout=call_timeout,
            )
            stack.push_async_callback(store._aend)
            yield store
