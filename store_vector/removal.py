"""Removing all items under a namespace, some at a time."""

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
    """Delete what is in a namespace and under it, also what has expired; how many items those are.

    Each step is a search and a batch of deletes, so that no transaction is long. What others put
    meanwhile may be deleted or stay.

    Args:
        planner: the backend.
        prefix: the namespace.
        now: epoch seconds.
        dry_run: only count.

    Raises:
        InvalidArgumentError: `prefix` is no namespace, or empty, which is under all.
    """
    ns = encode(prefix)
    if not ns:
        raise InvalidArgumentError("prefix: wanted a namespace of at least one label, got ()")
    search = Search(ns, NO_FILTER, _AT_ONCE, 0, refresh=False)
    count = 0
    while True:
        found = yield from planner.search(search, 0.0)  # when nothing had expired yet
        count += len(found)
        if dry_run:
            search = search._replace(offset=count)
        elif found:
            yield from planner.put([Put(*one.record.name, None) for one in found], now)
        if len(found) < _AT_ONCE:
            return count
