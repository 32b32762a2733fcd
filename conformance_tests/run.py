"""A run of the clauses by pytest: its options, its choice of clauses, its reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance_tests.catalogue import Clause, clause_of, clauses_in, contract_of, unknown
from conformance_tests.html import to_html
from conformance_tests.report import Report, Result, to_json
from conformance_tests.terminal import Progress


def offered(contract: str) -> list[Clause]:
    """All clauses that a harness of a saver or of a store is run against."""
    from conformance_tests import test_contract

    found = [cls for cls in vars(test_contract).values() if getattr(cls, "option", "") == contract]
    return [clause for cls in found for clause in clauses_in(cls)]


class Run:
    """The plugin of such a run."""

    def __init__(self) -> None:
        self.reports: dict[str, Report] = {}
        self.progress: Progress | None = None

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        group = parser.getgroup("conformance", "conformance of LangGraph savers and stores")
        group.addoption("--saver", metavar="MODULE:NAME", help="makes the harness of a saver")
        group.addoption("--store", metavar="MODULE:NAME", help="makes the harness of a store")
        group.addoption(
            "--only",
            action="append",
            default=[],
            metavar="NAME",
            help="a capability, a clause's id or its beginning; may be given several times",
        )
        for kind in ("html", "json"):
            group.addoption(f"--conformance-{kind}", metavar="PATH", help=f"a report as {kind}")
        group.addoption("--conformance-progress", action="store_true", help="a progress bar")

    def pytest_configure(self, config: pytest.Config) -> None:
        """Decides which clauses are asked for; with pytest-xdist, here and in every worker."""
        given = [name for name in ("saver", "store") if config.getoption(name)]
        only = config.getoption("only")
        everything = [clause for name in given for clause in offered(name)]
        if nothing := unknown(only, everything) if given else []:
            raise pytest.UsageError(
                f"--only {nothing[0]}: no such capability or clause; see --list"
            )
        for name in given:
            chosen = [c for c in offered(name) if not only or c.chosen(only)]
            results = {clause.id: Result(clause) for clause in chosen}
            self.reports[name] = Report(name, results, chosen=bool(only))
        if config.getoption("conformance_progress") and not _is_worker(config):
            self.progress = Progress(list(self.reports.values()))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leaves out what was not asked for."""
        found = [(item, _clause(item)) for item in items]
        if not self.reports and any(clause for _, clause in found):
            raise pytest.UsageError("which one? --saver mypkg.harness:harness, or --store …")
        chosen = {name for report in self.reports.values() for name in report.results}
        left_out = [item for item, clause in found if clause and clause.id not in chosen]
        if left_out:
            items[:] = [item for item, clause in found if not clause or clause.id in chosen]
            config.hook.pytest_deselected(items=left_out)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """The suite's own tests are in a checkout, not in the wheel; they run the suite."""
        return True if collection_path == Path(__file__).parent / "tests" else None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self.progress is not None:
            self.progress.total = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        if self.progress is not None:
            self.progress.total = len(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if self.progress is not None and report.failed:
            self.progress.error(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for each in self.reports.values():
            each.add(report)
        if self.progress is not None and report.when == "teardown":
            self.progress.step()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        config = session.config
        if _is_worker(config):
            return
        reports = list(self.reports.values())
        if session.exitstatus == pytest.ExitCode.OK and any(r.counts["failed"] for r in reports):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED  # a skipped clause
        for kind, write in (("html", to_html), ("json", to_json)):
            if path := config.getoption(f"conformance_{kind}"):
                Path(path).write_text(write(reports), encoding="utf-8")
        if self.progress is not None:
            self.progress.end()


def _clause(item: pytest.Item) -> Clause | None:
    cls = getattr(item, "cls", None)
    if cls is None or contract_of(cls) is None:
        return None
    return clause_of(cls, getattr(item, "originalname", item.name))


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")  # of pytest-xdist
