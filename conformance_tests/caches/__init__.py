"""Clauses about caches, one file per capability; `CacheConformance` combines them."""

from conformance_tests.caches.conformance import CacheConformance
from conformance_tests.caches.harness import CacheHarness

__all__ = ["CacheConformance", "CacheHarness"]
