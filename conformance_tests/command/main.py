"""Command line of `checkpoint-conformance`, which runs the suite without a test file."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from conformance_tests.command.supervisor import Supervisor
    from conformance_tests.report.report import Report

FAILED: Final = 1
NOTHING_RAN: Final = 2
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run or list clauses.

    Returns:
        0: all clauses that ran passed, or failed as declared. 1: a clause failed. 2: nothing could
        run. 130: it was interrupted.
    """
    given = _parser().parse_args(arguments)
    if given.command == "init":
        return _init(given)
    try:
        import pytest

        from conformance_tests import test_contract  # noqa: F401 (needs all that the extra brings)
        from conformance_tests.command.supervisor import CannotRunError
    except ImportError as error:
        missing = error.name or error
        return _nothing_ran(
            f"checkpoint-conformance needs {missing}: "
            "pip install 'langgraph-checkpoint-suite[conformance]'"
        )
    before = signal.signal(signal.SIGTERM, _interrupt)  # CI servers send it on a timeout
    try:
        return _look_or_run(given)
    except (pytest.UsageError, CannotRunError) as error:
        return _nothing_ran(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _nothing_ran(reason: object) -> int:
    print(reason, file=sys.stderr)  # noqa: T201
    return NOTHING_RAN


def _init(given: argparse.Namespace) -> int:
    from conformance_tests.command.start import CannotStartError, start

    try:
        harness, workflow = start(given.package, Path.cwd())
    except CannotStartError as error:
        return _nothing_ran(error)
    name = harness.stem
    told = (f"fill in the TODOs: {harness.name}", f"runs in GitHub Actions: {workflow}")
    run = f"checkpoint-conformance run {name}:Saver {name}:Store --html report.html"
    print(*told, run, sep="\n")  # noqa: T201
    return 0


def _show(lines: Iterable[str]) -> int:
    from conformance_tests.command.terminal import write

    for line in lines:
        write(sys.stdout, f"{line}\n")
    return 0


def _look_or_run(given: argparse.Namespace) -> int:
    """List or explain clauses, or run them."""
    from conformance_tests.command.listing import explained, listed
    from conformance_tests.command.run import reports_of
    from conformance_tests.report.levels import LEVELS

    if given.explain:
        return _show(explained(given.explain))
    # validate the names in --only before anything runs
    asked = reports_of(LEVELS, given.only, given.profile)
    if given.list:
        return _show(listed(asked.values(), given.profile))
    return _run(given)


def _run(given: argparse.Namespace) -> int:
    from pytest import UsageError  # noqa: PT013 (imported as soon as it is known to be there)

    from conformance_tests.command.output import FORMATS, write_reports
    from conformance_tests.command.run import baseline_at, reports_of
    from conformance_tests.command.supervisor import CannotRunError, Limits, Supervisor, probe
    from conformance_tests.command.terminal import Progress
    from conformance_tests.report.baseline import Baseline, write_baseline

    if not given.harness:
        raise UsageError("which one? checkpoint-conformance run mypkg.harness:harness")
    baseline = baseline_at(given.baseline) if given.baseline else Baseline()
    limits = Limits(given.clause_timeout, given.clause_memory)
    paths = {kind: getattr(given, kind) for kind in FORMATS}
    for kind, path in paths.items():
        if path and path.is_dir():
            raise UsageError(f"--{kind} {path}: it is a folder, wanted a file")
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            harnesses = probe(given.harness, folder, limits)
        except (CannotRunError, KeyboardInterrupt) as error:
            write_reports(paths, [], str(error) or "interrupted")
            raise
        kinds = [each.kind for each in harnesses]
        if len(set(kinds)) < len(kinds):
            raise UsageError(f"two harnesses of a {kinds[0]}: of each kind one can be given")
        reports = reports_of(kinds, given.only, given.profile)
        for each in harnesses:
            reports[each.kind].harness, reports[each.kind].server = each.name, each.version
            reports[each.kind].baseline = baseline
        progress = Progress(sum(len(report.results) for report in reports.values()))
        supervisor = Supervisor(
            harnesses, reports, folder, limits=limits, jobs=given.jobs, watched=progress
        )
        code, why = _supervise(supervisor, list(reports.values()))
    if given.write_baseline:
        write_baseline(given.write_baseline, reports.values())
    progress.end(list(reports.values()))
    for path in write_reports(paths, list(reports.values()), why):
        progress.wrote(path)
    return code


def _supervise(supervisor: Supervisor, reports: Sequence[Report]) -> tuple[int, str]:
    """Run the supervisor; returns the exit code, and the reason if the run ended early."""
    from conformance_tests.command.supervisor import CannotRunError

    code, error = 0, ""
    try:
        supervisor.run()
    except KeyboardInterrupt:
        code, error = INTERRUPTED, "interrupted"
    except CannotRunError as reason:
        code, error = FAILED, str(reason)
    for report in reports:
        report.interrupted = error
    failed = any(report.with_outcome("failed") for report in reports)
    return code or int(failed), error


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="checkpoint-conformance",
        description="conformance of LangGraph savers, stores and caches",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="write a harness to fill in, and a CI workflow")
    init.add_argument("package", metavar="PACKAGE", help="what has the saver or the store")
    run = commands.add_parser("run", help="run the clauses")
    run.add_argument(
        "harness",
        nargs="*",
        metavar="MODULE:NAME",
        help="makes the harness of a saver or of a store; of each kind one can be given",
    )
    run.add_argument("--only", action="append", default=[], metavar="CAPABILITY_OR_CLAUSE")
    run.add_argument(
        "--profile",
        choices=["langgraph", "suite"],
        default="langgraph",
        help="what is judged: LangGraph's own contract, or this project's stricter one as well",
    )
    run.add_argument(
        "--baseline", type=Path, metavar="PATH", help="known failures; only new ones are red"
    )
    run.add_argument(
        "--write-baseline", type=Path, metavar="PATH", help="write what fails as known failures"
    )
    run.add_argument("--list", action="store_true", help="show the clauses, run nothing")
    run.add_argument("--explain", metavar="CLAUSE", help="say what a clause is, run nothing")
    for kind in ("html", "json", "junit", "badge"):
        run.add_argument(f"--{kind}", type=Path, metavar="PATH", help=f"write a report as {kind}")
    run.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="processes at once, or auto"
    )
    run.add_argument(
        "--clause-timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="after which a case of a clause is ended (default %(default)g)",
    )
    run.add_argument(
        "--clause-memory",
        type=int,
        default=4096,
        metavar="MB",
        help="more than which no case of a clause may take (default %(default)d)",
    )
    return parser


def _jobs(text: str) -> int:
    return max(1, (os.cpu_count() or 1) if text == "auto" else int(text))
