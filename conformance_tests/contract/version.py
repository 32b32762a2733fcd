"""The version of the contract, its profiles, and renamed clause ids.

Clause ids are stable public names: gaps, baselines and `--only` refer to them. A renamed clause
keeps its old id as an alias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from conformance_tests.contract.capabilities import Capability
from conformance_tests.contract.sources import LANGGRAPH, SUITE, SUITE_BY_CAPABILITY

CONTRACT_VERSION: Final = "1.0.0"
"""Semantic version. Minor: a new clause. Major: a stricter or a removed clause. Patch: a clearer
message."""

Profile = Literal["langgraph", "suite"]
PROFILES: Final[Mapping[Profile, str]] = {
    "langgraph": (
        "what LangGraph's documentation, base classes, official conformance package and "
        "InMemorySaver or InMemoryStore establish"
    ),
    "suite": "the same, and the stricter decisions of this project",
}
"""The sets of clauses that a backend can be tested against. The default is `langgraph`."""

ALIASES: Final[Mapping[str, str]] = {}
"""Old clause id -> current id."""


def profile_of(clause_id: str) -> Profile:
    """The narrowest profile of a clause; `suite` includes `langgraph`."""
    return "langgraph" if clause_id in LANGGRAPH else "suite"


def source_of(clause_id: str, capability: object) -> str:
    """The source of a clause's rule."""
    if clause_id in LANGGRAPH:
        return LANGGRAPH[clause_id]
    if clause_id in SUITE:
        return SUITE[clause_id]
    return SUITE_BY_CAPABILITY[capability] if isinstance(capability, Capability) else ""


def belongs_to(profile: Profile, clause_id: str) -> bool:
    """Whether a profile has the clause."""
    return profile == "suite" or clause_id in LANGGRAPH


def current_id(name: str) -> str:
    """The current id of a renamed clause; other names unchanged."""
    return ALIASES.get(name, name)
