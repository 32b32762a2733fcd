"""Clauses about stores whose rules come from LangGraph, with citations.

Operations are those of `langgraph.store.base`, with their docstrings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_BATCH = "BaseStore.batch: results in the order of the operations"
_THREE = "InMemoryStore, SqliteStore and PostgresStore agree"
_PREFIX = "SearchOp.namespace_prefix: the prefix of a path of labels"
_NAMESPACES = "ListNamespacesOp and MatchCondition"
_NAMES = "PutOp: namespace and key form the path to one item"
_EMPTY = "BaseStore.get: None; SearchOp: items within the prefix"

STORES: Final[Mapping[str, str]] = {
    "store.items.put_and_get": "BaseStore.put, BaseStore.get",
    "store.items.none_there": _NAMES,
    "store.items.an_update_replaces_the_value": "PutOp: storing or updating an item; InMemoryStore",
    "store.items.created_at_survives_an_update": (
        "Item.created_at: of the item's creation; LangGraph's issue 8340: InMemoryStore forgets it"
    ),
    "store.items.delete_what_is_not_there": "PutOp.value: None deletes; InMemoryStore",
    "store.items.of_other_opens": "documentation, memory: a store outlives its process",
    "store.items.json_values_come_back": "PutOp.value: string keys and JSON-serializable values",
    "store.items.keys_need_not_be_strings": "BaseStore.put: the key as text",
    "store.items.an_empty_value": "PutOp.value: only None deletes",
    "store.items.large": _THREE,
    "store.items.on_an_empty_store": _EMPTY,
    "store.batch.results_in_order": _BATCH,
    "store.batch.reads_see_the_state_before": _THREE,
    "store.batch.the_last_put_wins": _THREE,
    "store.batch.large": _BATCH,
    "store.batch.empty": _BATCH,
    "store.search.prefixes_match_whole_labels": _PREFIX,
    "store.search.default_limit": "SearchOp.limit: 10",
    "store.search.pages_make_up_the_whole": "SearchOp.offset: items to skip for pagination",
    "store.search.have_no_score": "SearchItem.score: only of a ranked operation",
    "store.search.a_query_without_an_index": (
        f"BaseStore: without an index, `index` has no effect; {_THREE}"
    ),
    "store.search.on_an_empty_store": _EMPTY,
    "store.filter.as_documented": (
        "SearchOp.filter: exact matches and the six operators; LangGraph's issue 7684: "
        "PostgresStore compares numbers as text"
    ),
    "store.namespaces.what_is_listed": _NAMESPACES,
    "store.namespaces.several_conditions": f"{_NAMESPACES}: prefix and suffix together",
    "store.namespaces.many": f"{_NAMESPACES}: limit and offset",
    "store.meaning.best_first": "SearchOp.query; SearchItem.score",
    "store.meaning.two_stores_see_each_other": "documentation, memory: semantic search",
    "store.embedding.async_functions": "IndexConfig.embed: an AEmbeddingsFunc",
    "store.hostile_input.hostile_labels": _NAMES,
    "store.hostile_input.hostile_keys": _NAMES,
    "store.hostile_input.hostile_queries": "SearchOp.query: natural language",
    "store.life.provider_strings": "IndexConfig.embed: a provider string; ensure_embeddings",
}
