"""`checkpoint-conformance run mypkg:harness`: the suite for somebody who has no test file."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from conformance_tests.report import Report
    from conformance_tests.supervisor import Supervisor

FAILED: Final = 1
NOTHING_RAN: Final = 2
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, or list, the clauses.

    Returns:
        0: all that ran is as it should be. 1: something does not conform. 2: nothing could run.
        130: it was interrupted.
    """
    given = _parser().parse_args(arguments)
    try:
        import pytest

        from conformance_tests import test_contract  # noqa: F401 (needs all that the extra brings)
        from conformance_tests.supervisor import CannotRunError
    except ImportError as error:
        missing = error.name or error
        return _nothing_ran(
            f"checkpoint-conformance needs {missing}: "
            "pip install 'langgraph-checkpoint-suite[conformance]'"
        )
    signal.signal(signal.SIGTERM, _interrupt)  # a CI that gives up sends it
    try:
        return _list(given) if given.list else _run(given)
    except (pytest.UsageError, CannotRunError) as error:
        return _nothing_ran(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def _nothing_ran(reason: object) -> int:
    print(reason, file=sys.stderr)  # noqa: T201
    return NOTHING_RAN


def _list(given: argparse.Namespace) -> int:
    from conformance_tests.run import reports_of
    from conformance_tests.terminal import write

    for report in reports_of(["saver", "store"], given.only, given.profile).values():
        for result in report.results.values():
            write(sys.stdout, f"{result.clause.id}\n    {result.clause.statement}\n")
    return 0


def _run(given: argparse.Namespace) -> int:
    from pytest import UsageError  # noqa: PT013 (imported as soon as it is known to be there)

    from conformance_tests.output import FORMATS, write_reports
    from conformance_tests.run import reports_of
    from conformance_tests.supervisor import CannotRunError, Limits, Supervisor, probe
    from conformance_tests.terminal import Progress

    reports_of(
        ["saver", "store"], given.only, given.profile
    )  # a name that chooses nothing is said at once
    if not given.harness:
        raise UsageError("which one? checkpoint-conformance run mypkg.harness:harness")
    limits = Limits(given.clause_timeout, given.clause_memory)
    paths = {kind: getattr(given, kind) for kind in FORMATS}
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            harnesses = probe(given.harness, folder, limits)
        except CannotRunError as error:
            write_reports(paths, [], str(error))
            raise
        reports = reports_of([each.kind for each in harnesses], given.only, given.profile)
        for each in harnesses:
            reports[each.kind].harness, reports[each.kind].server = each.name, each.version
        progress = Progress(sum(len(report.results) for report in reports.values()))
        supervisor = Supervisor(
            harnesses, reports, folder, limits=limits, jobs=given.jobs, watched=progress
        )
        code, why = _supervise(supervisor, list(reports.values()))
    written = write_reports(paths, list(reports.values()), why)
    progress.end(list(reports.values()), written)
    return code


def _supervise(supervisor: Supervisor, reports: Sequence[Report]) -> tuple[int, str]:
    """The exit code of a run, and why it ended early."""
    from conformance_tests.supervisor import CannotRunError

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
        prog="checkpoint-conformance", description="conformance of LangGraph savers and stores"
    )
    run = parser.add_subparsers(required=True).add_parser("run", help="run the clauses")
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
    run.add_argument("--list", action="store_true", help="show the clauses, run nothing")
    for kind in ("html", "json", "junit"):
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
