"""Clauses about replays from earlier checkpoints, and forks by update_state."""

from __future__ import annotations

from typing import Any

from langgraph.types import Command

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.savers.graphs.clause import (
    GraphClauses,
    Graphs,
    checkpoint_id,
    told,
    trails,
)
from conformance_tests.savers.graphs.driver import Open, on_thread
from conformance_tests.savers.graphs.nodes import hand_over, three_steps
from conformance_tests.savers.graphs.questions import approval

DONE = ["first@0", "second@1", "third@2"]


@clauses_of(Capability.LIST)
class TimeTravelClauses(GraphClauses):
    def test_history_of_a_run(self, graphs: Graphs) -> None:
        """Each step of a run can be read by its own config, with its parent."""

        def story(opened: Open) -> Any:
            with opened() as session:
                steps = session.drive(three_steps(session.saver, graphs.run_log()))
                steps.invoke({"trail": []}, on_thread("t"))
                history = steps.history(on_thread("t"))
                at_each = [steps.get_state(one.config) for one in history]
                return told(history), told(at_each)

        history, at_each = graphs.as_in_memory(story)
        assert history == at_each
        assert [one["next"] for one in history] == [
            (),
            ("third",),
            ("second",),
            ("first",),
            ("__start__",),
        ]
        assert [one["parent"] for one in history] == [1, 1, 1, 1, None]

    def test_replay_from_an_earlier_checkpoint(self, graphs: Graphs) -> None:
        """A run from an earlier checkpoint repeats the steps after it, and no earlier steps."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                steps.invoke({"trail": []}, on_thread("t"))
                before_second = steps.history(on_thread("t"))[2]
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                out = steps.invoke(None, before_second.config)
                history = steps.history(on_thread("t"))
                return out, told(history), dict(log.counts())

        out, history, counts = graphs.as_in_memory(story)
        assert out["trail"] == DONE
        assert counts == {"first": 1, "second": 2, "third": 2}
        assert [one["values"]["trail"] for one in history].count(DONE) == 2

    def test_fork_and_both_branches(self, graphs: Graphs) -> None:
        """A fork has its own parent and future, and does not change the main branch."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                steps.invoke({"trail": []}, on_thread("t"))
                main = steps.history(on_thread("t"))
                fork = steps.update_state(main[2].config, {"trail": ["forked"]})
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                forked = steps.get_state(fork)
                assert checkpoint_id(forked.parent_config) == checkpoint_id(main[2].config)
                out = steps.invoke(None, fork)
                still = [steps.get_state(one.config) for one in main]
                assert trails(still) == trails(main)
                history = steps.history(on_thread("t"))
                return out, told(still), told(history), dict(log.counts())

        out, still, _, counts = graphs.as_in_memory(story)
        assert out["trail"] == ["first@0", "forked", "second@2", "third@3"]
        assert still[0]["values"]["trail"] == DONE
        assert counts == {"first": 1, "second": 2, "third": 2}

    def test_two_forks_of_one_checkpoint_do_not_meet(self, graphs: Graphs) -> None:
        """Two branches change the same channel, and each reads its own value."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            outs = []
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                steps.invoke({"trail": []}, on_thread("t"))
                before_second = steps.history(on_thread("t"))[2].config
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                forks = [
                    steps.update_state(before_second, {"trail": [name]}) for name in ("a", "b")
                ]
                for fork in forks:
                    steps.invoke(None, fork)
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                outs = [steps.get_state(fork).values["trail"] for fork in forks]
                return outs, told(steps.history(on_thread("t")))

        outs, history = graphs.as_in_memory(story)
        assert outs == [["first@0", "a"], ["first@0", "b"]]
        ends = [one["values"]["trail"] for one in history if not one["next"]]
        assert ends == [
            ["first@0", "b", "second@2", "third@3"],
            ["first@0", "a", "second@2", "third@3"],
            DONE,
        ]

    def test_update_as_another_node(self, graphs: Graphs) -> None:
        """After an update with `as_node`, the graph continues after that node."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                steps.update_state(on_thread("t"), {"trail": ["set"]}, as_node="second")
                assert steps.get_state(on_thread("t")).next == ("third",)
            with opened() as session:
                steps = session.drive(three_steps(session.saver, log))
                out = steps.invoke(None, on_thread("t"))
                return out, told(steps.history(on_thread("t"))), dict(log.counts())

        out, _, counts = graphs.as_in_memory(story)
        assert out["trail"] == ["set", "third@1"]
        assert counts == {"third": 1}

    def test_an_answered_question_is_asked_again_in_a_replay(self, graphs: Graphs) -> None:
        """A replay interrupts again, and the earlier answer stays in its own branch."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                graph = session.drive(approval(session.saver, log))
                graph.invoke({"wish": "tea"}, on_thread("t"))
                graph.invoke(Command(resume="yes"), on_thread("t"))
                asking = next(
                    one for one in graph.history(on_thread("t")) if one.next == ("approve",)
                )
            with opened() as session:
                graph = session.drive(approval(session.saver, log))
                asked = graph.invoke(None, asking.config)["__interrupt__"]
                out = graph.invoke(Command(resume="no"), on_thread("t"))
                history = told(graph.history(on_thread("t")))
                return [one.value for one in asked], out, history, dict(log.counts())

        asked, out, history, counts = graphs.as_in_memory(story)
        assert asked == [{"question": "go on?", "plan": "plan for tea"}]
        assert out["done"] == "plan for tea: no"
        dones = [one["values"]["done"] for one in history if not one["next"]]
        assert dones == ["plan for tea: no", "plan for tea: yes"]
        assert counts["plan"] == 1

    def test_command_goto_with_update(self, graphs: Graphs) -> None:
        """A node's `Command` with `goto` and `update` is restored from the checkpoint as
        planned."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                graph = session.drive(hand_over(session.saver, log))
                out = graph.invoke({"trail": []}, on_thread("t"))
            with opened() as session:
                graph = session.drive(hand_over(session.saver, log))
                return out, told(graph.history(on_thread("t")))

        out, history = graphs.as_in_memory(story)
        assert out["trail"] == ["work@0", "work@1", "work@2"]
        assert [one["next"] for one in history[:3]] == [(), ("work",), ("work",)]
