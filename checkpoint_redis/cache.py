"""Caches on Redis: `RedisCache`, `AsyncRedisCache`, and the planner of both."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import Unpack

from checkpoint_base.cache.entries import CacheEntry
from checkpoint_base.cache.options import CacheOptions, CacheSettings
from checkpoint_base.cache.planner import CachePlanner, CacheStats
from checkpoint_base.cache.shell import AsyncCache, SyncCache
from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.lifecycle.setup_check import requires_setup
from checkpoint_base.plan import Plan
from checkpoint_base.saver.config import text
from checkpoint_redis.connection.connect import attempt_timeout, opened_target
from checkpoint_redis.connection.requests import Arg, call, moment
from checkpoint_redis.connection.scripts import script
from checkpoint_redis.saver.saver import MAX_CONNECTIONS, driver, neither
from checkpoint_redis.saver.schema import expect_schema, schema_version, server_name

if TYPE_CHECKING:
    from redis import Redis, RedisCluster
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster
    from typing_extensions import Self

SCHEMA: Final = 1
"""Version of the stored format."""
_AT_ONCE: Final = 1000
"""Entries that one script removes at most, so that it does not hold up the server for long."""
_KINDS: Final = (b"entries", b"names", b"stored", b"expires")
_EXPIRES: Final = struct.Struct("<d")
_NEVER: Final = float("inf")


@requires_setup(CachePlanner)
class RedisCachePlanner:
    """The plans of a cache on Redis. On a cluster its four keys are in one slot.

    Args:
        prefix: the hash tag with which all keys begin.
    """

    is_set_up = False

    def __init__(self, prefix: str = "cache") -> None:
        name = text("prefix", prefix)
        if not name or "{" in name or "}" in name:
            raise InvalidArgumentError(
                f"prefix: wanted some text without braces, which are for hash tags, got {prefix!r}"
            )
        tag = b"{" + name.encode() + b"}:"
        self._schema = tag + b"schema"
        self._keys = [tag + kind for kind in _KINDS]

    def _ask(self, name: str, *args: Arg) -> Plan[Any]:
        return (yield from call(script(f"cache/{name}"), self._keys, args))

    def setup(self) -> Plan[None]:
        """Store the schema version, unless one is stored."""
        if not (yield from schema_version(self._schema, SCHEMA)):
            yield from schema_version(self._schema, SCHEMA, note=True)

    def expect_setup(self) -> Plan[None]:
        """Check the stored schema version; raise as `expect_schema` does."""
        yield from expect_schema(self._schema, SCHEMA)

    def get(self, ids: Sequence[str], now: float) -> Plan[list[CacheEntry]]:
        """Read the entries that have not expired: one script."""
        found = yield from self._ask("get", moment(now), *ids)
        return [_entry(digest, data) for digest, data in zip(ids, found, strict=True) if data]

    def put(self, entries: Sequence[CacheEntry], now: float) -> Plan[None]:
        """Store entries: one script."""
        args: list[Arg] = []
        for digest, data, expires_at in entries:
            until = _NEVER if expires_at is None else expires_at
            args += [digest, moment(until), _EXPIRES.pack(until) + data]
        yield from self._ask("put", moment(now), *args)

    def delete(self, ids: Sequence[str]) -> Plan[None]:
        """Remove entries: one script."""
        yield from self._ask("delete", *ids)

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        """Remove the entries of namespaces, a thousand with each script; None: all, with one."""
        if namespace_ids is None:
            yield from self._ask("clear")
            return
        for digest in namespace_ids:
            yield from self._while_full("clear_some", digest)

    def sweep(self, now: float) -> Plan[int]:
        """Remove expired entries: one script for a thousand."""
        return (yield from self._while_full("sweep", moment(now)))

    def trim(self, max_bytes: int) -> Plan[int]:
        """Remove the oldest entries until `max_bytes` are left: one script for a thousand."""
        return (yield from self._while_full("trim", max_bytes))

    def _while_full(self, name: str, *args: Arg) -> Plan[int]:
        removed = 0
        while True:
            count: int = yield from self._ask(name, _AT_ONCE, *args)
            removed += count
            if count < _AT_ONCE:
                return removed

    def stats(self) -> Plan[CacheStats]:
        """Count entries and bytes."""
        server = yield from server_name(self._schema)
        entries, size = yield from self._ask("stats")
        return CacheStats(backend="redis", server=server, entries=int(entries), bytes=int(size))


def _entry(digest: str, packed: bytes) -> CacheEntry:
    (until,) = _EXPIRES.unpack_from(packed)
    return CacheEntry(digest, packed[_EXPIRES.size :], None if until == _NEVER else until)


class RedisCache(SyncCache):
    """LangGraph's `BaseCache` in Redis 6.2 or later, or Valkey. Its async methods run in a worker
    thread. On a cluster the whole cache is in one slot. Call `setup()` once for each prefix.

    Args:
        client: a `redis.Redis` or a `redis.RedisCluster`, with any settings. The caller closes it.
        prefix: all keys begin with it; caches of different prefixes share nothing.
        options: `CacheOptions`.

    Raises:
        InvalidArgumentError: `client` has another type, or `prefix`, `max_bytes` or `serde` is
            invalid.
        MissingDriverError: redis-py is not installed.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "cache",
        **options: Unpack[CacheOptions],
    ) -> None:
        redis = driver(type(self).__name__)
        from checkpoint_redis.connection.sync_driver import SyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.Redis or redis.RedisCluster", client)
        settings = CacheSettings.of(options)
        driver_of_cache = SyncRedisDriver(client, settings.call_timeout)
        super().__init__(RedisCachePlanner(prefix), driver_of_cache, settings)
        self.client = client

    @classmethod
    @contextmanager
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "cache",
        max_connections: int = MAX_CONNECTIONS,
        **options: Unpack[CacheOptions],
    ) -> Iterator[Self]:
        """Open a cache with a client of its own, which is closed when the context ends.

        Args:
            conn_string: as in `RedisSaver.from_conn_string`.
            prefix: as in the constructor.
            max_connections: limit of connections to one server; further calls wait for one.
            options: `CacheOptions`.

        Raises:
            InvalidArgumentError: the URL, `max_bytes` or `serde` is invalid.
            BackendUnavailableError: the URL is of a cluster that cannot be reached. If another
                server cannot be reached, each read is a miss.
        """
        driver(cls.__name__)
        call_timeout = CacheSettings.of(options).call_timeout
        target = opened_target(conn_string, call_timeout, blocking=True)
        from checkpoint_redis.connection.sync_clients import connected

        with ExitStack() as stack:
            client = stack.enter_context(
                connected(conn_string, target, max_connections, attempt_timeout(call_timeout))
            )
            cache = cls(client, prefix=prefix, **options)
            stack.callback(cache._end)
            yield cache


