"""Two profiles: which clauses a stranger's backend is judged by, and that each has a source."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from conformance_tests import (
    CONTRACT_VERSION,
    GraphConformance,
    SaverConformance,
    StoreConformance,
    StoreGraphConformance,
)
from conformance_tests.command.run import offered
from conformance_tests.contract.catalogue import clause_of, clauses_in
from conformance_tests.contract.sources import LANGGRAPH, SUITE
from conformance_tests.contract.version import ALIASES, PROFILES, current_id, profile_of
from conformance_tests.report.levels import LEVELS
from conformance_tests.stores.search.sentences import SentenceClauses

ALL = {clause.id: clause for kind in LEVELS for clause in offered(kind)}
UNFAIR = (
    *("saver.put.next_version", "saver.delta_history.it_is_the_savers_own"),
    "saver.put.values_load_by_version_not_by_what_the_put_carried",
    "saver.put.value_of_an_unchanged_channel_is_not_stored_again",
    "saver.put.dropped_channel_is_gone_although_its_value_is_carried",
    *("saver.get_tuple.sends", "saver.filter.different_json_values_do_not_match"),
    *("saver.list.across", "saver.integrity", "saver.own_encryption", "saver.record_integrity"),
    *("saver.stats", "saver.delete_thread.a_run_under_way_puts_whole_checkpoints"),
    *("store.concurrency.calls_of_one_tick", "store.life.context_managers"),
    *("store.concurrency.closing_waits", "store.life.set_up_any_number_of_times"),
    "store.batch.the_same_read_twice",
)
"""Beginnings of the ids of clauses that accuse a backend of what LangGraph never asked for."""


def test_every_clause_has_a_source() -> None:
    assert [clause.id for clause in ALL.values() if not clause.source] == []


def test_what_is_cited_of_a_decision_stands_there() -> None:
    """ADR 4 is a table of questions: the one that a clause answers is named."""
    folder = Path(__file__).parents[2] / "docs" / "adr"
    texts = {
        int(path.name[:4]): path.read_text(encoding="utf-8") for path in folder.glob("[0-9]*.md")
    }
    cited = {
        (int(number), words)
        for clause in ALL.values()
        for number, words in re.findall(r"ADR (\d+): ([^;]+)", clause.source)
    }
    assert {number for number, _ in cited} <= texts.keys()
    decisions = texts[4].lower()
    missing = [
        words
        for number, words in cited
        if number == 4
        and f"| {words.lower()} |" not in decisions
        and f"**{words.lower()}.**" not in decisions
    ]
    assert missing == []


def test_every_source_is_that_of_a_clause() -> None:
    real = {*ALL, *(clause.id for clause in clauses_in(SentenceClauses))}
    assert sorted({*LANGGRAPH, *SUITE} - real) == []
    assert sorted(LANGGRAPH.keys() & SUITE.keys()) == []


@pytest.mark.parametrize("kind", LEVELS)
def test_the_profile_of_langgraph_is_a_part_of_the_suite(kind: str) -> None:
    langgraph = [clause.id for clause in offered(kind, "langgraph")]
    assert langgraph
    assert set(langgraph) < {clause.id for clause in offered(kind, "suite")}
    assert {profile_of(each) for each in langgraph} == {"langgraph"}


@pytest.mark.parametrize("beginning", UNFAIR)
def test_what_langgraph_never_asked_for_is_of_the_suite(beginning: str) -> None:
    found = [clause for clause in ALL.values() if clause.id.startswith(beginning)]
    assert found, beginning
    assert {clause.profile for clause in found if clause.id != f"{beginning}_is_greater"} == {
        "suite"
    }


def test_a_test_class_has_the_clauses_of_its_profile() -> None:
    class TestTheirs(SaverConformance):
        pass

    class TestOurs(SaverConformance):
        profile = "suite"

    assert {clause.profile for clause in clauses_in(TestTheirs)} == {"langgraph"}
    assert set(PROFILES) == {clause.profile for clause in clauses_in(TestOurs)}
    assert len(clauses_in(TestOurs)) == len(clauses_in(SaverConformance))


def test_a_renamed_clause_is_still_found() -> None:
    assert not set(ALIASES) & set(ALL)
    assert set(ALIASES.values()) <= set(ALL)
    assert current_id("saver.put") == "saver.put"


def test_the_version_is_semantic() -> None:
    assert [part.isdecimal() for part in CONTRACT_VERSION.split(".")] == [True] * 3


def test_no_clause_calls_a_method_of_another_capability() -> None:
    """Or a backend without `prune` could not put."""
    optional = {
        *("delete_thread", "delete_for_runs", "copy_thread", "prune"),
        *("setup", "stats", "list_threads", "sweep_ttl", "start_ttl_sweeper"),
    }
    leaks = []
    for cls in (SaverConformance, GraphConformance, StoreConformance, StoreGraphConformance):
        for name in dir(cls):
            clause = clause_of(cls, name) if name.startswith("test_") else None
            if clause is None or clause.profile != "langgraph":
                continue
            text = inspect.getsource(getattr(cls, name))
            called = {each for each in re.findall(r"\.(\w+)\(", text) if each in optional}
            asked_for = set(re.findall(r'offers\("(\w+)"\)', text))
            if foreign := called - asked_for - {str(clause.capability.value)}:
                leaks.append((clause.id, sorted(foreign)))
    assert not leaks, leaks
