"""The contract of savers, one file per capability; `SaverConformance` is all of it."""

from conformance_tests.savers.conformance import SaverConformance

__all__ = ["SaverConformance"]
