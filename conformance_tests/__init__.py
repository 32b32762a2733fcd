"""The contract of LangGraph savers and stores as test suites that any backend can subclass."""

from conformance_tests.capabilities import Capability
from conformance_tests.harness import SaverHarness
from conformance_tests.savers.conformance import SaverConformance
from conformance_tests.stores.conformance import StoreConformance
from conformance_tests.stores.harness import StoreHarness

__all__ = ["Capability", "SaverConformance", "SaverHarness", "StoreConformance", "StoreHarness"]
