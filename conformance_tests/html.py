"""A report as one HTML file, with nothing to load."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from html import escape
from typing import Final

from conformance_tests.report import (
    FAILED,
    GAP,
    NOT_ASKED,
    PASSED,
    Case,
    Report,
    Result,
    versions,
)

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
td, th { border-bottom: 1px solid #8884; padding: .25rem .5rem; text-align: left;
  vertical-align: top }
pre { background: #8881; padding: .5rem; overflow: auto; font-size: 13px }
.passed { color: #080 } .failed { color: #c00; font-weight: 600 } .gap { color: #a60 }
code { font-size: 13px }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd }
  .passed { color: #5c5 } .failed { color: #f66 } .gap { color: #fa5 } }
"""
_WORDS: Final = {
    PASSED: "holds",
    FAILED: "does not hold",
    GAP: "declared gap",
    NOT_ASKED: "does not apply",
    None: "did not run",
}

_CLASSES: Final = {PASSED: "passed", FAILED: "failed", GAP: "gap"}


def to_html(reports: Iterable[Report], error: str = "") -> str:
    """The reports of a run, for people; `error` says why nothing, or no more, could run."""
    made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    body = "".join(_report(report) for report in reports)
    heading = f"<h1>{escape(error)}</h1>" if error else ""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>Conformance</title><style>{_STYLE}</style>"
        f"{heading}{body}<p>{escape(when)}, {escape(made_with)}</p></html>\n"
    )


def _report(report: Report) -> str:
    levels = "".join(
        f"<li>{escape(name)}: "
        + ("<span class=passed>yes</span>" if not missing else f"no, for {_codes(missing)}")
        for name, missing in report.levels()
    )
    gaps = "".join(
        f"<li><code>{escape(name)}</code>: {escape(reason)}"
        for name, reason in report.reasons.items()
    )
    counts = report.counts
    return (
        f"<h1>{escape(report.harness)}: {escape(report.verdict)}</h1>"
        f"<p>{escape(report.server)}; {counts[PASSED]} clauses hold, {counts[FAILED]} do not, "
        f"{counts[GAP]} are declared gaps, {counts[NOT_ASKED]} do not apply; "
        f"{report.seconds:.0f} s</p><ul>{levels}</ul>"
        + (f"<h2>What is missing, or does not apply</h2><ul>{gaps}</ul>" if gaps else "")
        + "".join(_capability(name, found) for name, found in report.by_capability().items())
    )


def _capability(name: str, results: Iterable[Result]) -> str:
    rows = "".join(_row(result) for result in results)
    return f"<h2>{escape(name)}</h2><table>{rows}</table>"


def _row(result: Result) -> str:
    failed = [case for case in result.cases if case.outcome == FAILED]
    told = "".join(_case(case) for case in failed)
    return (
        f"<tr><td><code>{escape(result.clause.id)}</code><td>{escape(result.clause.statement)}"
        f"{told}<td class={_CLASSES.get(result.outcome or '', 'none')}>{_WORDS[result.outcome]}"
    )


def _case(case: Case) -> str:
    calls = f"<p>The calls that led there:<pre>{escape(case.calls)}</pre>" if case.calls else ""
    return (
        f"<details><summary>{escape(case.name)}</summary>"
        f"<pre>{escape(case.message)}</pre>{calls}</details>"
    )


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"<code>{escape(name)}</code>" for name in names)
