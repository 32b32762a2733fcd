"""Grouping of failures that seem to have the same cause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from conformance_tests.contract.verdicts import FAILED
from conformance_tests.report.report import Case, Result

_DIFFERS: Final = re.compile(r"'[^']*'|\"[^\"]*\"|0x[0-9a-f]+|\d+(?:\.\d+)?")
"""The variable parts of a message, ignored for grouping: quoted texts, addresses, numbers."""
_LOOKED_AT: Final = 2
"""Number of lines of a message that are compared."""


def first_failure(result: Result) -> Case:
    """The first of the cases that failed."""
    return next(case for case in result.cases if case.outcome == FAILED)


def grouped(failed: Sequence[Result]) -> list[list[Result]]:
    """Group failed clauses by their messages without variable parts, the largest group first."""
    groups: dict[str, list[Result]] = {}
    for result in failed:
        message = first_failure(result).message.splitlines()
        lines = [line for line in message if not line.startswith("at ")][:_LOOKED_AT]
        groups.setdefault(_DIFFERS.sub("…", "\n".join(lines)), []).append(result)
    return sorted(groups.values(), key=len, reverse=True)
