"""Runs a file of test classes in a process of its own, where each of them has to fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from conformance_tests.tests.mutants.one_clause import class_name

ROOT: Final = Path(__file__).parents[3]
HANGS_AFTER: Final = 60
"""Seconds, of which no case takes more than a few: then the run ends with the stacks of all
threads, and the last line of its output names the case.
"""
BY_THE_CLAUSE: Final = ("failure: assert ", "failure: AssertionError", "failure: Failed")


def not_caught(cases: str, expected: Iterable[tuple[str, str]], folder: Path) -> list[str]:
    """What is wrong, a line for each class that passed or broke down.

    Args:
        cases: The file.
        expected: What is wrong with the backend of each class, in words, and the id of the clause.
        folder: An empty one.
    """
    told = _outcomes(cases, folder / "junit.xml")
    problems = []
    for name, clause in expected:
        wrong = [each for each in told[class_name(name)] if each]
        if not wrong:
            problems.append(f"{name}: {clause} passed")
        # by what the clause looks at, not because the backend itself breaks down
        broken = [each for each in wrong if not each.startswith(BY_THE_CLAUSE)]
        problems += [f"{name}: {each}" for each in broken]
    return problems


def _outcomes(cases: str, report: Path) -> dict[str, list[str]]:
    """What the clause says, by class: an empty text for a case that passed."""
    options = ("-v", "-p", "no:cacheprovider", "-p", "conformance_tests.plugin")
    hangs = (f"faulthandler_timeout={HANGS_AFTER}", "faulthandler_exit_on_timeout=true")
    limits = [part for each in hangs for part in ("-o", each)]
    done = subprocess.run(
        [sys.executable, "-u", "-m", "pytest", *options, *limits, cases, f"--junit-xml={report}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    ended = done.returncode == pytest.ExitCode.TESTS_FAILED and report.exists()
    assert ended, done.stdout[-4000:] + done.stderr
    found: dict[str, list[str]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        told = [f"{part.tag}: {part.get('message')}" for part in case if part.tag != "properties"]
        found.setdefault(case.attrib["classname"].rpartition(".")[2], []).extend(told or [""])
    return found
