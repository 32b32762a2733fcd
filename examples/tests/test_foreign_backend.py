"""The foreign backend under LangGraph's profile; with bugs planted in it, each is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance_tests.command import main
from conformance_tests.contract import profile_of
from conformance_tests.tests.mutants.one_clause import class_name
from examples.tests.foreign_bugs import BUGS

ROOT = Path(__file__).parents[2]
HARNESS = "examples.foreign_backend.harness"
CASES = "examples/tests/foreign_cases.py"
BY_THE_CLAUSE = ("assert ", "AssertionError", "Failed")
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
    report = tmp_path / "junit.xml"
    options = ("-q", "-p", "no:cacheprovider", "-p", "conformance_tests.plugin")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, CASES, f"--junit-xml={report}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    told: dict[str, list[str]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        found = told.setdefault(case.attrib["classname"].rpartition(".")[2], [])
        found += [str(failure.get("message")) for failure in case.iter("failure")]
    assert len(BUGS) >= 20
    assert {profile_of(bug.caught_by) for bug in BUGS} == {"langgraph"}
    for bug in BUGS:
        messages = told[class_name(bug.name)]
        assert messages, f"{bug.name}: {bug.caught_by} passed"
        assert [each for each in messages if not each.startswith(BY_THE_CLAUSE)] == [], bug.name
