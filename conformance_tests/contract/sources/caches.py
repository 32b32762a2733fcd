"""Clauses about caches whose rules come from LangGraph, with citations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_AGREE = "BaseCache; InMemoryCache and SqliteCache agree"
_NAMES = "BaseCache: a FullKey is a tuple of labels, and a key; InMemoryCache"
_CLEAR = "BaseCache.clear: the given namespaces, or all"
_POLICY = "CachePolicy.ttl: seconds; None: never expires"
_GUIDE = "documentation, graph API and functional API: caching"

CACHES: Final[Mapping[str, str]] = {
    "cache.entries.come_back": _AGREE,
    "cache.entries.absent_ones_are_left_out": _AGREE,
    "cache.entries.are_replaced": _AGREE,
    "cache.entries.many_at_once": _AGREE,
    "cache.entries.are_copies": _AGREE,
    "cache.entries.of_other_opens": "BaseCache; documentation: caches outlive a run",
    "cache.namespaces.are_kept_apart": _NAMES,
    "cache.namespaces.no_separator_joins_two": _NAMES,
    "cache.namespaces.clear_all": _CLEAR,
    "cache.namespaces.clear_exactly_those": _CLEAR,
    "cache.namespaces.clear_the_empty_one": _CLEAR,
    "cache.namespaces.clear_none_of_them": f"{_CLEAR}; InMemoryCache",
    "cache.namespaces.are_no_patterns": _CLEAR,
    "cache.ttl.has_passed": _POLICY,
    "cache.ttl.none_is_for_ever": _POLICY,
    "cache.ttl.is_that_of_the_last_set": f"{_POLICY}; InMemoryCache",
    "cache.graphs.a_cached_node_is_not_run_again": _GUIDE,
    "cache.graphs.a_cached_task_is_not_run_again": _GUIDE,
    "cache.graphs.until_the_ttl_has_passed": f"{_GUIDE}; {_POLICY}",
    "cache.graphs.nodes_do_not_share": _GUIDE,
    "cache.graphs.clear_the_cache_of_a_node": "Pregel.clear_cache",
    "cache.graphs.of_another_open": _GUIDE,
}
