"""Declared gaps: what a backend is known to lack, by capability or by clause, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance_tests.capabilities import Capability
from conformance_tests.catalogue import Clause
from conformance_tests.contract import current_id


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
