"""Failures with one cause are shown as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from conformance_tests.contract.verdicts import FAILED
from conformance_tests.report.report import Case, Result

_DIFFERS: Final = re.compile(r"'[^']*'|\"[^\"]*\"|0x[0-9a-f]+|\d+(?:\.\d+)?")
"""What distinguishes two messages of one cause: texts, addresses, numbers."""
_LOOKED_AT: Final = 2
"""Lines of a message, without the place of the code."""


def first_failure(result: Result) -> Case:
    """The first of the cases that failed."""
    return next(case for case in result.cases if case.outcome == FAILED)


def grouped(failed: Sequence[Result]) -> list[list[Result]]:
    """Failed clauses by what their messages have in common, the largest group first."""
    groups: dict[str, list[Result]] = {}
    for result in failed:
        message = first_failure(result).message.splitlines()
        lines = [line for line in message if not line.startswith("at ")][:_LOOKED_AT]
        groups.setdefault(_DIFFERS.sub("…", "\n".join(lines)), []).append(result)
    return sorted(groups.values(), key=len, reverse=True)
