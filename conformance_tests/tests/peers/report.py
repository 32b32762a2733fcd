"""Runs other packages under the suite and writes what came of it into docs/conformance.md.

`python -m conformance_tests.tests.peers.report [name …]`, in an environment that has the packages
and pytest-timeout. A run takes minutes, so its outcome is kept in docs/conformance-peers.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from conformance_tests.tests.page import PAGE, section, table

HERE: Final = "conformance_tests.tests.peers"
KEPT: Final = PAGE.with_name("conformance-peers.json")
KINDS: Final = ("InMemory", "Sqlite", "Postgres", "Redis", "MongoDB")
LOOKED_AT: Final = {
    "saver": [
        *["put", "put_writes", "get_tuple", "list", "filter"],
        *["delete_thread", "delete_for_runs", "copy_thread", "prune", "delta_history"],
        *["allowlist", "fidelity", "hostile_input", "encryption", "persistence", "concurrency"],
        "upstream",
    ],
    "store": [
        *["store_items", "store_batch", "store_search", "store_filter", "store_namespaces"],
        *["store_meaning", "store_hostile_input", "store_concurrency", "store_graphs"],
    ],
}
"""Without those that need a clock, a kill, or methods that are this project's own."""
ENDLESS: Final = "of_a_ring_ends"
"""The base class walks for ever where checkpoints are each other's parent: not run here."""
PER_CASE, PER_RUN = 10, 240  # seconds


def run(kind: str, name: str, folder: Path) -> dict[str, Any]:
    """One package: a process for each capability, for one may take the whole process with it."""
    clauses: list[dict[str, Any]] = []
    package: dict[str, Any] = {}
    for capability in LOOKED_AT[kind]:
        report = folder / f"{kind}-{name}-{capability}.json"
        _pytest(kind, name, capability, report)
        if report.exists():
            package = json.loads(report.read_text())
            clauses += package["contracts"][0]["clauses"]
    (contract,) = package["contracts"]
    return {
        "kind": kind,
        "name": contract["harness"],
        "version": contract["server"],
        "date": package["date"],
        "with": package["versions"],
        "capabilities": summary(clauses),
    }


def _pytest(kind: str, name: str, capability: str, report: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--pyargs", "conformance_tests.test_contract", "-q"]
    command += ["-p", "conformance_tests.plugin", "-p", "no:cacheprovider", "--noconftest"]
    command += ["-c", os.devnull, "--rootdir", str(report.parent), "-p", "no:langsmith_plugin"]
    command += ["-k", f"not {ENDLESS}", f"--timeout={PER_CASE}", "--timeout-method=signal"]
    command += [f"--{kind}", f"{HERE}.{kind}s:{name}", f"--conformance-json={report}"]
    command += ["--only", capability]
    with (report.parent / "log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            process.wait(PER_RUN)
        except subprocess.TimeoutExpired:  # threads that wait for each other do not end
            process.kill()


def summary(clauses: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By capability: how many clauses were looked at, and which of them do not hold."""
    found: dict[str, dict[str, Any]] = {}
    for clause in clauses:
        entry = found.setdefault(
            clause["capability"], {"looked at": 0, "do not hold": [], "did not run": 0}
        )
        failed = [case for case in clause["cases"] if case["outcome"] == "failed"]
        cannot_look = [case for case in failed if "LookupError" in case["message"]]
        if not clause["cases"]:
            entry["did not run"] += ENDLESS not in clause["id"]
        elif not failed or failed != cannot_look:
            entry["looked at"] += 1
            if failed:
                entry["do not hold"].append(clause["id"])
    return found


def told(kept: Iterable[dict[str, Any]]) -> str:
    """The section of the page."""
    parts = []
    for kind in ("saver", "store"):
        columns = [one for one in kept if one["kind"] == kind]
        if not columns:
            continue
        rows = [
            (f"`{capability}`", *(_cell(one["capabilities"].get(capability)) for one in columns))
            for capability in LOOKED_AT[kind]
        ]
        heads = [f"{one['name']}<br>{one['version']}" for one in columns]
        parts.append(table(("clauses that hold, of those looked at", *heads), rows))
    dates = sorted({one["date"][:10] for one in kept})
    return "\n\n".join(
        [*parts, f"Run on {' and '.join(dates)}; which clauses: [{KEPT.name}]({KEPT.name})."]
    )


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "not run"
    held = entry["looked at"] - len(entry["do not hold"])
    rest = entry["did not run"]
    return f"{held} of {entry['looked at']}" + (f", {rest} did not run" if rest else "")


def main(wanted: list[str]) -> None:
    """Run what is named, or everything, and write the page."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("saver", "store"):
            for name in KINDS:
                if wanted and f"{kind}:{name}" not in wanted:
                    continue
                one = run(kind, name, Path(folder))
                same = (one["kind"], one["name"])
                kept = [each for each in kept if (each["kind"], each["name"]) != same] + [one]
                KEPT.write_text(json.dumps(kept, indent=1) + "\n")
                print(f"{datetime.now(timezone.utc):%H:%M:%S} {kind} {name}", flush=True)  # noqa: T201
    write(kept)


def write(kept: list[dict[str, Any]]) -> None:
    """Put the section into the page."""
    PAGE.write_text(section(PAGE.read_text(encoding="utf-8"), "peers", told(kept)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
