"""Declared gaps: what a backend is known to lack, by capability or by clause, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from conformance_tests.contract.capabilities import Capability
from conformance_tests.contract.catalogue import Clause
from conformance_tests.contract.version import current_id

if TYPE_CHECKING:
    from conformance_tests.report.report import Result

XPASSED: Final = "[XPASS(strict)] "
"""What pytest's report of a case begins with that was expected to fail, and passed."""
_DECLARED: Final = re.compile(r"declared gap '([^']+)'")


@dataclass(frozen=True)
class Gap:
    """Why something is missing, and where that is being worked on."""

    reason: str
    link: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.link})" if self.link else self.reason


Gaps = Mapping[Any, str | Gap]
"""By `Capability`, by a clause's id, or by an id's beginning; a text is a reason without a link."""


def gap_of(clause: Clause, gaps: Gaps) -> str | None:
    """What is declared of a clause, the narrowest declaration first; None if nothing is."""
    named = {
        current_id(str(key.value if isinstance(key, Capability) else key)): gap
        for key, gap in gaps.items()
    }
    for key in sorted(named, key=len, reverse=True):
        if clause.id == key or clause.id.startswith(f"{key}."):
            return f"{key!r}: {named[key]}"
    capability = str(clause.capability.value)
    return f"{capability!r}: {named[capability]}" if capability in named else None


def holds_despite(gap: str) -> str:
    """What is said of a clause that passes although a gap is declared."""
    return (
        f"it holds, although the harness has a {gap}\n"
        "expected: a clause of a declared gap fails, so that no gap outlives its cause\n"
        "to mend: take the gap away, or declare only what fails, by the ids of its clauses"
    )


def gaps_in_part(results: Iterable[Result]) -> dict[str, dict[str, list[str]]]:
    """Declared gaps of which some clauses pass: which `pass now`, and which `still fail`."""
    found: dict[str, dict[str, list[str]]] = {}
    for result in results:
        for case in result.cases:
            if named := _DECLARED.search(case.message):
                kind = "pass now" if case.message.startswith("it holds") else "still fail"
                entry = found.setdefault(named[1], {"pass now": [], "still fail": []})[kind]
                if result.clause.id not in entry:
                    entry.append(result.clause.id)
    return {name: entry for name, entry in found.items() if entry["pass now"]}
