"""One package under the suite: which clauses hold, which do not, and which did not end."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from conformance_tests.command.main import main
from conformance_tests.contract.verdicts import FAILED, NOT_LOOKED_AT, NOT_OFFERED

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
SECONDS: Final = "10"
"""A case that takes longer counts as one that does not hold."""
BESIDE: Final = {
    "langgraph-checkpoint-sqlite": ("sqlite-vec",),
    "langgraph-checkpoint-postgres": ("psycopg",),
    "langgraph-checkpoint-redis": ("redis", "redisvl"),
    "langgraph-checkpoint-plainredis": ("redis",),
    "langgraph-checkpoint-mongodb": ("pymongo", "SecantusDB"),
    "langgraph-store-mongodb": ("pymongo", "SecantusDB"),
}
"""What a package works with, whose versions are told as well."""
ENDLESS: Final = ("it did not end within", "lines of Python, and no end")


def run(kind: str, name: str, profile: str, folder: Path) -> dict[str, Any]:
    """One package, by the command that its authors have: it ends each clause.

    Raises:
        RuntimeError: It could not be opened, or was interrupted: not all that was asked for ran.
    """
    path = folder / f"{kind}-{name}-{profile}.json"
    only = [part for capability in LOOKED_AT[kind] for part in ("--only", capability)]
    limits = ("--clause-timeout", SECONDS, "--profile", profile)
    main(["run", f"{HERE}.{kind}s:{name}", *only, *limits, "--json", str(path)])
    told = json.loads(path.read_text())
    if told["error"]:
        raise RuntimeError(told["error"])
    (contract,) = told["contracts"]
    return {
        "kind": kind,
        "name": contract["harness"],
        "profile": profile,
        "version": contract["server"],
        "date": told["date"],
        "with": {**told["versions"], **_versions(contract["server"].split()[0])},
        "capabilities": summary(contract["clauses"]),
    }


def _versions(package: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in BESIDE.get(package, ())}


def summary(clauses: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By capability: how many clauses were looked at, and the ids of those that do not hold, that
    did not end, that are not offered and that could not be looked at.
    """
    found: dict[str, dict[str, Any]] = {}
    for clause in clauses:
        names = ("do not hold", "did not end", "not offered", "not looked at")
        entry = found.setdefault(
            clause["capability"], {"looked at": 0, **{name: [] for name in names}}
        )
        outcome = clause["outcome"]
        if outcome == NOT_OFFERED:
            entry["not offered"].append(clause["id"])
        elif outcome in (NOT_LOOKED_AT, None):
            entry["not looked at"].append(clause["id"])
        else:
            entry["looked at"] += 1
        if outcome == FAILED:
            entry["do not hold"].append(clause["id"])
            if any(words in case["message"] for case in clause["cases"] for words in ENDLESS):
                entry["did not end"].append(clause["id"])
    return found
