"""Clauses about graphs: chats, concurrent threads, durability, history, stream modes."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AnyMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Durability

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.savers.graphs.clause import GraphClauses, Graphs, checkpoint_id, told
from conformance_tests.savers.graphs.driver import Open, on_thread
from conformance_tests.savers.graphs.nodes import (
    NodeError,
    RunLog,
    chat,
    fan_out,
    said,
    three_steps,
)

TURNS = ("hello", "what did I say?", "and before?", "bye")


def texts(messages: list[AnyMessage]) -> list[str]:
    return [str(one.content) for one in messages]


@clauses_of(Capability.GET_TUPLE)
class ChatClauses(GraphClauses):
    def test_a_chat_goes_on_in_reopened_savers(self, graphs: Graphs) -> None:
        """Each turn may run in another worker: the conversation and its history are the same as
        with InMemorySaver.
        """

        def story(opened: Open) -> Any:
            for at, text in enumerate(TURNS):
                with opened() as session:
                    out = session.drive(chat(session.saver)).invoke(said(text, at), on_thread("c"))
            with opened() as session:
                bot = session.drive(chat(session.saver))
                assert bot.get_state(on_thread("c")).values == out
                return out, told(bot.history(on_thread("c")))

        out, history = graphs.as_in_memory(story)
        assert texts(out["messages"])[::2] == list(TURNS)
        assert texts(out["messages"])[-1] == "7: bye"
        assert len(history) == 3 * len(TURNS)

    def test_a_message_is_replaced_and_removed_by_its_id(self, graphs: Graphs) -> None:
        """Users edit and delete messages; the next turn reads the edited state."""

        def story(opened: Open) -> Any:
            with opened() as session:
                bot = session.drive(chat(session.saver))
                bot.invoke(said("one", 0), on_thread("c"))
                bot.invoke(said("two", 1), on_thread("c"))
                edited = [HumanMessage("uno", id="h0"), RemoveMessage(id="a1")]
                bot.update_state(on_thread("c"), {"messages": edited})
            with opened() as session:
                return told(session.drive(chat(session.saver)).history(on_thread("c")))

        history = graphs.as_in_memory(story)
        assert texts(history[0]["values"]["messages"]) == ["uno", "two", "3: two"]
        assert texts(history[1]["values"]["messages"]) == ["one", "1: one", "two", "3: two"]

    def test_two_threads_at_once_stay_apart(self, graphs: Graphs) -> None:
        """Two users chat at the same time and never see each other's messages."""
        names = ("ann", "bob")

        def story(opened: Open) -> Any:
            with opened() as session:
                bot = session.drive(chat(session.saver))
                for at in range(4):
                    bot.at_once([(said(f"{name} {at}", at), on_thread(name)) for name in names])
            with opened() as session:
                bot = session.drive(chat(session.saver))
                return {name: told(bot.history(on_thread(name))) for name in names}

        histories = graphs.as_in_memory(story)
        for name in names:
            own = texts(histories[name][0]["values"]["messages"])
            assert own[::2] == [f"{name} {at}" for at in range(4)]

    def test_many_threads_at_once_in_one_saver(self, graphs: Graphs) -> None:
        """One saver serves a dozen concurrent conversations without mixing them up."""
        names = [f"thread-{k}" for k in range(12)]
        with graphs.open() as session:
            bot = session.drive(chat(session.saver))
            outs = bot.at_once([(said(name, 0), on_thread(name)) for name in names])
            states = [bot.get_state(on_thread(name)).values for name in names]
        assert [texts(out["messages"]) for out in outs] == [[n, f"1: {n}"] for n in names]
        assert states == outs

    def test_thread_ids_that_are_no_strings(self, graphs: Graphs) -> None:
        """The thread id 7 names the same thread as "7"."""
        config: RunnableConfig = {"configurable": {"thread_id": 7}}
        with graphs.open() as session:
            out = session.drive(chat(session.saver)).invoke(said("hi", 0), config)
        with graphs.open() as session:
            assert session.drive(chat(session.saver)).get_state(on_thread("7")).values == out


