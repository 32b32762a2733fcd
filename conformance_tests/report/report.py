"""Results of a run: cases by clause, clauses by capability, and the verdict; report as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

import pytest

from conformance_tests.contract.catalogue import Clause
from conformance_tests.contract.gaps import XPASSED, gaps_in_part, holds_despite
from conformance_tests.contract.verdicts import (
    FAILED,
    GAP,
    KNOWN,
    NOT_ASKED,
    NOT_LOOKED_AT,
    NOT_OFFERED,
    PASSED,
    WORST_FIRST,
    reason_of,
    verdict_of,
)
from conformance_tests.contract.version import CONTRACT_VERSION, Profile
from conformance_tests.report.baseline import Baseline
from conformance_tests.report.failures import CALLS_SECTION, CLAUSE, HARNESS, SERVER
from conformance_tests.report.levels import LEVELS, verdict

_DID_NOT_RUN: Final = (NOT_OFFERED, NOT_LOOKED_AT, NOT_ASKED)
_PACKAGES: Final = ("langgraph-checkpoint-suite", "langgraph-checkpoint", "langgraph")
_MESSAGE: Final = re.compile(r"^E   ?(.*)$", re.MULTILINE)
_REPEATED: Final = re.compile(r" *assert ['\"].* is None$")
"""Pytest's explanation of `assert difference(…) is None`, which only repeats the difference."""
_CODE: Final = re.compile(r"^> +(.*)$", re.MULTILINE)
_PLACE: Final = re.compile(r"^(\S+:\d+): ", re.MULTILINE)


@dataclass
class Case:
    """The outcome of a clause in one flavour, with one set of parameters."""

    name: str
    outcome: str
    seconds: float
    message: str = ""
    calls: str = ""


