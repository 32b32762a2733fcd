"""`StorePlanner`, the interface that a store's backend implements: a plan per kind of operation.

Plans do no I/O. Arguments are already validated, grouped and embedded; the shell converts results
to LangGraph's items. `now` is in epoch seconds. A batch runs its reads before its puts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from checkpoint_base.plan import Plan
from store_vector.namespaces import NamespaceQuery
from store_vector.records import Found, Put, Read, Record, Search, StoreStats


class StorePlanner(Protocol):
    """The operations of a store on one backend."""

    def setup(self, drop_undeclared: bool = False) -> Plan[None]:
        """Create or migrate the schema and the index of each declared field, which covers existing
        items. Many processes may call it at once. Indexes of undeclared fields are removed only if
        `drop_undeclared`.
        """

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        """Read items in one request, in the order of `reads`; None for an absent item.

        `reads` has no duplicates. Where `refresh` is set and the item has a TTL, its expiry becomes
        now + TTL.
        """

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        """Search items; skip `offset` of them and return at most `limit`.

        Without a vector: newest `updated_at` first, then by (ns, key). With a vector: only items
        that have vectors of the same length, by the score of their best vector, then by (ns, key).
        The database may pre-select, but `search.filter` and `search.near_enough` make the final
        decision. Refreshes the expiry of the returned items, as `get` does.
        """

    def namespaces(self, query: NamespaceQuery, now: float) -> Plan[Iterable[str]]:
        """The encoded namespaces within `query.bounds` that have an item visible at `now`.

        The result may contain duplicates and other namespaces, in any order: the shell applies
        `query.select` to it. A planner may truncate and paginate in the database, if
        `query.select` then leaves the result as it is.
        """

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        """Put and delete items in one transaction and few requests. `puts` has no duplicates.

        A new item's `created_at` and `updated_at` are `now`. An existing, visible item keeps its
        `created_at`.
        """

    def sweep(self, now: float) -> Plan[int]:
        """Delete the items with `expires_at <= now`, and return their number."""

    def stats(self) -> Plan[StoreStats]:
        """Count what is stored."""
