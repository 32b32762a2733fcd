"""Every mutant is caught, and by the clause that names its fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance_tests.tests.mutants.collected import all_mutants
from conformance_tests.tests.mutants.registry import Mutant

ROOT = Path(__file__).parents[2]
CASES = "conformance_tests/tests/mutants/cases.py"
MUTANTS = all_mutants()
BY_THE_CLAUSE = ("failure: assert ", "failure: AssertionError", "failure: Failed")


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the clause says, by class: an empty text for a case that passed."""
    report = tmp_path_factory.mktemp("mutants") / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", CASES]
    done = subprocess.run(
        [*command, f"--junit-xml={report}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    found: dict[str, list[str]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        told = [f"{part.tag}: {part.get('message')}" for part in case if part.tag != "properties"]
        found.setdefault(case.attrib["classname"].rpartition(".")[2], []).extend(told or [""])
    return found


def test_there_are_enough() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_clause_that_names_it_catches_it(
    mutant: Mutant, failures: dict[str, list[str]]
) -> None:
    told = failures["Test" + mutant.name.title().replace(" ", "")]
    assert any(told), f"{mutant.caught_by} passed"
    # by what the clause looks at, not because the mutant itself breaks down
    wrong = [each for each in told if each]
    assert [each for each in wrong if not each.startswith(BY_THE_CLAUSE)] == []
