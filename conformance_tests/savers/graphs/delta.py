"""Clauses about DeltaChannels (beta in LangGraph), which are rebuilt from writes and snapshots."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Durability, Overwrite, StateSnapshot

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.savers.graphs.chat import texts
from conformance_tests.savers.graphs.clause import GraphClauses, Graphs, told
from conformance_tests.savers.graphs.driver import GraphDriver, GraphSession, Open, on_thread
from conformance_tests.savers.graphs.nodes import WRITERS, delta_chat, delta_chorus, said

TURNS = 7


def _talk(session: GraphSession, thread_id: str = "d", **options: Any) -> GraphDriver:
    bot = session.drive(delta_chat(session.saver))
    for at in range(TURNS):
        bot.invoke(said(f"turn {at}", at), on_thread(thread_id), **options)
    return bot


def _spoken(snapshots: list[StateSnapshot]) -> list[list[str]]:
    return [texts(one.values.get("messages", [])) for one in snapshots]


@clauses_of(Capability.PUT_WRITES)
class DeltaClauses(GraphClauses):
    @pytest.mark.parametrize("durability", ["sync", "async", "exit"])
    def test_every_state_of_the_history(self, graphs: Graphs, durability: Durability) -> None:
        """A DeltaChannel is stored as writes, from which every earlier state can be rebuilt."""

        def story(opened: Open) -> Any:
            with opened() as session:
                _talk(session, durability=durability)
            with opened() as session:
                bot = session.drive(delta_chat(session.saver))
                history = bot.history(on_thread("d"))
                at_each = [bot.get_state(one.config) for one in history]
                assert _spoken(at_each) == _spoken(history)
                return told(history)

        history = graphs.as_in_memory(story)
        assert len(history[0]["values"]["messages"]) == 2 * TURNS

    def test_the_story_has_steps_with_and_without_a_snapshot(self, graphs: Graphs) -> None:
        """Checks the other delta clauses: some of their steps store a snapshot and some do not."""
        with graphs.open() as session:
            _talk(session)
        with graphs.harness.open() as saver:
            kept = [
                isinstance(one.checkpoint["channel_values"].get("messages"), _DeltaSnapshot)
                for one in saver.list(on_thread("d"))
            ]
        assert 2 <= sum(kept) <= len(kept) - 2 * TURNS // 2

    def test_fork(self, graphs: Graphs) -> None:
        """A state rebuilt after a fork has the writes of its own branch only."""

        def story(opened: Open) -> Any:
            with opened() as session:
                bot = _talk(session)
                main = bot.history(on_thread("d"))
                forks = [
                    bot.update_state(main[at].config, said(f"fork {at}", 100 + at))
                    for at in range(3, 9)
                ]
            with opened() as session:
                bot = session.drive(delta_chat(session.saver))
                for fork in forks:
                    bot.invoke(said("on", 200), fork)
                assert _spoken([bot.get_state(one.config) for one in main]) == _spoken(main)
                return told(bot.history(on_thread("d")))

        graphs.as_in_memory(story)

    def test_overwrite(self, graphs: Graphs) -> None:
        """`Overwrite` replaces a delta channel; earlier writes must not reappear."""

        def story(opened: Open) -> Any:
            with opened() as session:
                bot = _talk(session)
                kept = bot.get_state(on_thread("d")).values["messages"][-1:]
                bot.update_state(on_thread("d"), {"messages": Overwrite(kept)})
                bot.invoke(said("on", 100), on_thread("d"))
            with opened() as session:
                return told(session.drive(delta_chat(session.saver)).history(on_thread("d")))

        history = graphs.as_in_memory(story)
        assert texts(history[0]["values"]["messages"]) == [
            f"{2 * TURNS - 1}: turn {TURNS - 1}",
            "on",
            "2: on",
        ]

    def test_parallel_writes_are_rebuilt_in_order(self, graphs: Graphs) -> None:
        """Writes of parallel tasks are rebuilt in the same order as in the live run."""

        def story(opened: Open) -> Any:
            for at in range(3):
                with opened() as session:
                    chorus = session.drive(delta_chorus(session.saver))
                    live = chorus.invoke(said(f"song {at}", at), on_thread("d"))
                    assert chorus.get_state(on_thread("d")).values == live
            with opened() as session:
                chorus = session.drive(delta_chorus(session.saver))
                assert chorus.get_state(on_thread("d")).values == live
                return told(chorus.history(on_thread("d")))

        history = graphs.as_in_memory(story)
        sung = [f"{name} {at}" for name in WRITERS for at in range(2)]
        assert texts(history[0]["values"]["messages"])[-len(sung) :] == sung


@clauses_of(Capability.PRUNE)
class PrunedDeltaClauses(GraphClauses):
    @pytest.mark.parametrize("turns_after", [0, 1, 2])
    def test_prune_keeps_what_rebuilds_the_value(self, graphs: Graphs, turns_after: int) -> None:
        """Pruning removes the history and keeps the state, including delta channels, and the chat
        can continue.
        """
        with graphs.open() as session:
            bot = _talk(session)
            for at in range(turns_after):
                bot.invoke(said("after", 50 + at), on_thread("d"))
            before = bot.get_state(on_thread("d"))
            stored = len(bot.history(on_thread("d")))
            session.calls.prune(["d"], strategy="keep_latest")
            assert told([bot.get_state(on_thread("d"))]) == told([before])
            assert len(bot.history(on_thread("d"))) < stored
        with graphs.open() as session:
            bot = session.drive(delta_chat(session.saver))
            assert told([bot.get_state(on_thread("d"))]) == told([before])
            out = bot.invoke(said("and on", 99), on_thread("d"))
            spoken = texts(before.values["messages"])
            assert texts(out["messages"]) == [*spoken, "and on", f"{len(spoken) + 1}: and on"]
            session.calls.prune(["d"], strategy="keep_latest")
            assert bot.get_state(on_thread("d")).values == out


@clauses_of(Capability.COPY_THREAD)
class CopiedDeltaClauses(GraphClauses):
    def test_copied_thread(self, graphs: Graphs) -> None:
        """The copy of a thread with delta channels still works after the source is deleted."""
        with graphs.open() as session:
            bot = _talk(session)
            before = told(bot.history(on_thread("d")))
            session.calls.copy_thread("d", "copy")
            assert told(bot.history(on_thread("copy"))) == before
            if session.calls.offers("delete_thread"):
                session.calls.delete_thread("d")
                assert told(bot.history(on_thread("copy"))) == before
                assert bot.history(on_thread("d")) == []
