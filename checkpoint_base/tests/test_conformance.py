"""MemorySaver under the contract of all savers."""

from __future__ import annotations

import pytest

from checkpoint_base.tests.harness import MemoryHarness
from conformance_tests import SaverConformance


class TestMemorySaver(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self) -> MemoryHarness:
        return MemoryHarness()
