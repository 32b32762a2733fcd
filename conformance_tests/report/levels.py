"""What a backend may say of itself. No level is called whole that misses something."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from conformance_tests.contract.capabilities import Capability


@dataclass(frozen=True)
class Level:
    """Capabilities that belong together, named by what they are good for."""

    name: str
    needs: frozenset[str]

    def missing(self, held: Collection[str]) -> list[str]:
        """The capabilities that the level needs besides those that are held, or do not apply."""
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
        Capability.STATS,
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
"""By contract. Each of its capabilities is in exactly one level."""

COMPLETE: Final = "complete"
"""Every clause that applies ran and passed, sync and async, and no gap is declared."""


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
    """One line that claims no more than was seen.

    Args:
        ran: How many clauses ran.
        chosen: Whether only some clauses were asked for.
        failed: Capabilities with a clause that failed.
        gaps: Capabilities declared missing.
        known: Capabilities with a clause that fails as the baseline says.
        not_offered: Capabilities that the backend does not offer.
        not_looked_at: Capabilities that the harness cannot look at.
        not_asked: Capabilities that do not apply where the backend has its data.
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