class AsyncRedisCache(AsyncCache):
    """`RedisCache` for an event loop. Its sync methods may be called from other threads.

    Args:
        client: a `redis.asyncio.Redis` or a `redis.asyncio.RedisCluster`.
        prefix: as in `RedisCache`.
        options: `CacheOptions`.

    Call `await cache.setup()` once for each prefix.

    Raises:
        InvalidArgumentError: `client` has another type, or `prefix`, `max_bytes` or `serde` is
            invalid.
        MissingDriverError: redis-py is not installed.
    """

    def __init__(
        self,
        client: AsyncRedis | AsyncRedisCluster,
        *,
        prefix: str = "cache",
        **options: Unpack[CacheOptions],
    ) -> None:
        driver(type(self).__name__)
        from redis import asyncio as redis

        from checkpoint_redis.connection.async_driver import AsyncRedisDriver

        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise neither("redis.asyncio.Redis or redis.asyncio.RedisCluster", client)
        settings = CacheSettings.of(options)
        driver_of_cache = AsyncRedisDriver(client, settings.call_timeout)
        super().__init__(RedisCachePlanner(prefix), driver_of_cache, settings)
        self.client = client

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        prefix: str = "cache",
        max_connections: int = MAX_CONNECTIONS,
        **options: Unpack[CacheOptions],
    ) -> AsyncIterator[Self]:
        """`RedisCache.from_conn_string`, for an event loop."""
        driver(cls.__name__)
        call_timeout = CacheSettings.of(options).call_timeout
        target = opened_target(conn_string, call_timeout, blocking=False)
        from checkpoint_redis.connection.async_clients import connected

        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                connected(conn_string, target, max_connections, attempt_timeout(call_timeout))
            )
            cache = cls(client, prefix=prefix, **options)
            stack.push_async_callback(cache._aend)
            yield cache
