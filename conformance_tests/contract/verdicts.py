"""Verdicts of a clause's case, and how pytest's reports carry them.

Several verdicts are "xfailed" in pytest; the reason's prefix distinguishes them.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import pytest

PASSED: Final = "passed"
FAILED: Final = "failed"
KNOWN: Final = "known"
"""It failed, and the baseline lists it as a known failure."""
GAP: Final = "gap"
"""It failed, as its declared gap predicts."""
NOT_OFFERED: Final = "not offered"
"""The backend does not implement the method, or it raises NotImplementedError."""
NOT_LOOKED_AT: Final = "not looked at"
"""The harness lacks an optional method that the clause needs."""
NOT_ASKED: Final = "does not apply"
"""It did not run: it does not apply to a backend with this `Place`."""

WORST_FIRST: Final = (FAILED, KNOWN, GAP, PASSED, NOT_LOOKED_AT, NOT_OFFERED, NOT_ASKED)
"""A clause's verdict is the first of these among the verdicts of its cases."""
_BY_REASON: Final = (KNOWN, NOT_OFFERED, NOT_LOOKED_AT, NOT_ASKED)


def not_offered(what: str) -> NoReturn:
    """End the running case: the backend does not implement `what`."""
    pytest.xfail(f"{NOT_OFFERED}: {what}")


def not_looked_at(why: str) -> NoReturn:
    """End the running case: the harness lacks a method that it needs."""
    pytest.xfail(f"{NOT_LOOKED_AT}: {why}")


def reason_of(report: Any) -> str:
    """The xfail reason of a case; empty if it passed or failed."""
    return str(getattr(report, "wasxfail", "")).removeprefix("reason: ")


def verdict_of(report: Any) -> str:
    """The verdict of pytest's report of a phase. A skipped clause counts as failed."""
    if not hasattr(report, "wasxfail"):
        return PASSED if report.passed else FAILED
    return PASSED if report.passed else verdict_by(reason_of(report))


def verdict_by(reason: str) -> str:
    """The verdict of a case that failed with an xfail reason."""
    return next((verdict for verdict in _BY_REASON if reason.startswith(verdict)), GAP)
