"""Every mutant is caught, and by the clause that names its fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance_tests.tests.mutants.collected import all_mutants

ROOT = Path(__file__).parents[2]
CASES = "conformance_tests/tests/mutants/cases.py"
MUTANTS = all_mutants()
BY_THE_CLAUSE = ("failure: assert ", "failure: AssertionError", "failure: Failed")


def outcomes(folder: Path) -> dict[str, list[str]]:
    """What the clause says, by class: an empty text for a case that passed."""
    report = folder / "junit.xml"
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


def test_the_clause_that_names_it_catches_it(tmp_path: Path) -> None:
    """One test for all: the run of the mutants is long, and is made once."""
    told = outcomes(tmp_path)
    problems = []
    for mutant in MUTANTS:
        wrong = [each for each in told["Test" + mutant.name.title().replace(" ", "")] if each]
        if not wrong:
            problems.append(f"{mutant.name}: {mutant.caught_by} passed")
        # by what the clause looks at, not because the mutant itself breaks down
        broken = [each for each in wrong if not each.startswith(BY_THE_CLAUSE)]
        problems += [f"{mutant.name}: {each}" for each in broken]
    assert not problems, "\n".join(problems)
