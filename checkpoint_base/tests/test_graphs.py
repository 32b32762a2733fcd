"""Compiled graphs on MemorySaver. What another process would need is a declared gap."""

from __future__ import annotations

import pytest

from checkpoint_base.tests.harness import MemoryHarness
from conformance_tests.savers.graph_conformance import GraphConformance


class TestMemoryGraphs(GraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self) -> MemoryHarness:
        return MemoryHarness()
