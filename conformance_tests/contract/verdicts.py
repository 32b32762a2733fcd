"""What may come of a clause's case, and how pytest's report of it carries that.

A case that pytest calls "xfailed" is one of several things here. Which one, its reason begins with.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import pytest

PASSED: Final = "passed"
FAILED: Final = "failed"
KNOWN: Final = "known"
"""It failed, as the baseline says that it does."""
GAP: Final = "gap"
"""A declared gap that failed as declared."""
NOT_OFFERED: Final = "not offered"
"""The backend lacks the method, does not override LangGraph's, or raises NotImplementedError."""
NOT_LOOKED_AT: Final = "not looked at"
"""The harness lacks a method that the clause looks with."""
NOT_ASKED: Final = "does not apply"
"""It did not run: it cannot be asked of a backend whose data is where this one's is."""

WORST_FIRST: Final = (FAILED, KNOWN, GAP, PASSED, NOT_LOOKED_AT, NOT_OFFERED, NOT_ASKED)
"""A clause's verdict is the first of these that one of its cases has."""
_BY_REASON: Final = (KNOWN, NOT_OFFERED, NOT_LOOKED_AT, NOT_ASKED)


def not_offered(what: str) -> NoReturn:
    """End the running case: the backend does not offer this."""
    pytest.xfail(f"{NOT_OFFERED}: {what}")


def not_looked_at(why: str) -> NoReturn:
    """End the running case: the harness cannot look."""
    pytest.xfail(f"{NOT_LOOKED_AT}: {why}")


def reason_of(report: Any) -> str:
    """Why a case is neither passed nor failed; empty for one that is."""
    return str(getattr(report, "wasxfail", "")).removeprefix("reason: ")


def verdict_of(report: Any) -> str:
    """The verdict of a phase of a case, as pytest reports it. A skipped clause has failed."""
    if not hasattr(report, "wasxfail"):
        return PASSED if report.passed else FAILED
    return PASSED if report.passed else verdict_by(reason_of(report))


def verdict_by(reason: str) -> str:
    """The verdict of a case that fails for a reason that was given before."""
    return next((verdict for verdict in _BY_REASON if reason.startswith(verdict)), GAP)