@clauses_of(Capability.COPY_THREAD)
class CopiedChatClauses(GraphClauses):
    def test_a_copied_thread_goes_its_own_way(self, graphs: Graphs) -> None:
        """The copy has the whole history, and a turn on it does not change the source."""
        with graphs.open() as session:
            bot = session.drive(chat(session.saver))
            bot.invoke(said("one", 0), on_thread("from"))
            before = told(bot.history(on_thread("from")))
            session.calls.copy_thread("from", "to")
            assert told(bot.history(on_thread("to"))) == before
            bot.invoke(said("two", 1), on_thread("to"))
        with graphs.open() as session:
            bot = session.drive(chat(session.saver))
            copied = bot.get_state(on_thread("to")).values["messages"]
            assert texts(copied) == ["one", "1: one", "two", "3: two"]
            assert told(bot.history(on_thread("from"))) == before


@clauses_of(Capability.PUT)
class DurabilityClauses(GraphClauses):
    @pytest.mark.parametrize("durability", ["sync", "async", "exit"])
    def test_two_runs(self, graphs: Graphs, durability: Durability) -> None:
        """In each durability mode, a second run continues from the first one's state."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            for _ in range(2):
                with opened() as session:
                    steps = session.drive(three_steps(session.saver, log))
                    steps.invoke({"trail": []}, on_thread("d"), durability=durability)
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                return told(steps.history(on_thread("d")))

        history = graphs.as_in_memory(story)
        assert len(history) == (2 if durability == "exit" else 10)
        assert history[0]["values"]["trail"][-1] == "third@5"

    @pytest.mark.parametrize("durability", ["sync", "async", "exit"])
    def test_resume_after_a_failure(self, graphs: Graphs, durability: Durability) -> None:
        """In each durability mode, nodes that finished before a failure are not run again."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                words = session.drive(fan_out(session.saver, log, fail_on="beta"))
                with pytest.raises(NodeError):
                    words.invoke({"words": ["beta"]}, on_thread("d"), durability=durability)
                failed = words.get_state(on_thread("d")).next
            with opened() as session:
                words = session.drive(fan_out(session.saver, log, fail_on="beta"))
                out = words.invoke(None, on_thread("d"), durability=durability)
                return failed, out, told(words.history(on_thread("d"))), dict(log.counts())

        failed, out, _, counts = graphs.as_in_memory(story)
        assert failed == ("measure",)
        assert out["total"] == len("beta")
        assert counts == {"beta": 2, "add": 1}

    def test_sync_has_stored_each_step_before_the_next(self, graphs: Graphs) -> None:
        """Durability `sync` promises that a crash loses no finished step."""
        assert self._stored_at_each_step(graphs, "sync") == [2, 3, 4]

    def test_exit_stores_nothing_before_the_end(self, graphs: Graphs) -> None:
        """Durability `exit` promises not to write while the graph runs."""
        assert self._stored_at_each_step(graphs, "exit") == [0, 0, 0]

    def _stored_at_each_step(self, graphs: Graphs, durability: Durability) -> list[int]:
        """The number of checkpoints that a second saver finds when each node begins."""
        seen: list[int] = []

        class Looks(RunLog):
            def mark(self, name: str) -> int:
                with graphs.harness.open() as second:
                    seen.append(len(list(second.list(on_thread("d")))))
                return super().mark(name)

        log = Looks(graphs.run_log().path.as_posix())
        with graphs.open() as session:
            steps = session.drive(three_steps(session.saver, log))
            steps.invoke({"trail": []}, on_thread("d"), durability=durability)
        return seen


