"""Conformance levels (groups of capabilities) and the verdict of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from conformance_tests.contract.capabilities import Capability


@dataclass(frozen=True)
class Level:
    """A group of capabilities, named by its purpose."""

    name: str
    needs: frozenset[str]

    def missing(self, held: Collection[str]) -> list[str]:
        """The capabilities of the level that are not in `held`."""
        return sorted(self.needs - set(held))


def _level(name: str, *capabilities: Capability) -> Level:
    return Level(name, frozenset(capability.value for capability in capabilities))


SAVER_LEVELS: Final = (
    _level(
        "runs graphs",
        Capability.PUT,
        Capability.PUT_WRITES,
        Capability.GET_TUPLE,
        Capability.LIST,
        Capability.FILTER,
        Capability.ALLOWLIST,
    ),
    _level(
        "keeps what it is given",
        Capability.FIDELITY,
        Capability.INTEGRITY,
        Capability.RECORD_INTEGRITY,
        Capability.RECORD_IDENTITY,
        Capability.UNREADABLE,
        Capability.HOSTILE_INPUT,
        Capability.PERSISTENCE,
        Capability.SETUP,
        Capability.MODEL,
    ),
    _level("is shared by workers", Capability.CONCURRENCY, Capability.PROCESSES, Capability.BRIDGE),
    _level(
        "stands outages",
        Capability.NETWORK,
        Capability.SERVER_DEATH,
        Capability.DISK_FULL,
        Capability.PERMISSIONS,
    ),
    _level(
        "forgets when told to",
        Capability.DELETE_THREAD,
        Capability.DELETE_FOR_RUNS,
        Capability.PRUNE,
        Capability.TTL,
    ),
    _level(
        "serves every feature of LangGraph",
        Capability.COPY_THREAD,
        Capability.DELTA_HISTORY,
        Capability.UPSTREAM,
    ),
    _level(
        "can be run for years",
        Capability.ENCRYPTION,
        Capability.OWN_ENCRYPTION,
        Capability.SHARING,
        Capability.THREADS,
        Capability.FIND_THREADS,
        Capability.STATS,
        Capability.RETENTION,
        Capability.ROUND_TRIPS,
    ),
)

STORE_LEVELS: Final = (
    _level(
        "remembers",
        Capability.STORE_ITEMS,
        Capability.STORE_BATCH,
        Capability.STORE_SEARCH,
        Capability.STORE_NAMESPACES,
        Capability.STORE_GRAPHS,
    ),
    _level("finds by value", Capability.STORE_FILTER, Capability.STORE_FILTER_FIELDS),
    _level("finds by meaning", Capability.STORE_MEANING),
    _level("keeps names apart", Capability.STORE_HOSTILE_INPUT, Capability.STORE_MODEL),
    _level(
        "is shared by workers",
        Capability.STORE_CONCURRENCY,
        Capability.STORE_PROCESSES,
        Capability.STORE_LIFE,
    ),
    _level("forgets in time", Capability.STORE_TTL),
    _level(
        "stands outages",
        Capability.STORE_NETWORK,
        Capability.STORE_SERVER_DEATH,
        Capability.STORE_DISK_FULL,
        Capability.STORE_PERMISSIONS,
    ),
)

CACHE_LEVELS: Final = (
    _level("spares work", Capability.CACHE_ENTRIES, Capability.CACHE_GRAPHS),
    _level("never lies", Capability.CACHE_NAMESPACES, Capability.CACHE_FAILURES),
    _level("forgets in time", Capability.CACHE_TTL, Capability.CACHE_SIZE),
    _level("is shared by workers", Capability.CACHE_LOOP, Capability.CACHE_PROCESSES),
    _level("stands outages", Capability.CACHE_OUTAGES),
)

LEVELS: Final[Mapping[str, tuple[Level, ...]]] = {
    "saver": SAVER_LEVELS,
    "store": STORE_LEVELS,
    "cache": CACHE_LEVELS,
}
"""Contract -> levels. Each capability is in exactly one level."""

COMPLETE: Final = "complete"
"""The verdict if all clauses that apply ran and passed, sync and async, without declared gaps."""


def verdict(
    *,
    ran: int,
    chosen: bool,
    failed: Collection[str],
    gaps: Collection[str],
    known: Collection[str] = (),
    not_offered: Collection[str] = (),
    not_looked_at: Collection[str] = (),
    not_asked: Collection[str] = (),
) -> str:
    """The verdict in one line. It claims no more than the clauses that ran have shown.

    Args:
        ran: Number of clauses that ran.
        chosen: Whether only some clauses were selected.
        failed: Capabilities with a failed clause.
        gaps: Capabilities with a declared gap.
        known: Capabilities with a failure that is in the baseline.
        not_offered: Capabilities that the backend does not implement.
        not_looked_at: Capabilities that the harness cannot check.
        not_asked: Capabilities that do not apply to the backend's `Place`.
    """
    if not ran:
        return "nothing ran, so nothing is known"
    if failed:
        return f"does not conform: {', '.join(sorted(failed))}"
    if chosen:
        besides = f", but for known failures: {', '.join(sorted(known))}" if known else ""
        return f"the {ran} chosen clauses hold{besides}; the others did not run"
    missing = (
        ("known failures", known),
        ("without", gaps),
        ("not offered", not_offered),
        ("not looked at", not_looked_at),
    )
    lacks = [f"{word}: {', '.join(sorted(names))}" for word, names in missing if names]
    rest = f"; does not apply: {', '.join(sorted(not_asked))}" if not_asked else ""
    return (f"conforms, {'; '.join(lacks)}" if lacks else COMPLETE) + rest
