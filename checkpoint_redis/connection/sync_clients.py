"""Clients of our own: what a URL names, closed at the end.

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
    """The client that a URL names. The driver tries again what was lost, the client does not.

    Args:
        url: names it.
        target: the same, with the options of its connections.
        size: how many connections to one server at most.
        wait: seconds that a call waits for one of them; None: for ever.
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
    """One connection is made, and not connected: its class knows which options there are."""
    pool.connection_class(**pool.connection_kwargs)
