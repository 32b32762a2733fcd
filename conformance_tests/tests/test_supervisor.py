"""Whatever a backend does: the run ends, says so, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance_tests.command import worker
from conformance_tests.command.main import main
from conformance_tests.command.supervisor import Limits, probe
from conformance_tests.tests.bad import SLEEPERS

ROOT = Path(__file__).parents[2]
BAD = "conformance_tests.tests.bad"
CLAUSES = {
    "saver.delete_thread.unknown_thread_and_twice": "it did not end within 8 s (--clause-timeout)",
    "saver.delete_for_runs.twice": "ended with exit code 3, by os._exit or sys.exit",
    "saver.copy_thread.twice": "than the 300 MB that a clause may take (--clause-memory)",
    "saver.stats.of_one_thread": "the process of the clause was ended by SIGSEGV",
}
AFTER = "saver.setup.both_names"


@pytest.fixture
def sleepers(tmp_path: Path) -> Iterator[Path]:
    """The ids of the processes that the backend left; they must have ended."""
    path = tmp_path / "sleepers"
    yield path
    assert [pid for pid in path.read_text().split() if is_running(pid)] == []


def is_running(pid: str) -> bool:
    """Not so if it has ended, and only waits for somebody to take its exit code."""
    done = subprocess.run(("ps", "-o", "stat=", "-p", pid), capture_output=True, check=False)
    return done.returncode == 0 and not done.stdout.startswith(b"Z")


def command(sleepers: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", SLEEPERS: str(sleepers)}
    run = ["conformance_tests", "run", "--profile", "suite", f"{BAD}:BadHarness", *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", *run],
        cwd=sleepers.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def outcomes(path: Path) -> dict[str, Any]:
    (found,) = json.loads(path.read_text())["contracts"]
    return {clause["id"]: clause for clause in found["clauses"]}


def test_a_clause_that_takes_its_process_with_it_fails_alone(
    tmp_path: Path, sleepers: Path
) -> None:
    only = [part for clause in (*CLAUSES, AFTER) for part in ("--only", clause)]
    report = tmp_path / "report.json"
    limits = ("--clause-timeout", "8", "--clause-memory", "300")
    with command(sleepers, *only, *limits, "--json", str(report), "--jobs", "2") as process:
        told, _ = process.communicate(timeout=300)
    assert process.returncode == 1, told
    found = outcomes(report)
    for clause, words in CLAUSES.items():
        (case,) = found[clause]["cases"]
        assert case["name"] == "sync"
        assert words in case["message"]
        assert words in told
    assert found[AFTER]["outcome"] == "passed", told
    (asleep,) = found["saver.delete_thread.unknown_thread_and_twice"]["cases"]
    assert "in delete_thread\n    time.sleep(3600)" in asleep["message"]
    assert asleep["calls"].endswith("    has not returned")
    (killed,) = found["saver.stats.of_one_thread"]["cases"]
    assert "Fatal Python error: Segmentation fault" in killed["message"]
    assert "saver.delete_thread.unknown_thread_and_twice runs for" in told


def test_a_declared_gap_may_take_its_process_with_it(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    only = ("--profile", "suite", "--only", "saver.delete_for_runs.twice", "--only", AFTER)
    assert main(["run", f"{BAD}:KnownToEnd", *only, "--json", str(report)]) == 0
    found = outcomes(report)
    assert found["saver.delete_for_runs.twice"]["outcome"] == "gap"
    assert found[AFTER]["outcome"] == "passed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_reports_what_it_knows(
    tmp_path: Path, sleepers: Path, number: signal.Signals
) -> None:
    only = ["--only", "saver.list.newest_first", "--only", "saver.delete_thread"]
    report = tmp_path / "report.json"
    with command(sleepers, *only, "--json", str(report)) as process:
        while not sleepers.exists() or not sleepers.read_text().endswith("\n"):
            time.sleep(0.05)
            assert process.poll() is None
        process.send_signal(number)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 130, told
    found = outcomes(report)
    assert found["saver.list.newest_first"]["outcome"] == "passed"
    assert found["saver.delete_thread.nothing_is_left"]["outcome"] is None
    assert "interrupted after 1 of 8 clauses" in told


def test_a_process_that_got_away_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "QUITS_WITHIN", 0.2)
    monkeypatch.setenv(SLEEPERS, str(tmp_path / "sleepers"))
    (found,) = probe([f"{BAD}:gets_away"], tmp_path, Limits())
    assert found.kind == "saver"
    os.kill(int((tmp_path / "sleepers").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("conformance_tests.tests.broken_module:x", "ZeroDivisionError: division by zero"),
        (f"{BAD}:exits", "opening it, its process ended with exit code 4"),
    ],
)
def test_a_backend_that_cannot_be_opened_has_a_report(
    spec: str, words: str, tmp_path: Path
) -> None:
    paths = {kind: tmp_path / f"report.{kind}" for kind in ("html", "json", "junit")}
    reports = [part for kind, path in paths.items() for part in (f"--{kind}", str(path))]
    assert main(["run", spec, *reports]) == 2
    for path in paths.values():
        assert words in path.read_text()
    assert json.loads(paths["json"].read_text())["contracts"] == []
