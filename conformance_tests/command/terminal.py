"""Terminal output: a progress bar during the run, then failures and a summary."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TextIO

from conformance_tests.contract.verdicts import (
    FAILED,
    GAP,
    KNOWN,
    NOT_ASKED,
    NOT_LOOKED_AT,
    NOT_OFFERED,
    PASSED,
)
from conformance_tests.report.grouping import first_failure, grouped
from conformance_tests.report.report import Report, Result, changed

SHOWN: Final = 12
"""Maximum number of failures shown in full. Reports have all."""
LINES: Final = 16
"""Number of lines shown of the calls before a failure."""
_MARK: Final = {
    FAILED: "FAILED",
    KNOWN: "known",
    GAP: "gap",
    None: "-",
    PASSED: "ok",
    NOT_OFFERED: "none",
    NOT_LOOKED_AT: "unseen",
    NOT_ASKED: "n/a",
}
"""Verdict -> mark, the worst first. A capability gets the mark of its worst verdict."""


class Progress:
    """Shows progress, slow clauses, and at the end the outcome."""

    def __init__(self, total: int, to: TextIO | None = None) -> None:
        self._total = total
        self._to = to or sys.stdout
        self._done = self._failed = 0
        self._tenths = 0

    def step(self, failed: int) -> None:
        """A clause more is done; so many of all have failed."""
        self._done += 1
        self._failed = failed
        if self._to.isatty():
            self._bar("")
        elif 10 * self._done // self._total > self._tenths:
            self._tenths = 10 * self._done // self._total
            self._write(f"{self._counted()}\n")

    def slow(self, clause: str, seconds: float) -> None:
        """A clause takes its time."""
        if self._to.isatty():
            self._bar(f" {clause}")
        else:
            self._write(f"{self._counted()}; {clause} runs for {seconds:.0f} s\n")

    def end(self, reports: Sequence[Report]) -> None:
        """Print the outcome of all reports."""
        self._write("\n")
        for report in reports:
            self._write("\n".join(told(report)) + "\n")

    def wrote(self, path: Path) -> None:
        """Print the path of a report file."""
        self._write(f"report: {path}\n")

    def _counted(self) -> str:
        return f"{self._done:>5}/{self._total} clauses, {self._failed} failed"

    def _bar(self, running: str) -> None:
        line = f"{self._counted()}{running}"
        columns = shutil.get_terminal_size().columns - 1
        width = max(0, min(40, columns - len(line) - 3))
        filled = width * self._done // max(self._total, 1)
        self._write(f"\r[{'#' * filled}{'.' * (width - filled)}] {line}"[: columns + 1] + "\033[K")

    def _write(self, text: str) -> None:
        write(self._to, text)


def write(to: TextIO, text: str) -> None:
    """Write a text. Ignores a closed pipe, as of `| head`."""
    try:
        to.write(text)
        to.flush()
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (also for what is buffered)
            os.dup2(nowhere.fileno(), to.fileno())


def told(report: Report) -> Iterable[str]:
    """The lines that describe a report."""
    groups = grouped(report.with_outcome(FAILED))
    for number, (result, *alike) in enumerate(groups):
        if number < SHOWN:
            yield from _failure(result)
        else:
            yield f"FAILED {result.clause.id}"
        if alike:
            yield f"  with the same message, {len(alike)} more:"
            yield from (f"    {other.clause.id}" for other in alike)
    for result in report.with_outcome(KNOWN):
        yield f"known  {result.clause.id} {report.baseline.why(result.clause.id)}".rstrip()
    yield from changed(report)
    yield ""
    yield f"{report.harness}, {report.server}, {report.seconds:.0f} s"
    for name, results in report.by_capability().items():
        yield _capability(name, results, report.reasons.get(name, ""))
    if report.levels():
        yield ""
    for name, missing in report.levels():
        yield f"  {name:<36} {'yes' if not missing else 'no: ' + ', '.join(missing)}"
    yield ""
    yield f"{report.contract}: {report.verdict}"


def _capability(name: str, results: Sequence[Result], reason: str) -> str:
    outcomes = {result.outcome for result in results}
    worst = next(each for each in _MARK if each in outcomes)
    held = sum(result.outcome == PASSED for result in results)
    return (
        f"  {_MARK[worst]:<7} {name:<19} {held:>3} of {len(results):>3} clauses  {reason}".rstrip()
    )


def _failure(result: Result) -> Iterable[str]:
    wrong, first = sum(case.outcome == FAILED for case in result.cases), first_failure(result)
    yield ""
    yield f"FAILED {result.clause.id} ({wrong} of {len(result.cases)} cases)"
    yield f"  must hold: {result.clause.title}. {result.clause.statement}"
    yield f"  case [{first.name}]"
    yield from (f"    {line}" for line in first.message.splitlines())
    if first.calls:
        yield "  the calls that led there:"
        yield from (f"    {line}" for line in first.calls.splitlines()[-LINES:])
