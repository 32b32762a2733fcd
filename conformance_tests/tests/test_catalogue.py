"""The clauses as a whole: each has an id, a sentence, a capability, and a level."""

from __future__ import annotations

import re

import pytest

import conformance_tests
from conformance_tests.command.run import offered
from conformance_tests.contract.capabilities import Capability, Place
from conformance_tests.contract.catalogue import Clause, unknown
from conformance_tests.report.levels import COMPLETE, LEVELS, verdict

CLAUSES = {contract: offered(contract) for contract in LEVELS}
ALL = [clause for clauses in CLAUSES.values() for clause in clauses]


def test_ids_are_unique() -> None:
    assert len({clause.id for clause in ALL}) == len(ALL)


@pytest.mark.parametrize("contract", CLAUSES)
def test_ids_are_made_of_words(contract: str) -> None:
    wanted = re.compile(r"(saver|graph|store|cache)(\.[a-z][a-z0-9_]*){2}")
    assert [clause.id for clause in CLAUSES[contract] if not wanted.fullmatch(clause.id)] == []


@pytest.mark.parametrize("contract", CLAUSES)
def test_every_clause_says_why(contract: str) -> None:
    """A sentence, in words of its own: not the name of the test over again."""
    silent = [
        clause.id
        for clause in CLAUSES[contract]
        if len(clause.statement.split()) < 3
        or not clause.statement.endswith((".", "!", "?"))
        or clause.statement.lower().rstrip(".") == clause.title
    ]
    assert silent == []


@pytest.mark.parametrize("contract", CLAUSES)
def test_every_capability_is_in_one_level(contract: str) -> None:
    needed = sorted(name for level in LEVELS[contract] for name in level.needs)
    assert needed == sorted({str(clause.capability.value) for clause in CLAUSES[contract]})


def test_what_does_not_apply_follows_from_where_the_data_is() -> None:
    """Nobody on a server gets out of a clause; memory is asked less than files are."""
    assert not Place.SERVER.does_not_apply
    assert set(Place.FILES.does_not_apply) < set(Place.MEMORY.does_not_apply)
    assert Capability.NETWORK in Place.FILES.does_not_apply
    assert Capability.STORE_DISK_FULL not in Place.FILES.does_not_apply


def test_every_capability_has_a_meaning() -> None:
    assert [each for each in Capability if len(each.meaning.split()) < 3] == []


def test_clauses_are_chosen_by_capability_by_id_and_by_its_beginning() -> None:
    one = Clause("saver.put.again_replaces", Capability.PUT, "")
    for name in ("put", "saver", "saver.put", "saver.put.again_replaces"):
        assert one.chosen([name])
    for name in ("pu", "again_replaces", "saver.put.again", "put_writes", "graph"):
        assert not one.chosen([name])
    assert unknown(["put", "nix"], [one]) == ["nix"]


def test_nothing_is_called_complete_that_misses_something() -> None:
    whole = {"ran": 9, "chosen": False, "failed": [], "gaps": []}
    said = [
        verdict(**{**whole, **part})  # type: ignore[arg-type]  # any mixture
        for part in ({"ran": 0}, {"chosen": True}, {"failed": ["put"]}, {"gaps": ["ttl"]})
    ]
    assert verdict(ran=9, chosen=False, failed=[], gaps=[]) == COMPLETE
    assert not [text for text in said if COMPLETE in text]
    assert verdict(**whole, not_asked=["ttl"]) == f"{COMPLETE}; does not apply: ttl"  # type: ignore[arg-type]
    assert "put" in said[2]
    assert "ttl" in said[3]


def test_the_package_exports_what_an_author_needs() -> None:
    for name in conformance_tests.__all__:
        found = getattr(conformance_tests, name)
        assert getattr(found, "__name__", name) == name
    assert set(conformance_tests.__all__) == set(conformance_tests._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'Nix'"):
        conformance_tests.Nix  # noqa: B018
