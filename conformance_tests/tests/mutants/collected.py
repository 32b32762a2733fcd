"""All mutants, in the order of their clauses."""

from __future__ import annotations

import importlib

from conformance_tests.tests.mutants.registry import MUTANTS, Mutant

_HOMES = (
    "writing",
    "reading",
    "threads",
    "retention",
    "records",
    "stores",
    "outages",
    "outages_of_savers",
    "caches",
)


def all_mutants() -> list[Mutant]:
    """Savers first."""
    for home in _HOMES:
        importlib.import_module(f"conformance_tests.tests.mutants.{home}")
    return sorted(MUTANTS, key=lambda one: one.caught_by)
