"""Both Redis savers under the contract of all savers, on one server and on a cluster."""

from __future__ import annotations

import pytest

from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests import Capability, SaverConformance
from conformance_tests.savers.reading.filters import FilterClauses
from conformance_tests.savers.upstream import UpstreamClauses
from conformance_tests.savers.values.allowlist import AllowlistClauses
from conformance_tests.savers.values.encryption import EncryptionClauses, OwnEncryptionClauses
from conformance_tests.savers.values.fidelity import FidelityClauses
from conformance_tests.savers.values.records import RecordIdentityClauses, RecordIntegrityClauses
from conformance_tests.savers.values.unreadable import UnreadableClauses


class TestRedisSaver(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, one_server: RedisHarness) -> RedisHarness:
        return one_server


ON_ONE_NODE = {Capability.NETWORK, Capability.SERVER_DEATH, Capability.ROUND_TRIPS}
"""A proxy stands before one server."""


ON_ONE_SERVER = (
    AllowlistClauses,
    EncryptionClauses,
    FidelityClauses,
    FilterClauses,
    OwnEncryptionClauses,
    RecordIdentityClauses,
    RecordIntegrityClauses,
    UnreadableClauses,
    UpstreamClauses,
)
"""What they judge (values, filters, checksums) is one thread's, on one server of whatever."""


class TestRedisClusterSaver(SaverConformance):
    profile = "suite"
    left_to_others = ON_ONE_SERVER

    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest) -> RedisHarness:
        on_one = self.capability_under_test(request) in ON_ONE_NODE
        found: RedisHarness = request.getfixturevalue("cluster_of_one" if on_one else "cluster")
        return found
