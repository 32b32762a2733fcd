"""Sources of the stricter clauses: decisions of this project, by capability.

ADR n is a page of docs/adr. `SUITE` has the clauses whose source differs from their capability's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance_tests.contract.capabilities import Capability

_CACHES = "ADR 19: a cache may forget, never lie, and never fails a run"
_CHECKSUMS = "ADR 3: checksums"
_ENCRYPTED = "ADR 3: with encryption, no plaintext and no foreign value"
_DEFAULT = "ADR 4: a config without `checkpoint_ns`"
_OUTAGES = "ADR 4: an outage, a server that dies, a full disk, a missing right"
_RELIES = "ADR 4: a put never relies on what is not there"
_REMOVAL = "ADR 4: deletion and `copy_thread`"
_STORES = "ADR 8: stores, and where we differ from LangGraph's"
_WHOLE = "ADR 4: what a put or a batch that fails, or that is put again, leaves"

SUITE_BY_CAPABILITY: Final[Mapping[Capability, str]] = {
    **{capability: _STORES for capability in Capability if capability.value.startswith("store_")},
    **{capability: _CACHES for capability in Capability if capability.value.startswith("cache_")},
    Capability.STORE_FILTER_FIELDS: "ADR 14: declared fields have an index",
    Capability.PUT: "ADR 4: values by version",
    Capability.PUT_WRITES: _WHOLE,
    Capability.GET_TUPLE: "ADR 4: sends of old checkpoints (v < 4)",
    Capability.LIST: "ADR 4: `list`",
    Capability.FILTER: "ADR 4: a metadata filter",
    Capability.ALLOWLIST: "Base.with_allowlist: a clone shares what the saver has",
    Capability.HOSTILE_INPUT: "ADR 4: ids, namespaces and keys",
    Capability.DELETE_THREAD: _REMOVAL,
    Capability.DELETE_FOR_RUNS: _REMOVAL,
    Capability.COPY_THREAD: _REMOVAL,
    Capability.PRUNE: 'ADR 4: `prune("keep_latest")`',
    Capability.RETENTION: "ADR 21: retention policies",
    Capability.DELTA_HISTORY: "Base.get_delta_channel_history; ADR 1: round trips are counted",
    Capability.SETUP: "ADR 4: `setup`",
    Capability.BRIDGE: "ADR 4: a call in the other flavour",
    Capability.TTL: "ADR 4: time to live",
    Capability.THREADS: "ADR 4: `list_threads` and `stats`",
    Capability.FIND_THREADS: "ADR 20: threads are found by what their newest checkpoint says",
    Capability.STATS: "ADR 4: `list_threads` and `stats`",
    Capability.PERSISTENCE: "ADR 4: processes that share a database",
    Capability.PROCESSES: "ADR 4: processes that share a database",
    Capability.FIDELITY: "ADR 3: values are kept verbatim",
    Capability.ENCRYPTION: _ENCRYPTED,
    Capability.OWN_ENCRYPTION: _ENCRYPTED,
    Capability.SHARING: "ADR 2: segments",
    Capability.INTEGRITY: _CHECKSUMS,
    Capability.RECORD_INTEGRITY: _CHECKSUMS,
    Capability.RECORD_IDENTITY: _CHECKSUMS,
    Capability.UNREADABLE: "ADR 16: unreadable values",
    Capability.CONCURRENCY: "ADR 15: calls that are committed together",
    Capability.ROUND_TRIPS: "ADR 1: round trips are counted",
    Capability.UPSTREAM: "all 81 tests of langgraph-checkpoint-conformance 0.0.2",
    Capability.MODEL: "ADR 13: the reference saver is the model",
    **dict.fromkeys(
        (
            Capability.NETWORK,
            Capability.SERVER_DEATH,
            Capability.DISK_FULL,
            Capability.PERMISSIONS,
            Capability.STORE_NETWORK,
            Capability.STORE_SERVER_DEATH,
            Capability.STORE_DISK_FULL,
            Capability.STORE_PERMISSIONS,
        ),
        _OUTAGES,
    ),
}
"""Capability -> the source of its clauses, unless `SUITE` below has another."""

SUITE: Final[Mapping[str, str]] = {
    "saver.put.namespace_defaults_to_the_root": _DEFAULT,
    "saver.put.next_version": "ADR 4: versions of channels",
    "saver.put.failed_put_leaves_nothing": _WHOLE,
    "saver.put.value_of_an_unchanged_channel_is_not_stored_again": "ADR 2: segments",
    "saver.put_writes.namespace_defaults_to_the_root": _DEFAULT,
    "saver.put_writes.list_shows_the_same_writes": "ADR 4: `list`",
    "saver.put_writes.the_first_wins_across_savers": "ADR 4: processes that share a database",
    "saver.delete_thread.a_run_under_way_puts_whole_checkpoints": _RELIES,
    "saver.persistence.what_others_deleted_is_stored_again": _RELIES,
    "saver.persistence.thread_that_was_deleted_and_written_by_another": _RELIES,
    "saver.delete_thread.of_unreadable_values": "ADR 16: unreadable values",
    "saver.prune.unreadable_values": "ADR 16: unreadable values",
    "saver.prune.finds_delta_channels_beside_unreadable_metadata": "ADR 16: unreadable values",
    "saver.prune.writes_of_a_checkpoint_to_come_survive": (
        "ADR 4: writes that came before their checkpoint"
    ),
    "saver.prune.of_the_parent_of_a_run_under_way": _RELIES,
    "saver.delta_history.missing_ancestor_ends_the_walk": "ADR 4: a walk to the ancestors",
    "saver.delta_history.of_a_ring_ends": "ADR 4: a walk to the ancestors",
    "saver.concurrency.cancelled_calls": "ADR 4: a call that is interrupted or cancelled",
    "saver.concurrency.a_cancelled_put_is_not_stored_later": (
        "ADR 4: a call that is interrupted or cancelled"
    ),
    "saver.concurrency.two_savers_on_one_thread": "ADR 4: processes that share a database",
    "saver.concurrency.deletion_against_puts": _REMOVAL,
    "saver.put.again_replaces_the_parent": "InMemorySaver; LangGraph's PostgresSaver keeps the old",
    "saver.put.again_replaces_a_value_of_the_same_version": (
        "ADR 4: a value put again under the same version"
    ),
    "saver.put.versions_keep_their_type": "ADR 4: versions of channels",
    "saver.put_writes.mixed_batch_is_judged_write_by_write": (
        "InMemorySaver; LangGraph's SQL savers judge the batch as a whole"
    ),
    "saver.put_writes.the_same_special_channel_twice_in_a_batch": (
        "InMemorySaver; LangGraph's SQL savers judge the batch as a whole"
    ),
    "saver.fidelity.unusual_values_survive": "InMemorySaver; ADR 3: values are kept verbatim",
    "saver.delta_history.none_is_a_seed": (
        "Base.get_delta_channel_history, InMemorySaver; LangGraph discusses it in its issue 8686"
    ),
    "graph.prune.keeps_what_rebuilds_the_value": 'ADR 4: `prune("keep_latest")`',
}
