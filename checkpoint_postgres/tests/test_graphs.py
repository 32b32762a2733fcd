"""Compiled graphs on both Postgres savers, with their sync and their async methods."""

from __future__ import annotations

import pytest

from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.savers.graph_conformance import GraphConformance


class TestPostgresGraphs(GraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, kept: PostgresHarness) -> PostgresHarness:
        return kept
