"""`CacheConformance`, the base class with all clauses about caches, which a backend subclasses."""

from __future__ import annotations

from typing import ClassVar

from conformance_tests.caches.entries import EntryClauses
from conformance_tests.caches.failures import (
    CacheFailureClauses,
    CacheLoopClauses,
    CacheOutageClauses,
)
from conformance_tests.caches.graphs import CacheGraphConformance, CacheProcessClauses
from conformance_tests.caches.namespaces import CacheNamespaceClauses
from conformance_tests.caches.ttl import CacheSizeClauses, CacheTTLClauses
from conformance_tests.contract.version import Profile


class CacheConformance(
    EntryClauses,
    CacheNamespaceClauses,
    CacheTTLClauses,
    CacheSizeClauses,
    CacheFailureClauses,
    CacheLoopClauses,
    CacheOutageClauses,
    CacheProcessClauses,
    CacheGraphConformance,
):
    """Every clause about caches and graphs compiled with them, sync and async.

    A backend's whole test file:

        class TestMyCache(CacheConformance):
            @pytest.fixture
            def harness(self, tmp_path):
                return MyCacheHarness(tmp_path)
    """

    profile: ClassVar[Profile] = "langgraph"