@dataclass
class Observation:
    """Pytest's report of one phase (setup, call, teardown) of a case."""

    clause: str
    harness: str
    server: str
    seconds: float
    case: Case | None = None
    reason: str = ""

    def plain(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Observation:
        """Convert from JSON values."""
        case = plain["case"]
        return cls(**{**plain, "case": None if case is None else Case(**case)})


@dataclass
class Result:
    """A clause and its cases."""

    clause: Clause
    cases: list[Case] = field(default_factory=list)

    @property
    def outcome(self) -> str | None:
        """The worst outcome of its cases; None if no case ran."""
        outcomes = {case.outcome for case in self.cases}
        return next((each for each in WORST_FIRST if each in outcomes), None)


@dataclass
class Report:
    """The results of all clauses of one contract on one harness."""

    contract: str
    results: dict[str, Result]
    harness: str = ""
    server: str = ""
    seconds: float = 0.0
    reasons: dict[str, str] = field(default_factory=dict)
    chosen: bool = False
    profile: Profile = "suite"
    baseline: Baseline = field(default_factory=Baseline)
    interrupted: str = ""
    """Why the run ended early; empty if it did not."""

    def add(self, seen: Observation) -> None:
        """Add an observation of a case."""
        result = self.results.get(seen.clause)
        if result is None:
            return
        self.harness = seen.harness or self.harness
        self.server = seen.server or self.server
        self.seconds += seen.seconds
        if seen.case is None:
            return
        if seen.case.outcome == FAILED and self.baseline.knows(seen.clause, seen.case.name):
            seen.case.outcome = KNOWN
        result.cases.append(seen.case)
        if seen.case.outcome in (GAP, *_DID_NOT_RUN):
            self.reasons[str(result.clause.capability.value)] = seen.reason

    def by_capability(self) -> dict[str, list[Result]]:
        """Results grouped by capability, in the order of the clauses."""
        grouped: dict[str, list[Result]] = {}
        for result in self.results.values():
            grouped.setdefault(str(result.clause.capability.value), []).append(result)
        return grouped

    def with_outcome(self, outcome: str) -> list[Result]:
        """The clauses with this outcome."""
        return [result for result in self.results.values() if result.outcome == outcome]

    @property
    def counts(self) -> Counter[str]:
        """The number of clauses by outcome, without those that did not run."""
        return Counter(result.outcome for result in self.results.values() if result.outcome)

    @property
    def held(self) -> list[str]:
        """Capabilities all of whose clauses ran and passed."""
        return [
            name
            for name, results in self.by_capability().items()
            if all(result.outcome == PASSED for result in results)
        ]

    @property
    def verdict(self) -> str:
        """The verdict in one line; see `levels.verdict`."""
        told = [result.outcome for result in self.results.values() if result.outcome is not None]
        said = verdict(
            ran=sum(outcome not in _DID_NOT_RUN for outcome in told),
            chosen=self.chosen or len(told) < len(self.results),
            failed=_capabilities(self.with_outcome(FAILED)),
            known=_capabilities(self.with_outcome(KNOWN)),
            gaps=_capabilities(self.with_outcome(GAP)),
            not_offered=self._told_of(NOT_OFFERED),
            not_looked_at=self._told_of(NOT_LOOKED_AT),
            not_asked=_capabilities(self.with_outcome(NOT_ASKED)),
        )
        if self.interrupted:
            return f"{self.interrupted} after {len(told)} of {len(self.results)} clauses; {said}"
        return said

    def levels(self) -> list[tuple[str, list[str]]]:
        """Each level with its missing capabilities; empty if only some clauses were selected."""
        if self.chosen:
            return []
        there = {*self.held, *_capabilities(self.with_outcome(NOT_ASKED))}
        asked = set(self.by_capability())  # a profile may lack some capabilities
        return [
            (level.name, [name for name in level.missing(there) if name in asked])
            for level in LEVELS.get(self.contract, ())
            if level.needs & asked
        ]

    def _told_of(self, outcome: str) -> list[str]:
        """Capabilities with clauses of this outcome, and the number of these if not all."""
        told = []
        for name, results in self.by_capability().items():
            count = sum(result.outcome == outcome for result in results)
            if count:
                part = f" ({count} of {len(results)} clauses)"
                told.append(name if count == len(results) else name + part)
        return told

    def plain(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return {
            "contract": self.contract,
            "profile": self.profile,
            "harness": self.harness,
            "server": self.server,
            "verdict": self.verdict,
            "levels": [{"name": name, "missing": lack} for name, lack in self.levels()],
            "gaps": self.reasons,
            "gaps_that_hold_in_part": gaps_in_part(self.results.values()),
            "repaired": self.baseline.repaired([self]),
            "clauses": [
                {
                    "id": result.clause.id,
                    "capability": result.clause.capability.value,
                    "title": result.clause.title,
                    "statement": result.clause.statement,
                    "profile": result.clause.profile,
                    "source": result.clause.source,
                    "outcome": result.outcome,
                    "cases": [asdict(case) for case in result.cases],
                }
                for result in self.results.values()
            ],
        }


def changed(report: Report) -> Iterable[str]:
    """Messages about gaps and baseline entries whose clauses pass now."""
    for name in report.baseline.repaired([report]):
        yield f"repaired: {name} passes now; take it out of the baseline"
    for gap, clauses in gaps_in_part(report.results.values()).items():
        yield f"the gap {gap!r} holds in part; these pass now: {', '.join(clauses['pass now'])}"
        if clauses["still fail"]:
            yield f"  and these still fail: {', '.join(clauses['still fail'])}"


def _capabilities(results: Iterable[Result]) -> set[str]:
    return {str(result.clause.capability.value) for result in results}


def observe(report: pytest.TestReport) -> Observation | None:
    """Convert pytest's report of a phase; None if the test is not a clause."""
    told = dict(report.user_properties)
    if CLAUSE not in told:
        return None
    reason = reason_of(report)
    return Observation(
        str(told[CLAUSE]),
        str(told.get(HARNESS, "")),
        str(told.get(SERVER, "")),
        report.duration,
        _case(report),
        reason.partition(": ")[2] or reason,
    )


def _case(report: pytest.TestReport) -> Case | None:
    """The outcome of the case after this phase; None if the phase decides nothing."""
    name = report.nodeid.partition("[")[2].rstrip("]")
    if report.when != "call" and report.passed:
        return None
    if hasattr(report, "wasxfail"):
        return Case(name, verdict_of(report), report.duration, reason_of(report))
    if report.passed:
        return Case(name, PASSED, report.duration)
    message = "a clause must not be skipped" if report.skipped else _message(report)
    calls = next((text for title, text in report.sections if title == CALLS_SECTION), "")
    return Case(name, FAILED, report.duration, message, calls)


def _message(report: pytest.TestReport) -> str:
    """The lines of the failure message, and the line of code that failed."""
    text = report.longreprtext
    if text.startswith(XPASSED):
        return holds_despite(text.removeprefix(XPASSED))
    first, *more = _MESSAGE.findall(text) or [text]
    lines = [first, *(line for line in more if not _REPEATED.match(line))]
    code, places = _CODE.findall(text), _PLACE.findall(text)
    if code and places:
        lines.append(f"at {places[-1]}: {code[-1]}")
    return "\n".join(line.rstrip() for line in lines)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages involved."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # not installed: run from a checkout
            continue
    return found


def to_json(reports: Iterable[Report], error: str = "") -> str:
    """The reports of a run as JSON. `error` says why it did not start, or ended early."""
    told = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "contract_version": CONTRACT_VERSION,
        "versions": versions(),
        "error": error,
        "contracts": [report.plain() for report in reports],
    }
    return json.dumps(told, indent=1, ensure_ascii=False)
