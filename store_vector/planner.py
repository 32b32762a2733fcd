"""What a backend implements: one plan per kind of operation, and no I/O in it.

What reaches a planner is checked, grouped and embedded; what it gives back becomes LangGraph's
items. `now` is in epoch seconds. Reads of a batch are asked for before its puts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from checkpoint_base.plan import Plan
from store_vector.namespaces import NamespaceQuery
from store_vector.records import Found, Put, Read, Record, Search, StoreStats


class StorePlanner(Protocol):
    """The operations of a store."""

    def setup(self, drop_undeclared: bool = False) -> Plan[None]:
        """Create or migrate the schema, safely from many processes at once, and an index for each
        declared field, over the items that are there; remove those of other fields only if
        `drop_undeclared`.
        """

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        """The items of `reads`, in their order, all in one request.

        No item is asked for twice. Where `refresh` is set and the item has a ttl, its expiry
        becomes now + ttl.
        """

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        """The items found: in order, those left out by `offset` left out, at most `limit`.

        Without a vector: newest `updated_at` first, then by (ns, key). With one: only items that
        have vectors of its length; by the score of the best of them, then by (ns, key).
        `search.filter` decides what matches, whatever the database pre-selects, and
        `search.near_enough` what of it has the score that is wanted. Refreshes what is
        given, as `get` does.
        """

    def namespaces(self, query: NamespaceQuery, now: float) -> Plan[Iterable[str]]:
        """The texts of at least all namespaces within `query.bounds` that have an item that is
        shown, once or several times each, in any order. A planner that knows better may cut and
        count as well: `query.select` is applied to what it gives, so it must then give what
        `select` keeps.
        """

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        """Put and delete: one transaction, few requests. No item twice.

        `created_at` and `updated_at` of a new item are `now`; of one that is there (and shown),
        `created_at` stays.
        """

    def sweep(self, now: float) -> Plan[int]:
        """Remove the items with `expires_at <= now`; returns how many those were."""

    def stats(self) -> Plan[StoreStats]:
        """Count what is stored."""
