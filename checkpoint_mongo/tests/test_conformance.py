"""Both MongoDB savers under the contract of all savers: sync is one, async the other."""

from __future__ import annotations

import pytest

from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests import SaverConformance


class TestMongoDBSaver(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, database: MongoHarness) -> MongoHarness:
        return database
