"""The cache planner protocol that each backend implements. `now` is in epoch seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypedDict

from checkpoint_base.cache.entries import CacheEntry
from checkpoint_base.plan import Plan


class CacheStats(TypedDict):
    """The result of `stats`; `bytes` is the total that `max_bytes` limits."""

    backend: str
    server: str
    entries: int
    bytes: int


class CachePlanner(Protocol):
    """The operations of a cache, as plans."""

    def setup(self) -> Plan[None]:
        """Create or migrate the schema, safely from many processes at once."""

    def get(self, ids: Sequence[str], now: float) -> Plan[list[CacheEntry]]:
        """The entries with these ids that exist and have not expired: one request."""

    def put(self, entries: Sequence[CacheEntry], now: float) -> Plan[None]:
        """Store entries, replacing those with the same ids: one request. Ids must be distinct."""

    def delete(self, ids: Sequence[str]) -> Plan[None]:
        """Remove the entries with these ids, if they exist."""

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        """Remove the entries of these namespaces; None: all entries."""

    def sweep(self, now: float) -> Plan[int]:
        """Remove the entries with `expires_at <= now`; returns their number."""

    def trim(self, max_bytes: int) -> Plan[int]:
        """Remove the oldest-stored entries until at most `max_bytes` of data remain; returns the
        number of removed entries.
        """

    def stats(self) -> Plan[CacheStats]:
        """Count what is stored."""
