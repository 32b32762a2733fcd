"""Compiled graphs on both Redis savers, on one server and on a cluster."""

from __future__ import annotations

import pytest

from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests.savers.graph_conformance import GraphConformance


class TestRedisGraphs(GraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, one_server: RedisHarness) -> RedisHarness:
        return one_server


class TestRedisClusterGraphs(GraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, cluster: RedisHarness) -> RedisHarness:
        return cluster
