"""`checkpoint-conformance run mypkg:harness`: the suite for somebody who has no test file."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

NOTHING_RAN: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, or list, the clauses.

    Returns:
        0: all that ran is as it should be. 1: something does not conform. 2: nothing could run.
    """
    given = _parser().parse_args(arguments)
    try:
        import pytest

        from conformance_tests import test_contract  # noqa: F401 (needs all that the extra brings)
    except ImportError as error:
        missing = error.name or error
        return _nothing_ran(
            f"checkpoint-conformance needs {missing}: "
            "pip install 'langgraph-checkpoint-suite[conformance]'"
        )
    try:
        return _run(given)
    except pytest.UsageError as error:
        return _nothing_ran(error)


def _nothing_ran(reason: object) -> int:
    print(reason, file=sys.stderr)  # noqa: T201
    return NOTHING_RAN


def _run(given: argparse.Namespace) -> int:
    from pytest import UsageError  # noqa: PT013 (imported as soon as it is known to be there)

    from conformance_tests.catalogue import unknown
    from conformance_tests.run import offered
    from conformance_tests.terminal import write

    named = [(_kind(spec), spec) for spec in given.harness]
    kinds = [kind for kind, _ in named] or ["saver", "store"]
    clauses = [clause for kind in kinds for clause in offered(kind)]
    if nothing := unknown(given.only, clauses):
        raise UsageError(f"--only {nothing[0]}: there is no such capability or clause")
    if given.list:
        for clause in clauses:
            if not given.only or clause.chosen(given.only):
                write(sys.stdout, f"{clause.id}\n    {clause.statement}\n")
        return 0
    if not named:
        raise UsageError("which one? checkpoint-conformance run mypkg.harness:harness")
    told = subprocess.run(_pytest(given, named), check=False).returncode
    return told if told in (0, 1) else NOTHING_RAN  # pytest has a code for each reason


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
    run.add_argument("--list", action="store_true", help="show the clauses, run nothing")
    for kind in ("html", "json", "junit"):
        run.add_argument(f"--{kind}", type=Path, metavar="PATH", help=f"write a report as {kind}")
    run.add_argument("--jobs", metavar="N", help="processes at once (needs pytest-xdist)")
    return parser


def _kind(spec: str) -> str:
    """Whether a harness is of a saver or of a store: it is opened once to see."""
    from pytest import UsageError  # noqa: PT013

    from conformance_tests.harness import SaverHarness
    from conformance_tests.loading import load, told
    from conformance_tests.stores.harness import StoreHarness

    make = load(spec)
    try:
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            make(Path(folder)) as harness,
        ):
            for kind, cls in (("saver", SaverHarness), ("store", StoreHarness)):
                if isinstance(harness, cls):
                    return kind
    except Exception as error:
        raise UsageError(f"{spec}: it cannot be made: {told(error)}") from error
    raise UsageError(f"{spec} gave {harness!r}: wanted a SaverHarness or a StoreHarness")


def _pytest(given: argparse.Namespace, named: Sequence[tuple[str, str]]) -> list[str]:
    """A pytest of its own: no configuration, conftest or cache of the working directory."""
    command = [sys.executable, "-m", "pytest", "--pyargs", "conformance_tests.test_contract"]
    command += [
        "-p",
        "conformance_tests.plugin",
        "-c",
        os.devnull,
        "--rootdir",
        str(Path.cwd()),
        "--noconftest",
    ]
    command += ["-p", "no:cacheprovider", "-p", "no:terminal", "--conformance-progress"]
    command += [part for kind, spec in named for part in (f"--{kind}", spec)]
    command += [part for name in given.only for part in ("--only", name)]
    command += [f"--conformance-{k}={v}" for k in ("html", "json") if (v := getattr(given, k))]
    if given.junit:
        command.append(f"--junit-xml={given.junit}")
    if given.jobs:
        command += ["-n", given.jobs]
    return command