@clauses_of(Capability.LIST)
class HistoryClauses(GraphClauses):
    def test_filter_limit_and_before(self, graphs: Graphs) -> None:
        """`get_state_history` selects and pages as it does on InMemorySaver."""

        def story(opened: Open) -> Any:
            with opened() as session:
                bot = session.drive(chat(session.saver))
                for at, text in enumerate(TURNS):
                    bot.invoke(said(text, at), on_thread("h"))
                bot.update_state(on_thread("h"), said("edited", 9))
            with opened() as session:
                bot = session.drive(chat(session.saver))
                whole = bot.history(on_thread("h"))
                middle = whole[5].config
                return {
                    "whole": told(whole),
                    "input": told(bot.history(on_thread("h"), filter={"source": "input"})),
                    "update": told(bot.history(on_thread("h"), filter={"source": "update"})),
                    "step": told(bot.history(on_thread("h"), filter={"source": "loop", "step": 4})),
                    "none": told(bot.history(on_thread("h"), filter={"source": "fork"})),
                    "two": told(bot.history(on_thread("h"), limit=2)),
                    "before": told(bot.history(on_thread("h"), before=middle)),
                    "page": told(bot.history(on_thread("h"), before=middle, limit=3)),
                    "filtered page": told(
                        bot.history(
                            on_thread("h"), filter={"source": "input"}, before=middle, limit=1
                        )
                    ),
                }

        got = graphs.as_in_memory(story)
        sizes = {name: len(history) for name, history in got.items()}
        assert sizes == {
            "whole": 13, "input": 4, "update": 1, "step": 1, "none": 0,
            "two": 2, "before": 7, "page": 3, "filtered page": 1,
        }  # fmt: skip
        assert [one["step"] for one in got["page"]] == [one["step"] for one in got["whole"][6:9]]

    def test_pages_by_before_make_up_the_whole(self, graphs: Graphs) -> None:
        """A user interface that pages through a history shows each step once."""
        with graphs.open() as session:
            bot = session.drive(chat(session.saver))
            for at, text in enumerate(TURNS):
                bot.invoke(said(text, at), on_thread("h"))
            whole = [checkpoint_id(one.config) for one in bot.history(on_thread("h"))]
            paged: list[str | None] = []
            options: dict[str, Any] = {"limit": 5}
            # bounded, so that a saver that ignores `before` fails instead of looping forever
            while len(paged) <= len(whole) and (page := bot.history(on_thread("h"), **options)):
                paged += [checkpoint_id(one.config) for one in page]
                options["before"] = page[-1].config
        assert paged == whole
        assert whole == sorted(whole, key=str, reverse=True)


@clauses_of(Capability.PUT)
class StreamClauses(GraphClauses):
    def test_updates(self, graphs: Graphs) -> None:
        """The updates that a graph streams do not depend on its checkpointer."""

        def story(opened: Open) -> Any:
            with opened() as session:
                steps = session.drive(three_steps(session.saver, graphs.run_log()))
                return steps.stream({"trail": []}, on_thread("s"), stream_mode="updates")

        assert graphs.as_in_memory(story) == [
            {"first": {"trail": ["first@0"]}},
            {"second": {"trail": ["second@1"]}},
            {"third": {"trail": ["third@2"]}},
        ]

    def test_checkpoints_are_those_of_the_history(self, graphs: Graphs) -> None:
        """Streamed checkpoints have the same ids, parents and values as those of the history, so
        that a client can refer to them later.
        """
        with graphs.open() as session:
            steps = session.drive(three_steps(session.saver, graphs.run_log()))
            parts = steps.stream({"trail": []}, on_thread("s"), stream_mode="checkpoints")
        with graphs.open() as session:
            steps = session.drive(three_steps(session.saver, graphs.run_log()))
            history = steps.history(on_thread("s"))
        streamed = [
            (
                checkpoint_id(one["config"]),
                checkpoint_id(one["parent_config"]),
                one["values"],
                one["next"],
                one["metadata"],
            )
            for one in reversed(parts)
        ]
        assert streamed == [
            (
                checkpoint_id(one.config),
                checkpoint_id(one.parent_config),
                one.values,
                list(one.next),
                one.metadata,
            )
            for one in history
        ]
        assert len(streamed) == 5
