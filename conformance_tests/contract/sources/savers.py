"""Clauses about savers whose rules come from LangGraph, with citations.

`Base` cites the docstring of a method of `langgraph.checkpoint.base.BaseCheckpointSaver`,
`official` a test of langgraph-checkpoint-conformance 0.0.2, `InMemorySaver` the behaviour of
LangGraph's own saver, on which graphs are developed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SORT = "Base.get_tuple: `pending_writes` are in `writes_sort_key` order"
_HISTORY = "Base.get_delta_channel_history: the return contract is fixed there"
_PARALLEL = "InMemorySaver; Pregel stores the writes of a step's tasks from a pool of threads"
_SQL = "InMemorySaver, SqliteSaver and PostgresSaver agree"
_REOPENED = "documentation, persistence: a thread goes on from its checkpoints in a new process"

SAVERS: Final[Mapping[str, str]] = {
    "saver.put.returns_the_config_of_the_checkpoint": (
        "Base.put: the updated configuration; official put_returns_config"
    ),
    "saver.put.reads_back_as_from_in_memory_saver": "InMemorySaver; official put_roundtrip",
    "saver.put.body_entries_of_a_newer_langgraph_survive": "InMemorySaver keeps the body as it is",
    "saver.put.parent_is_the_checkpoint_of_the_config": "official put_parent_config",
    "saver.put.no_parent": "official get_tuple_parent_config; InMemorySaver takes '' for None",
    "saver.put.namespaces_are_apart": "official put_child_namespace, get_tuple_respects_namespace",
    "saver.put.unchanged_channel_is_still_there": "official put_incremental_channel_update",
    "saver.put.dropped_channel_is_gone": "official put_channel_removed",
    "saver.put.emptied_channel_has_a_version_and_no_value": (
        "InMemorySaver stores a new version without a value as empty"
    ),
    "saver.put.none_is_a_value": "official put_preserves_channel_values",
    "saver.put.checkpoint_without_channels": "InMemorySaver",
    "saver.put.earlier_checkpoints_keep_their_values": (
        "official put_multiple_checkpoints_same_thread; documentation, time travel"
    ),
    "saver.put.forks_do_not_share_a_version": "InMemorySaver; documentation, time travel",
    "saver.put.the_latest_is_the_highest_id_not_the_last_put": "InMemorySaver: max of the ids",
    "saver.put.again_changes_nothing": _SQL,
    "saver.put.again_replaces": _SQL,
    "saver.put.again_keeps_the_pending_writes": _SQL,
    "saver.put.versions_of_any_type_load_their_values": (
        "Base.get_next_version: versions are str, int or float"
    ),
    "saver.put.next_version_is_greater": "Base.get_next_version: monotonically increasing",
    "saver.put.arguments_are_not_changed_and_not_kept": "InMemorySaver serializes at once",
    "saver.put.many_channels": _SQL,
    "saver.put.megabytes": _SQL,
    "saver.put.metadata_is_merged_as_langgraph_merges_it": (
        "langgraph.checkpoint.base.get_checkpoint_metadata"
    ),
    "saver.put_writes.order_is_path_then_task_then_index": _SORT,
    "saver.put_writes.indexes_sort_as_numbers": _SORT,
    "saver.put_writes.special_writes_come_first_in_their_order": (
        f"{_SORT}; WRITES_IDX_MAP: each saver should use this mapping"
    ),
    "saver.put_writes.regular_writes_the_first_wins": "official put_writes_idempotent",
    "saver.put_writes.the_first_wins_by_index_whatever_the_channel": _SQL,
    "saver.put_writes.special_writes_the_last_wins": _SQL,
    "saver.put_writes.special_writes_use_up_no_index": (
        "WRITES_IDX_MAP: special writes do not conflict with regular ones"
    ),
    "saver.put_writes.the_same_channel_twice_in_a_batch": (
        "official put_writes_multiple_writes_same_task"
    ),
    "saver.put_writes.a_longer_batch_adds_what_is_new": _SQL,
    "saver.put_writes.tasks_do_not_replace_each_other": "official put_writes_multiple_tasks",
    "saver.put_writes.empty_list_is_nothing": _SQL,
    "saver.put_writes.before_their_checkpoint": (
        f"{_SQL}; Pregel saves checkpoints in the background"
    ),
    "saver.put_writes.belong_to_one_checkpoint_of_one_namespace": (
        "official put_writes_across_namespaces, put_writes_cleared_on_next_checkpoint"
    ),
    "saver.put_writes.values_of_writes": "official put_writes_preserves_channel_and_value",
    "saver.put_writes.without_checkpoint_id_are_refused": (
        "InMemorySaver, SqliteSaver and PostgresSaver raise KeyError"
    ),
    "saver.get_tuple.absent_is_none": "official get_tuple_nonexistent_returns_none",
    "saver.get_tuple.latest_without_an_id": "official get_tuple_latest_when_no_checkpoint_id",
    "saver.get_tuple.named_checkpoint": "official get_tuple_specific_checkpoint_id",
    "saver.get_tuple.config_names_the_checkpoint": "official get_tuple_config_structure",
    "saver.get_tuple.no_writes_is_an_empty_list": "InMemorySaver; Pregel iterates over them",
    "saver.get_tuple.list_gives_the_same_tuple": _SQL,
    "saver.get_tuple.get_returns_the_checkpoint": "Base.get",
    "saver.list.newest_first": "official list_ordering",
    "saver.list.order_is_that_of_ids_not_of_puts": "official list_ordering: descending ids",
    "saver.list.named_checkpoint": _SQL,
    "saver.list.absent_thread": "official list_empty_result",
    "saver.list.limit": "Base.list: the maximum number; official list_limit",
    "saver.list.before": "official list_before",
    "saver.list.before_need_not_exist": "InMemorySaver compares ids",
    "saver.list.pages_by_before_lose_and_repeat_nothing": "official list_limit_plus_before",
    "saver.list.long_histories_come_whole": "official list_all",
    "saver.list.parents_in_a_list": "InMemorySaver; documentation, time travel",
    "saver.filter.equality_under_every_key": "official list_metadata_filter_multiple_keys",
    "saver.filter.every_string_is_a_legal_value": _SQL,
    "saver.filter.limit_and_before_count_what_matches": "InMemorySaver filters first",
    "saver.filter.by_what_the_config_said": "langgraph.checkpoint.base.get_checkpoint_metadata",
    "saver.delete_thread.nothing_is_left": "Base.delete_thread: all checkpoints and writes",
    "saver.delete_thread.other_threads_stay": "official delete_thread_preserves_other_threads",
    "saver.delete_thread.unknown_thread_and_twice": "official delete_thread_nonexistent_noop",
    "saver.delete_thread.of_writes_only": "Base.delete_thread: all checkpoints and writes",
    "saver.delete_thread.begins_anew": "official delete_thread_removes_writes",
    "saver.delete_for_runs.the_runs_checkpoints_and_writes_go": (
        "official delete_for_runs_single, delete_for_runs_removes_writes"
    ),
    "saver.delete_for_runs.across_threads_and_namespaces": (
        "official delete_for_runs_across_namespaces"
    ),
    "saver.delete_for_runs.values_that_others_need_stay": (
        "official delete_for_runs_preserves_other_runs"
    ),
    "saver.delete_for_runs.no_runs_and_unknown_runs": (
        "official delete_for_runs_empty_list_noop, delete_for_runs_nonexistent_noop"
    ),
    "saver.delete_for_runs.twice": "official delete_for_runs_nonexistent_noop",
    "saver.delete_for_runs.many_runs": "official delete_for_runs_multiple",
    "saver.copy_thread.everything_is_copied": (
        "Base.copy_thread: the complete parent chain; official copy_thread_all_checkpoints"
    ),
    "saver.copy_thread.copy_and_source_are_independent": "official copy_thread_source_unchanged",
    "saver.copy_thread.delta_history_of_the_copy": (
        "Base.copy_thread: enough ancestors for every DeltaChannel"
    ),
    "saver.prune.keep_latest_keeps_the_newest_of_each_namespace": (
        "Base.prune; official prune_keep_latest_across_namespaces"
    ),
    "saver.prune.keep_latest_is_the_default": "Base.prune: the default of `strategy`",
    "saver.prune.delete_removes_the_threads": "Base.prune: 'delete' removes all checkpoints",
    "saver.prune.other_threads_stay": "official prune_preserves_other_threads",
    "saver.prune.nothing_to_prune": "official prune_empty_list_noop, prune_nonexistent_noop",
    "saver.prune.forks_keep_the_newest_only": (
        "Base.prune: only the most recent checkpoint per namespace"
    ),
    "saver.prune.run_goes_on_after_pruning": "official prune_keep_latest_single_thread",
    "saver.prune.delete_removes_delta_threads_too": "Base.prune: 'delete' removes all checkpoints",
    "saver.delta_history.as_the_base_class_walks": _HISTORY,
    "saver.delta_history.seed_is_the_nearest_stored_value": _HISTORY,
    "saver.delta_history.no_seed_key_when_there_is_none": (
        "Base.get_delta_channel_history: without a stored value `seed` is omitted"
    ),
    "saver.delta_history.a_value_of_the_target_is_no_seed": _HISTORY,
    "saver.delta_history.parents_only_not_time_order": (
        "Base.get_delta_channel_history: the parent chain, not `list(before=...)`"
    ),
    "saver.delta_history.order_inside_a_step": (
        "Base.get_delta_channel_history: in `pending_writes` order"
    ),
    "saver.delta_history.latest_checkpoint_when_none_is_named": _HISTORY,
    "saver.delta_history.absent_checkpoints_and_no_channels": (
        "Base.get_delta_channel_history: empty channels, empty mapping"
    ),
    "saver.delta_history.snapshots_come_as_they_are": _HISTORY,
    "saver.delta_history.long_chains": _HISTORY,
    "saver.allowlist.clone_reads_and_writes_the_same_threads": (
        "Base.with_allowlist: a shallow clone"
    ),
    "saver.allowlist.only_the_serializer_differs": "Base.with_allowlist",
    "saver.allowlist.copies_share_all_state": "Base.with_allowlist clones by copy.copy",
    "saver.fidelity.value_and_type_survive": (
        "InMemorySaver; official put_preserves_channel_values"
    ),
    "saver.fidelity.all_in_one_checkpoint": "InMemorySaver; official put_roundtrip",
    "saver.fidelity.there_are_enough_kinds": "JsonPlusSerializer names them",
    "saver.hostile_input.thread_ids_never_collide": (
        "official put_multiple_threads_isolated; InMemorySaver"
    ),
    "saver.hostile_input.namespaces_never_collide": "official put_child_namespace; InMemorySaver",
    "saver.hostile_input.separators_do_not_shift": _SQL,
    "saver.hostile_input.checkpoint_ids_are_any_text": _SQL,
    "saver.encryption.values_come_back": "documentation, persistence: EncryptedSerializer",
    "saver.encryption.wrong_key": "documentation, persistence: EncryptedSerializer",
    "saver.encryption.writes_come_back": "documentation, persistence: EncryptedSerializer",
    "saver.persistence.everything_is_there_after_reopening": _REOPENED,
    "saver.persistence.the_other_flavour_sees_it": _REOPENED,
    "saver.persistence.two_open_savers_see_each_other_at_once": _REOPENED,
    "saver.concurrency.each_thread_its_own_thread_id": _PARALLEL,
    "saver.concurrency.all_on_one_thread_id": _PARALLEL,
    "saver.concurrency.writes_of_parallel_tasks": _PARALLEL,
    "saver.concurrency.one_task_written_by_many": _PARALLEL,
    "saver.concurrency.the_same_checkpoint_put_by_many": _PARALLEL,
    "saver.concurrency.readers_see_whole_checkpoints": _PARALLEL,
    "saver.upstream.official": "langgraph-checkpoint-conformance 0.0.2, all of it",
}
