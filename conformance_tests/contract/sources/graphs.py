"""Clauses about compiled graphs, with citations.

Each runs a graph as LangGraph's documentation describes, and compares it with InMemorySaver.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PERSISTENCE = "documentation, persistence; the same graph on InMemorySaver"
_DURABILITY = "documentation, durable execution; the same graph on InMemorySaver"
_HISTORY = "documentation, persistence: get_state_history; the same graph on InMemorySaver"
_INTERRUPTS = "documentation, interrupts; the same graph on InMemorySaver"
_TRAVEL = "documentation, time travel; the same graph on InMemorySaver"
_SUBGRAPHS = "documentation, subgraphs; the same graph on InMemorySaver"
_SEND = "documentation, graph API: Send; the same graph on InMemorySaver"
_FUNCTIONAL = "documentation, functional API; the same workflow on InMemorySaver"
_DELTA = "DeltaChannel; the same graph on InMemorySaver"
_FAILURE = "documentation, persistence: pending writes; the same graph on InMemorySaver"
_COPY = "Base.copy_thread: the complete parent chain"
_STORE = "documentation, memory: store; the same graph on InMemoryStore"

_BY_STORY: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "graph.chat": (
        _PERSISTENCE,
        (
            "a_chat_goes_on_in_reopened_savers",
            "a_message_is_replaced_and_removed_by_its_id",
            "two_threads_at_once_stay_apart",
            "many_threads_at_once_in_one_saver",
            "thread_ids_that_are_no_strings",
        ),
    ),
    "graph.copied_chat": (_COPY, ("a_copied_thread_goes_its_own_way",)),
    "graph.durability": (
        _DURABILITY,
        (
            "two_runs",
            "resume_after_a_failure",
            "sync_has_stored_each_step_before_the_next",
            "exit_stores_nothing_before_the_end",
        ),
    ),
    "graph.history": (
        _HISTORY,
        ("filter_limit_and_before", "pages_by_before_make_up_the_whole"),
    ),
    "graph.stream": (_PERSISTENCE, ("updates", "checkpoints_are_those_of_the_history")),
    "graph.interrupt": (
        _INTERRUPTS,
        (
            "resume_in_a_reopened_saver",
            "three_questions_of_one_node",
            "parallel_questions_answered_together_by_id",
            "parallel_questions_answered_one_by_one",
            "static_breakpoints",
        ),
    ),
    "graph.other_process": (
        _DURABILITY,
        (
            "answer_in_another_process",
            "question_of_another_process",
            "parallel_questions_answered_by_id_in_another_process",
            "workflow_goes_on_in_another_process",
            "finished_tasks_are_not_run_again_by_another_process",
            "nothing_is_lost_when_the_process_is_killed_in_a_step",
        ),
    ),
    "graph.time_travel": (
        _TRAVEL,
        (
            "history_of_a_run",
            "replay_from_an_earlier_checkpoint",
            "fork_and_both_branches",
            "two_forks_of_one_checkpoint_do_not_meet",
            "update_as_another_node",
            "an_answered_question_is_asked_again_in_a_replay",
            "command_goto_with_update",
        ),
    ),
    "graph.subgraph": (
        _SUBGRAPHS,
        (
            "what_a_subgraph_remembers",
            "a_question_inside_a_subgraph",
            "update_inside_a_subgraph",
        ),
    ),
    "graph.send": (_SEND, ("fan_out", "only_the_failed_send_runs_again")),
    "graph.failure": (
        _FAILURE,
        ("a_finished_sibling_is_not_run_again", "it_may_fail_more_than_once"),
    ),
    "graph.functional": (
        _FUNCTIONAL,
        (
            "final_and_previous",
            "previous_without_final",
            "finished_tasks_are_not_run_again_after_an_error",
            "a_question_between_tasks",
        ),
    ),
    "graph.types": (_PERSISTENCE, ("of_the_users_are_resumed",)),
    "graph.delta": (
        _DELTA,
        (
            "every_state_of_the_history",
            "the_story_has_steps_with_and_without_a_snapshot",
            "fork",
            "overwrite",
            "parallel_writes_are_rebuilt_in_order",
        ),
    ),
    "graph.copied_delta": (_COPY, ("copied_thread",)),
    "store.graphs": (
        _STORE,
        (
            "put_and_get_in_a_node",
            "search_in_a_node",
            "get_store",
            "injected_into_tools",
            "react_agent",
        ),
    ),
}

GRAPHS: Final[Mapping[str, str]] = {
    f"{story}.{name}": source for story, (source, names) in _BY_STORY.items() for name in names
}
