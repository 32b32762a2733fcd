"""Both Postgres savers under the contract of all savers: sync is one, async the other."""

from __future__ import annotations

import pytest

from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests import SaverConformance


class TestPostgresSaver(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, database: PostgresHarness) -> PostgresHarness:
        return database
