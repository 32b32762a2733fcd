"""redis-py clients that the library opens from a URL and closes itself.

`sync_clients` is made of this file: python -m tests.sync_twins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from checkpoint_redis.connection.connect import Target
from checkpoint_redis.connection.errors import ERRORS, accepted, translate_error


@asynccontextmanager
async def connected(
    url: str, target: Target, size: int, wait: float | None
) -> AsyncIterator[Redis | RedisCluster]:
    """Open a client for a URL, and close it when the context ends. The client retries nothing,
    because the driver does.

    Args:
        url: the connection string.
        target: the parsed URL, with the options of its connections.
        size: limit of connections to one server.
        wait: seconds that a call waits for a free connection; None: without limit.

    Raises:
        InvalidArgumentError: redis-py refuses an option of the URL.
        BackendUnavailableError: no node of a cluster can be reached.
    """
    once: Any = {"retry": Retry(NoBackoff(), 0)}
    if target.kind == "cluster":
        node: Any = ClusterNode
        nodes = [node(host, port) for host, port in target.hosts]
        cluster: Any = None
        try:
            with accepted(url):
                cluster = RedisCluster(startup_nodes=nodes, **target.options)
            await cluster.initialize()  # async only
        except ERRORS as error:
            await cluster.aclose()  # async only
            raise translate_error(error) from error
        try:
            yield cluster
        finally:
            await cluster.aclose()
    elif target.kind == "sentinel":
        with accepted(url):
            watchers: Any = Sentinel
            sentinel = watchers(target.hosts, **target.options)
            primary: Redis = sentinel.master_for(target.service, **once)
            _tried(primary.connection_pool)
        try:
            yield primary
        finally:
            for client in (primary, *sentinel.sentinels):
                await client.aclose()
                await client.connection_pool.disconnect()
    else:
        with accepted(url):
            options = {"max_connections": size, "timeout": wait, **target.options, **once}
            pool = BlockingConnectionPool.from_url(url, **options)
            _tried(pool)
        try:
            yield Redis(connection_pool=pool)
        finally:
            await pool.disconnect()


def _tried(pool: Any) -> None:
    """Create a connection without connecting, so that its class checks the options."""
    pool.connection_class(**pool.connection_kwargs)
