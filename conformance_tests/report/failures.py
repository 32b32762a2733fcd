"""Messages of failed clauses: the clause, expected, got, and the calls before the failure."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, Final

import pytest

from conformance_tests.contract.catalogue import clause_of
from conformance_tests.samples.calls import CALLS, short
from conformance_tests.samples.compare import difference

CALLS_SECTION: Final = "the calls that led there"
CLAUSE: Final = "clause"
HARNESS: Final = "harness"
SERVER: Final = "server"

_PACKAGE = Path(__file__).parents[1]
_SERVER = pytest.StashKey[dict[str, str]]()


_WANTED: Final = {
    "==": "{}",
    "is": "{}",
    "!=": "anything but {}",
    "is not": "anything but {}",
    "in": "one of {}",
    "not in": "none of {}",
    "<": "less than {}",
    "<=": "at most {}",
    ">": "more than {}",
    ">=": "at least {}",
}
"""Operator -> what was expected. Clauses put the actual value on the left side."""


def told(op: str, got: object, expected: object) -> list[str]:
    """Describe a failed comparison, line by line."""
    first = difference(expected, got, "it") if op == "==" else None
    return [
        f"got {op} expected",
        f"got:      {_cut(short(got))}",
        f"expected: {_cut(_WANTED[op].format(short(expected)))}",
        *([f"differs:  {_cut(first)}"] if first else []),
    ]


def unreadable_answer(error: Exception) -> str | None:
    """The message for an error that a malformed result caused in a clause; None if the error came
    from code outside of the suite.
    """
    last = traceback.extract_tb(error.__traceback__)[-1]
    file = Path(last.filename)
    if _PACKAGE not in file.parents or file.is_relative_to(_PACKAGE / "tests"):
        return None
    return (
        "the backend's answer is not of the form that the clause reads\n"
        f"got:      {type(error).__name__}: {error}\n"
        f"expected: {last.line} can be evaluated"
        f" ({file.name}, line {last.lineno})"
    )


def _cut(text: str) -> str:
    """Shorten a line, because pytest truncates the explanation to 640 characters in total."""
    return text if len(text) <= 190 else f"{text[:190]}…"


def explain(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the clause, the harness and the recorded calls to the report of a case."""
    clause = clause_of(getattr(item, "cls", object), getattr(item, "originalname", item.name))
    if clause is None:
        return
    if report.when == "setup":
        known = [(CLAUSE, clause.id), *_of_harness(item)]
        item.user_properties += known
        report.user_properties += known
    if report.failed:
        report.sections.insert(0, (f"clause {clause.id}", clause.statement))
        if calls := CALLS.told():
            report.sections.append((CALLS_SECTION, calls))


def _of_harness(item: pytest.Item) -> list[tuple[str, str]]:
    harness: Any = getattr(item, "funcargs", {}).get("harness")
    if harness is None:
        return []
    versions = item.config.stash.setdefault(_SERVER, {})
    if harness.name not in versions:
        versions[harness.name] = harness.version()
    return [(HARNESS, harness.name), (SERVER, versions[harness.name])]
