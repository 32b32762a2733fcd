"""The contract of caches, one file per capability; `CacheConformance` is all of it."""

from conformance_tests.caches.conformance import CacheConformance
from conformance_tests.caches.harness import CacheHarness

__all__ = ["CacheConformance", "CacheHarness"]
