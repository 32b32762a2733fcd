"""The contract of stores, one file per capability; `StoreConformance` is all of it."""

from conformance_tests.stores.conformance import StoreConformance
from conformance_tests.stores.harness import StoreHarness

__all__ = ["StoreConformance", "StoreHarness"]
