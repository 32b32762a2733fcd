"""The contract of LangGraph savers as a test suite that any backend can subclass."""

from conformance_tests.capabilities import Capability
from conformance_tests.harness import SaverHarness
from conformance_tests.savers.conformance import SaverConformance

__all__ = ["Capability", "SaverConformance", "SaverHarness"]
