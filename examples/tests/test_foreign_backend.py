"""The foreign backend passes the profile `langgraph`; each bug planted in it is found."""

from __future__ import annotations

import json
from pathlib import Path

from conformance_tests.command.main import main
from conformance_tests.contract.version import profile_of
from conformance_tests.tests.mutants.failing import not_caught
from examples.tests.foreign_bugs import BUGS

HARNESS = "examples.foreign_backend.harness"
CASES = "examples/tests/foreign_cases.py"
NOT_OFFERED = {"copy_thread", "delete_for_runs", "prune"}


def test_it_conforms_without_what_it_does_not_offer(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    named = (f"{HARNESS}:Saver", f"{HARNESS}:Store")
    assert main(["run", *named, "--jobs", "2", "--json", str(report)]) == 0
    saver, store = json.loads(report.read_text())["contracts"]
    outcomes = {clause["capability"]: clause["outcome"] for clause in saver["clauses"]}
    assert {name for name, outcome in outcomes.items() if outcome == "not offered"} >= NOT_OFFERED
    for contract in (saver, store):
        assert contract["profile"] == "langgraph"
        assert contract["verdict"].startswith("conforms")


def test_each_bug_is_found_by_the_clause_that_names_it(tmp_path: Path) -> None:
    assert len(BUGS) >= 20
    assert {profile_of(bug.caught_by) for bug in BUGS} == {"langgraph"}
    problems = not_caught(CASES, [(bug.name, bug.caught_by) for bug in BUGS], tmp_path)
    assert not problems, "\n".join(problems)
