"""Sources of the rules, which determine the profile of each clause.

Each table maps clause ids to citations. A clause that is in none of the tables about LangGraph is a
decision of this project.
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
"""Clauses of the profile `langgraph` -> citation."""
