"""Declared gaps: capabilities or clauses that a backend is known to lack, with reasons."""

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
"""Prefix of pytest's report of a case that passed although it was expected to fail."""
_DECLARED: Final = re.compile(r"declared gap '([^']+)'")


@dataclass(frozen=True)
class Gap:
    """Why a capability or clause is missing, and a link, for example to an issue."""

    reason: str
    link: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.link})" if self.link else self.reason


Gaps = Mapping[Any, str | Gap]
"""Keys: a `Capability`, a clause's id, or a dotted prefix of ids. A string is a reason only."""


def gap_of(clause: Clause, gaps: Gaps) -> str | None:
    """The narrowest gap that covers a clause; None if there is none."""
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
    """The message for a clause that passes although a gap is declared."""
    return (
        f"it holds, although the harness has a {gap}\n"
        "expected: a clause of a declared gap fails, so that no gap outlives its cause\n"
        "to mend: take the gap away, or declare only what fails, by the ids of its clauses"
    )


def gaps_in_part(results: Iterable[Result]) -> dict[str, dict[str, list[str]]]:
    """Gaps that have clauses which pass: gap -> the clauses that `pass now` and `still fail`."""
    found: dict[str, dict[str, list[str]]] = {}
    for result in results:
        for case in result.cases:
            if named := _DECLARED.search(case.message):
                kind = "pass now" if case.message.startswith("it holds") else "still fail"
                entry = found.setdefault(named[1], {"pass now": [], "still fail": []})[kind]
                if result.clause.id not in entry:
                    entry.append(result.clause.id)
    return {name: entry for name, entry in found.items() if entry["pass now"]}
