"""The report as a page: small, complete, failures first, and never wider than the window."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conformance_tests.command.run import reports_of
from conformance_tests.contract.verdicts import FAILED, PASSED
from conformance_tests.report.html import to_html
from conformance_tests.report.report import Case, Report
from conformance_tests.tests.browser import PROGRAMS, needed_width

LONG = "a" * 3_000 + " <b>&amp; " + "word " * 400


@pytest.fixture(scope="module")
def worst() -> list[Report]:
    """All clauses of a saver and of a store fail, with all that can be said."""
    reports = list(reports_of(["saver", "store"], []).values())
    for report in reports:
        report.harness, report.server = f"worst-{'x' * 300}", f"Server {'9' * 300}"
        for result in report.results.values():
            result.cases = [Case(f"sync-{'n' * 200}", FAILED, 0.1, LONG, LONG) for _ in range(3)]
            report.reasons[str(result.clause.capability.value)] = LONG[:500]
    return reports


class Page(HTMLParser):
    """The ids of a page, its links into itself, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            elif name == "href" and value and value.startswith("#"):
                self.links.add(value[1:])
            elif name in ("src", "href"):
                self.loads.append(f"{tag} {value}")


def test_a_full_report_is_small(worst: list[Report]) -> None:
    assert len(to_html(worst).encode()) < 500_000


def test_every_clause_has_one_anchor_and_nothing_is_loaded(worst: list[Report]) -> None:
    some = list(reports_of(["saver", "store"], []).values())
    for result in list(some[0].results.values())[::2]:
        result.cases = [Case("sync", PASSED, 0.1)]
    for reports in (worst, some):
        page = Page(to_html(reports))
        assert page.loads == []
        assert len(page.ids) == len(set(page.ids))
        assert page.links <= set(page.ids)
        assert {clause for report in reports for clause in report.results} <= set(page.ids)


def test_failures_come_first(worst: list[Report]) -> None:
    (report, _) = reports_of(["saver", "store"], []).values()
    *_, last = report.results.values()
    last.cases = [Case("sync", FAILED, 0.1, "it is <wrong>", "put(1)")]
    text = to_html([report])
    assert text.index(f"<details data-clause id='{last.clause.id}'>") < text.index("saver.put.")
    assert "<pre>it is &lt;wrong&gt;</pre>" in text


@pytest.fixture
def page(worst: list[Report], tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(to_html(worst), encoding="utf-8")
    return path


if any(map(shutil.which, PROGRAMS)):  # looked at by a browser where there is one

    def test_the_page_is_never_wider_than_the_window(page: Path) -> None:
        for width in (320, 1000):
            assert needed_width(page, width) == width
