"""One package under the suite: which clauses hold, which do not, and which did not end."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from conformance_tests.run import offered

HERE: Final = "conformance_tests.tests.peers"
LOOKED_AT: Final = {
    "saver": [
        *["put", "put_writes", "get_tuple", "list", "filter", "allowlist"],
        *["fidelity", "hostile_input", "persistence", "concurrency"],
        *["delete_thread", "delete_for_runs", "prune"],
        *["copy_thread", "delta_history", "encryption"],
    ],
    "store": [
        *["store_items", "store_batch", "store_search", "store_namespaces", "store_graphs"],
        *["store_filter", "store_meaning", "store_hostile_input", "store_concurrency"],
    ],
}
"""By levels; without those that need a clock, a kill, or methods that are this project's own, and
without LangGraph's own suite, which says of each package what it tests."""
ALONE: Final = "of_a_ring_ends"
"""Where checkpoints are each other's parent the base class walks for ever."""
PER_CASE, PER_CLAUSE, PER_CAPABILITY = 10, 40, 240  # seconds
BESIDE: Final = {
    "langgraph-checkpoint-sqlite": ("sqlite-vec",),
    "langgraph-checkpoint-postgres": ("psycopg",),
    "langgraph-checkpoint-redis": ("redis", "redisvl"),
    "langgraph-checkpoint-plainredis": ("redis",),
    "langgraph-checkpoint-mongodb": ("pymongo", "SecantusDB"),
    "langgraph-store-mongodb": ("pymongo", "SecantusDB"),
}
"""What a package works with, whose versions are told as well."""
OPTIONAL: Final = ("delete_for_runs", "copy_thread", "prune")
NAMED: Final = ("do not hold", "did not end", "not looked at")
Clauses = list[dict[str, Any]]


def run(kind: str, name: str, folder: Path, *only: str) -> dict[str, Any]:
    """One package: a process for each capability, for one may take the whole process with it."""
    clauses: Clauses = []
    package: dict[str, Any] = {}
    for capability in only or LOOKED_AT[kind]:
        for each in _capability(kind, name, capability, folder):
            package = each
            clauses += each["contracts"][0]["clauses"]
    (contract,) = package["contracts"]
    return {
        "kind": kind,
        "name": contract["harness"],
        "version": contract["server"],
        "date": package["date"],
        "with": {**package["versions"], **_versions(contract["server"].split()[0])},
        "capabilities": summary(clauses),
    }


def _capability(kind: str, name: str, capability: str, folder: Path) -> Iterable[dict[str, Any]]:
    """The reports of all its clauses: together, or one by one if together they do not end."""
    whole = _pytest(kind, name, capability, folder, PER_CAPABILITY, "-k", f"not {ALONE}")
    ids = [one.id for one in offered(kind) if one.capability.value == capability]
    if whole is not None:
        # a clause without cases was left out, or never reached: it is run alone
        (contract,) = whole["contracts"]
        contract["clauses"] = [clause for clause in contract["clauses"] if clause["cases"]]
        seen = {clause["id"] for clause in contract["clauses"]}
        ids = [one for one in ids if one not in seen]
        yield whole
    for one in ids:
        found = _pytest(kind, name, one, folder, PER_CLAUSE)
        yield found or _endless(kind, name, one, capability)


def _endless(kind: str, name: str, clause_id: str, capability: str) -> dict[str, Any]:
    """What is said of a clause whose process had to be killed."""
    harness = getattr(__import__(f"{HERE}.{kind}s", fromlist=[name]), name)
    case = {"outcome": "failed", "message": "did not end"}
    clause = {"id": clause_id, "capability": capability, "cases": [case]}
    return {
        "date": "",
        "versions": {},
        "contracts": [
            {
                "harness": harness.name,
                "server": f"{harness.package} {importlib.metadata.version(harness.package)}",
                "clauses": [clause],
            }
        ],
    }


def _pytest(
    kind: str, name: str, only: str, folder: Path, seconds: float, *more: str
) -> dict[str, Any] | None:
    """The report of a run; None if it had to be killed before there was one."""
    report = folder / f"{kind}-{name}-{only}.json"
    command = [sys.executable, "-m", "pytest", "--pyargs", "conformance_tests.test_contract", "-q"]
    command += ["-p", "conformance_tests.plugin", "-p", "no:cacheprovider", "--noconftest"]
    command += ["-c", os.devnull, "--rootdir", str(folder), "-p", "no:langsmith_plugin"]
    command += [f"--timeout={PER_CASE}", "--timeout-method=signal", *more]
    command += [f"--{kind}", f"{HERE}.{kind}s:{name}", f"--conformance-json={report}"]
    command += ["--only", only, "--profile", "suite"]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:  # threads that wait for each other do not end
            os.killpg(process.pid, signal.SIGKILL)  # with the servers that it started
            process.wait()
    if not report.exists():
        return None
    told: dict[str, Any] = json.loads(report.read_text())
    return told


def _versions(package: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in BESIDE.get(package, ())}


def summary(clauses: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By capability: how many clauses were looked at, which do not hold, which could not run.

    An optional method that raises `NotImplementedError`, and holds in no clause, is not offered.
    """
    refused: defaultdict[str, bool] = defaultdict(bool)
    found: dict[str, dict[str, Any]] = {}
    for clause in clauses:
        entry = found.setdefault(
            clause["capability"],
            {"looked at": 0, "offered": False, **{name: [] for name in NAMED}},
        )
        failed = [case for case in clause["cases"] if case["outcome"] == "failed"]
        cannot_look = [case for case in failed if "LookupError" in case["message"]]
        if not clause["cases"] or (failed and failed == cannot_look):
            entry["not looked at"].append(clause["id"])
            continue
        entry["looked at"] += 1
        entry["offered"] |= not failed
        refused[clause["capability"]] |= any(
            "NotImplementedError" in each["message"] for each in failed
        )
        if failed:
            entry["do not hold"].append(clause["id"])
        if any(case["message"] == "did not end" for case in failed):
            entry["did not end"].append(clause["id"])
    for name, entry in found.items():
        entry["offered"] |= name not in OPTIONAL or not refused[name]
    return found
