"""The contract of LangGraph savers, stores and caches as a test suite that any backend can run.

Names are imported lazily, so that the command, which is in this package, can start without the
extra `conformance` and say what to install.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conformance_tests.caches.conformance import CacheConformance
    from conformance_tests.caches.harness import CacheHarness
    from conformance_tests.contract.capabilities import Capability, Place
    from conformance_tests.contract.gaps import Gap
    from conformance_tests.contract.version import CONTRACT_VERSION
    from conformance_tests.faults import Proxy
    from conformance_tests.harness import MovableClock, SaverHarness
    from conformance_tests.savers.conformance import SaverConformance
    from conformance_tests.savers.graph_conformance import GraphConformance
    from conformance_tests.stores.conformance import StoreConformance
    from conformance_tests.stores.graphs import StoreGraphConformance
    from conformance_tests.stores.harness import StoreHarness

__all__ = [
    "CONTRACT_VERSION",
    "CacheConformance",
    "CacheHarness",
    "Capability",
    "Gap",
    "GraphConformance",
    "MovableClock",
    "Place",
    "Proxy",
    "SaverConformance",
    "SaverHarness",
    "StoreConformance",
    "StoreGraphConformance",
    "StoreHarness",
]

_HOMES = {
    "CONTRACT_VERSION": "contract.version",
    "CacheConformance": "caches.conformance",
    "CacheHarness": "caches.harness",
    "Capability": "contract.capabilities",
    "Gap": "contract.gaps",
    "GraphConformance": "savers.graph_conformance",
    "MovableClock": "harness",
    "Place": "contract.capabilities",
    "Proxy": "faults",
    "SaverConformance": "savers.conformance",
    "SaverHarness": "harness",
    "StoreConformance": "stores.conformance",
    "StoreGraphConformance": "stores.graphs",
    "StoreHarness": "stores.harness",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
