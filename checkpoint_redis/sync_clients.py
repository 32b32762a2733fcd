"""Clients of our own: what a URL names, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import BlockingConnectionPool, Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry
from redis.sentinel import Sentinel

from checkpoint_redis.connect import Target
from checkpoint_redis.failures import ERRORS, named


@contextmanager
def connected(url: str, target: Target, size: int) -> Iterator[Redis | RedisCluster]:
    """The client that a URL names. The driver tries again what was lost, the client does not."""
    once: Any = {"retry": Retry(NoBackoff(), 0)}
    if target.kind == "cluster":
        nodes = [ClusterNode(*host) for host in target.hosts]  # type: ignore[no-untyped-call]
        try:
            cluster = RedisCluster(startup_nodes=nodes, **target.options)
        except ERRORS as error:
            raise named(error) from error
        try:
            yield cluster
        finally:
            cluster.close()
    elif target.kind == "sentinel":
        sentinel = Sentinel(target.hosts, **target.options)  # type: ignore[no-untyped-call]
        primary: Redis = sentinel.master_for(target.service, **once)  # type: ignore[no-untyped-call]
        try:
            yield primary
        finally:
            for client in (primary, *sentinel.sentinels):
                client.close()
                client.connection_pool.disconnect()
    else:
        pool = BlockingConnectionPool.from_url(url, max_connections=size, **target.options, **once)
        try:
            yield Redis(connection_pool=pool)
        finally:
            pool.disconnect()
