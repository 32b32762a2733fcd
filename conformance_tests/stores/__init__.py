"""Clauses about stores, one file per capability; `StoreConformance` combines them."""

from conformance_tests.stores.conformance import StoreConformance
from conformance_tests.stores.harness import StoreHarness

__all__ = ["StoreConformance", "StoreHarness"]
