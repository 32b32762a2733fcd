"""Each mutant under its clause: run in a process of its own, where all of them have to fail.

Not collected with the other tests (see `test_mutants.py`, which runs it and reads the outcome).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance_tests.catalogue import clause_of
from conformance_tests.savers.conformance import SaverConformance
from conformance_tests.stores.conformance import StoreConformance
from conformance_tests.tests.mutants.collected import all_mutants
from conformance_tests.tests.mutants.registry import Mutant


def owner_of(clause_id: str) -> tuple[type, str]:
    """The mixin that has a clause, and the name of its test."""
    for cls in (SaverConformance, StoreConformance):
        for base in cls.__mro__:
            for name in vars(base):
                clause = clause_of(base, name) if name.startswith("test_") else None
                if clause is not None and clause.id == clause_id:
                    return base, name
    raise LookupError(f"there is no clause {clause_id}")


def case(mutant: Mutant) -> type:
    """A test class with the one clause that has to catch the mutant."""
    owner, name = owner_of(mutant.caught_by)

    @pytest.fixture
    def harness(self: Any, tmp_path: Path) -> Iterator[Any]:
        folder = tmp_path / "database"
        folder.mkdir()
        made = mutant.harness(folder)
        yield made
        made.close()

    others = {each: None for each in dir(owner) if each.startswith("test_") and each != name}
    return type(
        "Test" + mutant.name.title().replace(" ", ""), (owner,), {"harness": harness, **others}
    )


for _mutant in all_mutants():
    _case = case(_mutant)
    globals()[_case.__name__] = _case
