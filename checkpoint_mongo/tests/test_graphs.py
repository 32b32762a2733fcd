"""Compiled graphs on both MongoDB savers, with their sync and their async methods."""

from __future__ import annotations

import pytest

from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests.savers.graph_conformance import GraphConformance


class TestMongoDBGraphs(GraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, database: MongoHarness) -> MongoHarness:
        return database
