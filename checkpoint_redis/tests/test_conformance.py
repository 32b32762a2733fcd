"""Both Redis savers under the contract of all savers, on one server and on a cluster."""

from __future__ import annotations

import pytest

from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests import SaverConformance


class TestRedisSaver(SaverConformance):
    @pytest.fixture
    def harness(self, one_server: RedisHarness) -> RedisHarness:
        return one_server


class TestRedisClusterSaver(SaverConformance):
    @pytest.fixture
    def harness(self, cluster: RedisHarness) -> RedisHarness:
        return cluster
