"""What a backend implements for its cache: plans without I/O. `now` is in epoch seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypedDict

from checkpoint_base.cache.entries import CacheEntry
from checkpoint_base.plan import Plan


class CacheStats(TypedDict):
    """What `stats` counts; `bytes` is what `max_bytes` limits."""

    backend: str
    server: str
    entries: int
    bytes: int


class CachePlanner(Protocol):
    """The operations of a cache."""

    def setup(self) -> Plan[None]:
        """Create or migrate the schema, safely from many processes at once."""

    def get(self, ids: Sequence[str], now: float) -> Plan[list[CacheEntry]]:
        """Those entries of `ids` that are there and have not expired: one request."""

    def put(self, entries: Sequence[CacheEntry], now: float) -> Plan[None]:
        """Store entries, in place of those with the same ids: one request. No id twice."""

    def delete(self, ids: Sequence[str]) -> Plan[None]:
        """Remove entries, if they are there."""

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        """Remove the entries of namespaces, or all."""

    def sweep(self, now: float) -> Plan[int]:
        """Remove the entries with `expires_at <= now`; returns how many those were."""

    def trim(self, max_bytes: int) -> Plan[int]:
        """Remove the entries that were stored longest ago, until the others' data has at most so
        many bytes; returns how many were removed.
        """

    def stats(self) -> Plan[CacheStats]:
        """Count what is stored."""
