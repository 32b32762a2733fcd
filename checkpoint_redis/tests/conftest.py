"""Keys of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkpoint_redis.tests.harness import ClusterHarness, ClusterOfOneHarness, RedisHarness


@pytest.fixture
def one_server(redis_url: str) -> Iterator[RedisHarness]:
    """An unused prefix on the real server."""
    one = RedisHarness.new(redis_url)
    yield one
    one.close()


@pytest.fixture
def cluster(redis_cluster_url: str) -> Iterator[RedisHarness]:
    """An unused prefix on the real cluster."""
    one = ClusterHarness.new(redis_cluster_url)
    yield one
    one.close()


@pytest.fixture
def cluster_of_one(redis_cluster_of_one_url: str) -> Iterator[RedisHarness]:
    """An unused prefix on a real cluster of one node."""
    one = ClusterOfOneHarness.new(redis_cluster_of_one_url)
    yield one
    one.close()
