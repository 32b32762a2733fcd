"""What a failed clause says: the clause, expected, got, and the calls that led there."""

from __future__ import annotations

from typing import Any, Final

import pytest

from conformance_tests.calls import CALLS, short
from conformance_tests.catalogue import clause_of
from conformance_tests.compare import difference

CALLS_SECTION: Final = "the calls that led there"
CLAUSE: Final = "clause"
HARNESS: Final = "harness"
SERVER: Final = "server"

_SERVER = pytest.StashKey[dict[str, str]]()


def told(got: object, expected: object) -> list[str]:
    """The two sides of a comparison that does not hold. Clauses write `got == expected`."""
    first = difference(expected, got, "it")
    return [
        "got == expected",
        f"got:      {_cut(short(got))}",
        f"expected: {_cut(short(expected))}",
        *([f"differs:  {_cut(first)}"] if first else []),
    ]


def _cut(text: str) -> str:
    """Pytest shows 640 characters of all lines together."""
    return text if len(text) <= 190 else f"{text[:190]}…"


def explain(item: pytest.Item, report: pytest.TestReport) -> None:
    """Completes the report of a clause's case."""
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
