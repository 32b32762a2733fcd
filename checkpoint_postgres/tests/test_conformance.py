"""Both Postgres savers under the contract of all savers: sync is one, async the other."""

from __future__ import annotations

import pytest

from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests import Capability, SaverConformance

NEW = {Capability.SETUP, Capability.PROCESSES}
"""A database without tables."""


class TestPostgresSaver(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest) -> PostgresHarness:
        is_new = self.capability_under_test(request) in NEW
        found: PostgresHarness = request.getfixturevalue("database" if is_new else "kept")
        return found
