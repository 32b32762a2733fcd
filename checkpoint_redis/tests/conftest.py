"""Keys of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checkpoint_redis.tests.harness import ClusterHarness, RedisHarness


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
