"""Where the rule of each clause comes from, and so which profile it belongs to.

A table for each kind of clause: its id, and a citation. What stands in none of those of LangGraph
is a decision of this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance_tests.contract.sources.caches import CACHES
from conformance_tests.contract.sources.graphs import GRAPHS
from conformance_tests.contract.sources.savers import SAVERS
from conformance_tests.contract.sources.stores import STORES
from conformance_tests.contract.sources.suite import SUITE, SUITE_BY_CAPABILITY

__all__ = ["LANGGRAPH", "SUITE", "SUITE_BY_CAPABILITY"]

LANGGRAPH: Final[Mapping[str, str]] = {**SAVERS, **GRAPHS, **STORES, **CACHES}
"""Clauses of the profile `langgraph`, with what establishes them."""
