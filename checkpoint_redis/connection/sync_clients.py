"""redis-py clients that the library opens from a URL and closes itself.

Made of `checkpoint_redis/connection/async_clients.py`: python -m tests.sync_twins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import BlockingConnectionPool, Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry
from redis.sentinel import Sentinel

from checkpoint_redis.connection.connect import Target
from checkpoint_redis.connection.errors import ERRORS, accepted, translate_error


@contextmanager
def connected(
    url: str, target: Target, size: int, wait: float | None
) -> Iterator[Redis | RedisCluster]:
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
        except ERRORS as error:
            raise translate_error(error) from error
        try:
            yield cluster
        finally:
            cluster.close()
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
                client.close()
                client.connection_pool.disconnect()
    else:
        with accepted(url):
            options = {"max_connections": size, "timeout": wait, **target.options, **once}
            pool = BlockingConnectionPool.from_url(url, **options)
            _tried(pool)
        try:
            yield Redis(connection_pool=pool)
        finally:
            pool.disconnect()


def _tried(pool: Any) -> None:
    """Create a connection without connecting, so that its class checks the options."""
    pool.connection_class(**pool.connection_kwargs)
