"""Deletion of all items under a namespace, in batches."""

from __future__ import annotations

from typing import Any, Final

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan
from store_vector.filters.operators import NO_FILTER
from store_vector.namespaces import encode
from store_vector.planner import StorePlanner
from store_vector.records import Put, Search

_AT_ONCE: Final = 500


def remove_namespace(planner: StorePlanner, prefix: Any, now: float, *, dry_run: bool) -> Plan[int]:
    """Delete the items of a namespace and its descendants, including expired items.

    Each step is a search and a batch of deletes, which keeps transactions short. Items that other
    writers put meanwhile may be deleted or stay.

    Args:
        planner: the backend.
        prefix: the namespace.
        now: epoch seconds.
        dry_run: count the items, delete none.

    Returns:
        The number of items deleted, or that would be.

    Raises:
        InvalidArgumentError: `prefix` is not a namespace, or empty, which would match all items.
    """
    ns = encode(prefix)
    if not ns:
        raise InvalidArgumentError("prefix: wanted a namespace of at least one label, got ()")
    search = Search(ns, NO_FILTER, _AT_ONCE, 0, refresh=False)
    count = 0
    while True:
        found = yield from planner.search(search, 0.0)  # at time 0, so that no item is expired
        count += len(found)
        if dry_run:
            search = search._replace(offset=count)
        elif found:
            yield from planner.put([Put(*one.record.name, None) for one in found], now)
        if len(found) < _AT_ONCE:
            return count
