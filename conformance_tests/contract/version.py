"""The contract as a whole: its version, its profiles, the source of each clause, renamed ids.

Clause ids are a public promise: gaps, baselines and `--only` name them. A clause that is renamed
keeps its old id as an alias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from conformance_tests.contract.capabilities import Capability
from conformance_tests.contract.sources import LANGGRAPH, SUITE, SUITE_BY_CAPABILITY

CONTRACT_VERSION: Final = "1.0.0"
"""Semantic: a new clause is a minor version, a stricter or a removed one a major version, a
clearer message a patch."""

Profile = Literal["langgraph", "suite"]
PROFILES: Final[Mapping[Profile, str]] = {
    "langgraph": (
        "what LangGraph's documentation, base classes, official conformance package and "
        "InMemorySaver or InMemoryStore establish"
    ),
    "suite": "the same, and the stricter decisions of this project",
}
"""What a backend is judged by. A stranger's is judged by `langgraph` unless asked otherwise."""

ALIASES: Final[Mapping[str, str]] = {}
"""Ids that clauses had before, each with the id of today."""


def profile_of(clause_id: str) -> Profile:
    """The narrowest profile that a clause belongs to; `suite` has those of `langgraph` as well."""
    return "langgraph" if clause_id in LANGGRAPH else "suite"


def source_of(clause_id: str, capability: object) -> str:
    """Where the rule of a clause comes from."""
    if clause_id in LANGGRAPH:
        return LANGGRAPH[clause_id]
    if clause_id in SUITE:
        return SUITE[clause_id]
    return SUITE_BY_CAPABILITY[capability] if isinstance(capability, Capability) else ""


def belongs_to(profile: Profile, clause_id: str) -> bool:
    """Whether a profile has the clause."""
    return profile == "suite" or clause_id in LANGGRAPH


def current_id(name: str) -> str:
    """The id of today for one that was renamed; every other name as it is."""
    return ALIASES.get(name, name)
