"""The pytest plugin of a run: command-line options, selection of clauses, reports."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from conformance_tests.command.output import write_reports
from conformance_tests.contract.catalogue import Clause, clause_of, clauses_in, contract_of, unknown
from conformance_tests.contract.verdicts import KNOWN
from conformance_tests.contract.version import PROFILES, Profile, belongs_to
from conformance_tests.report.baseline import Baseline, BaselineError, write_baseline
from conformance_tests.report.levels import LEVELS
from conformance_tests.report.report import Report, Result, observe


def offered(contract: str, profile: Profile = "suite") -> list[Clause]:
    """The clauses of a profile for a kind of harness (saver, store or cache)."""
    from conformance_tests import test_contract

    found = [cls for cls in vars(test_contract).values() if getattr(cls, "option", "") == contract]
    clauses = [clause for cls in found for clause in clauses_in(cls)]
    return [clause for clause in clauses if belongs_to(profile, clause.id)]


def reports_of(
    kinds: Iterable[str], only: Sequence[str], profile: Profile = "suite"
) -> dict[str, Report]:
    """An empty report of the selected clauses for each kind of harness.

    Raises:
        pytest.UsageError: A name in `only` matches no capability and no clause.
    """
    clauses = {kind: offered(kind, profile) for kind in kinds}
    everything = [clause for some in clauses.values() for clause in some]
    if nothing := unknown(only, everything) if clauses else []:
        elsewhere = not unknown(nothing[:1], [each for kind in clauses for each in offered(kind)])
        why = f"it is not in the profile {profile}" if elsewhere else "no such capability or clause"
        raise pytest.UsageError(f"--only {nothing[0]}: {why}; see --list")
    return {
        kind: Report(
            kind,
            {clause.id: Result(clause) for clause in some if not only or clause.chosen(only)},
            chosen=bool(only),
            profile=profile,
        )
        for kind, some in clauses.items()
    }


def baseline_at(path: Path) -> Baseline:
    """Read a baseline file, which lists known failures.

    Raises:
        pytest.UsageError: It is not a baseline file.
    """
    try:
        return Baseline.read(path)
    except BaselineError as error:
        raise pytest.UsageError(str(error)) from error


class Run:
    """The pytest plugin."""

    def __init__(self) -> None:
        self.reports: dict[str, Report] = {}
        self.baseline = Baseline()

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        group = parser.getgroup("conformance", "conformance of LangGraph savers and stores")
        group.addoption("--saver", metavar="MODULE:NAME", help="makes the harness of a saver")
        group.addoption("--store", metavar="MODULE:NAME", help="makes the harness of a store")
        group.addoption("--cache", metavar="MODULE:NAME", help="makes the harness of a cache")
        group.addoption(
            "--only",
            action="append",
            default=[],
            metavar="NAME",
            help="a capability, a clause's id or its beginning; may be given several times",
        )
        group.addoption(
            "--profile",
            choices=list(PROFILES),
            default="langgraph",
            help="; ".join(f"{name}: {meaning}" for name, meaning in PROFILES.items()),
        )
        group.addoption(
            "--baseline", type=Path, metavar="PATH", help="known failures, which are not red"
        )
        group.addoption(
            "--write-baseline", type=Path, metavar="PATH", help="write what fails as known failures"
        )
        for kind in ("html", "json"):
            group.addoption(f"--conformance-{kind}", metavar="PATH", help=f"a report as {kind}")

    def pytest_configure(self, config: pytest.Config) -> None:
        """Select the clauses. Under pytest-xdist, the main process and each worker do this."""
        given = [name for name in LEVELS if config.getoption(name)]
        self.reports = reports_of(given, config.getoption("only"), config.getoption("profile"))
        if path := config.getoption("baseline"):
            self.baseline = baseline_at(path)
        for report in self.reports.values():
            report.baseline = self.baseline

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Turn failures that are in the baseline into expected failures."""
        report = yield
        clause = clause_of_item(item)
        case = report.nodeid.partition("[")[2].rstrip("]")
        if report.failed and clause is not None and self.baseline.knows(clause.id, case):
            report.outcome = "skipped"
            report.wasxfail = f"{KNOWN}: {self.baseline.why(clause.id) or 'it is in the baseline'}"
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Deselect the clauses that were not selected by profile or `--only`."""
        found = [(item, clause_of_item(item)) for item in items]
        if not self.reports and any(clause for _, clause in found):
            raise pytest.UsageError("which one? --saver mypkg.harness:harness, or --store …")
        chosen = {name for report in self.reports.values() for name in report.results}
        left_out = [item for item, clause in found if clause and clause.id not in chosen]
        if left_out:
            items[:] = [item for item, clause in found if not clause or clause.id in chosen]
            config.hook.pytest_deselected(items=left_out)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Skip the suite's own tests, which exist only in a checkout, and run the suite."""
        return True if collection_path == Path(__file__).parents[1] / "tests" else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (seen := observe(report)) is not None:
            for each in self.reports.values():
                each.add(seen)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        config = session.config
        if _is_worker(config):
            return
        reports = list(self.reports.values())
        if session.exitstatus == pytest.ExitCode.OK and any(r.counts["failed"] for r in reports):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED  # a skipped clause counts as failed
        if path := config.getoption("write_baseline"):
            write_baseline(path, reports)
        paths = {k: config.getoption(f"conformance_{k}") for k in ("html", "json")}
        write_reports({k: Path(path) for k, path in paths.items() if path}, reports)


def clause_of_item(item: pytest.Item) -> Clause | None:
    """The clause that a test belongs to; None for other tests."""
    cls = getattr(item, "cls", None)
    if cls is None or contract_of(cls) is None:
        return None
    return clause_of(cls, getattr(item, "originalname", item.name))


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")  # set by pytest-xdist
