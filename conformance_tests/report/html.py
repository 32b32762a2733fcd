"""The HTML report: one self-contained file, failures first, then all clauses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timezone
from html import escape
from importlib.resources import files
from typing import Final

from conformance_tests.contract.verdicts import FAILED, GAP, KNOWN, PASSED, WORST_FIRST
from conformance_tests.contract.version import CONTRACT_VERSION
from conformance_tests.report.report import Case, Report, Result, changed, versions

SIZE: Final = 460_000
"""Target size in bytes, so that a report stays below 500 kB. Details of failures are cut to fit."""
DETAIL: Final = 6_000
"""Maximum number of characters for the details of a failure."""
NAMES: Final = 100
_FILTER: Final = (
    "<div class=filter><input id=filter type=search placeholder='Filter clauses, e.g. ttl' "
    "aria-label='Filter clauses'><span id=shown class=soft></span></div>"
)
_ADDRESS: Final = re.compile(r"https?://[^\s()<>'&]+")
_DID_NOT_RUN: Final = "did not run"
_WORDS: Final = {GAP: "declared gap", KNOWN: "known failure"}
_CLASSES: Final = {PASSED: "passed", FAILED: "failed", GAP: "gap", KNOWN: "gap"}


def to_html(reports: Iterable[Report], error: str = "") -> str:
    """Render the reports of a run. `error` says why it did not start, or ended early."""
    reports = list(reports)
    failures = sum(len(report.with_outcome(FAILED)) for report in reports)
    left = SIZE - len(_page(reports, error, 0).encode())
    return _page(reports, error, min(DETAIL, max(left, 0) // max(failures, 1)))


def _page(reports: Sequence[Report], error: str, room: int) -> str:
    """Render the page, with at most `room` characters for each failure."""
    with_versions = {"contract": CONTRACT_VERSION, **versions()}
    made_with = ", ".join(f"{name} {version}" for name, version in with_versions.items())
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    assets = files("conformance_tests") / "assets"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>Conformance</title><style>{(assets / 'report.css').read_text('utf-8')}</style>",
        f"<p class=soft>LangGraph conformance, {escape(when)}, {escape(made_with)}</p>",
        f"<p class=failed>{escape(error)}</p>" if error else "",
        *(_summary(report) for report in reports),
        _FILTER,
        *(_failures(report, room) for report in reports),
        *(_capabilities(report) for report in reports),
        *(_clauses(report) for report in reports),
        f"<script>{(assets / 'report.js').read_text('utf-8')}</script></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _summary(report: Report) -> str:
    failed = {str(result.clause.capability.value) for result in report.with_outcome(FAILED)}
    levels = "".join(f"<li>{_level(name, lack, failed)}" for name, lack in report.levels())
    return (
        f"<h1>{escape(report.harness)}, {report.contract}: {escape(report.verdict)}</h1>"
        f"<p class=soft>{escape(report.server)}; profile {report.profile}; "
        f"{report.seconds:.0f} s</p>"
        f"<p>{_counts(list(report.results.values()))}</p>"
        + (f"<h2>Levels</h2><ul class=lines>{levels}</ul>" if levels else "")
        + "".join(f"<p class=gap>{escape(line)}</p>" for line in changed(report))
    )


def _capabilities(report: Report) -> str:
    entries = "".join(
        f"<li><a href='#{_group(report, name)}'>{escape(name)}</a> {_counts(results)} "
        f"<span class=soft>{_linked(_cut(report.reasons.get(name, ''), NAMES))}</span>"
        for name, results in report.by_capability().items()
    )
    return f"<h2>Capabilities ({report.contract})</h2><ul class='lines columns'>{entries}</ul>"


def _level(name: str, missing: Sequence[str], failed: Collection[str]) -> str:
    """A level in one line: complete, failed, or incomplete, with the missing capabilities."""
    if not missing:
        return f"<span class=passed>✓</span> {escape(name)}"
    mark = "<span class=failed>✗</span>" if set(missing) & set(failed) else "–"
    return f"{mark} {escape(name)}: {escape(', '.join(missing))}"


def _counts(results: Sequence[Result]) -> str:
    """The number of clauses by verdict, the worst first."""
    counts: dict[str, int] = {}
    for result in results:
        name = result.outcome or _DID_NOT_RUN
        counts[name] = counts.get(name, 0) + 1
    order = {name: place for place, name in enumerate(WORST_FIRST)}
    return ", ".join(
        f"<span class={_class(name)}>{counts[name]} {escape(_WORDS.get(name, name))}</span>"
        for name in sorted(counts, key=lambda name: order.get(name, len(order)))
    )


def _class(outcome: str) -> str:
    return _CLASSES.get(outcome, "other")


def _group(report: Report, capability: str) -> str:
    return f"{report.contract}-{escape(capability)}"


def _failures(report: Report, room: int) -> str:
    failed = report.with_outcome(FAILED)
    if not failed:
        return ""
    entries = "".join(_failure(result, room) for result in failed)
    count = f"{len(failed)} of {len(report.results)} clauses"
    heading = f"<h2>Failed: {count} ({report.contract})</h2>"
    return f"<section data-group>{heading}{entries}</section>"


def _failure(result: Result, room: int) -> str:
    wrong = [case for case in result.cases if case.outcome == FAILED]
    names = _cut(", ".join(case.name for case in wrong if case.name), NAMES)
    return (
        f"<details data-clause id='{escape(result.clause.id)}'>"
        f"<summary><code class=failed>{escape(result.clause.id)}</code> "
        f"<span class=soft>{len(wrong)} of {len(result.cases)} cases</span><br>"
        f"{escape(result.clause.statement)}</summary>{_source(result)}"
        + (f"<p class=soft>{escape(names)}</p>" if names else "")
        + _case(wrong[0], room)
        + "</details>"
    )


def _case(case: Case, room: int) -> str:
    """Render a case: the start of its message, and the last calls."""
    message = f"<pre>{escape(_cut(case.message, room * 2 // 3))}</pre>"
    calls = escape(case.calls[max(0, len(case.calls) - room // 3) :])
    if not calls:
        return message
    return f"{message}<p class=soft>The calls that led there:</p><pre>{calls}</pre>"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]} …"


def _clauses(report: Report) -> str:
    return "".join(
        f"<section data-group><h2 id='{_group(report, name)}'>{escape(name)}</h2>"
        f"<ul class=lines>{''.join(_row(result) for result in results)}</ul></section>"
        for name, results in report.by_capability().items()
    )


def _row(result: Result) -> str:
    """Render a clause as a table row. A failed clause has its anchor in the list of failures."""
    name, word = escape(result.clause.id), result.outcome or _DID_NOT_RUN
    told = f"<span class={_class(word)}>{escape(_WORDS.get(word, word))}</span>"
    told += f" <a href='#{name}'><code>{name}</code></a>"
    if word == FAILED:
        return f"<li data-clause>{told}"
    statement = escape(result.clause.statement)
    return (
        f"<li data-clause id='{name}'>{told}<br><span class=soft>{statement}</span>"
        f"{_source(result)}"
    )


def _source(result: Result) -> str:
    """Render the source of a clause's rule."""
    return f"<div class='soft source'>{escape(_cut(result.clause.source, NAMES))}</div>"


def _linked(text: str) -> str:
    """Escape a text, and turn URLs into links."""
    return _ADDRESS.sub(r"<a href='\g<0>'>\g<0></a>", escape(text))
