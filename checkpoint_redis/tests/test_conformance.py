"""Both Redis savers under the contract of all savers, on one server and on a cluster."""

from __future__ import annotations

import pytest

from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests import Capability, SaverConformance


class TestRedisSaver(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, one_server: RedisHarness) -> RedisHarness:
        return one_server


ON_ONE_NODE = {Capability.NETWORK, Capability.SERVER_DEATH, Capability.ROUND_TRIPS}
"""A proxy stands before one server."""


class TestRedisClusterSaver(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest) -> RedisHarness:
        on_one = self.capability_under_test(request) in ON_ONE_NODE
        found: RedisHarness = request.getfixturevalue("cluster_of_one" if on_one else "cluster")
        return found
