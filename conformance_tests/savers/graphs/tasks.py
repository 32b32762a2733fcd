"""Clauses about subgraphs, Send, the functional API, and failed tasks beside finished ones."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.savers.graphs.clause import GraphClauses, Graphs, told
from conformance_tests.savers.graphs.driver import GraphDriver, Open, on_thread
from conformance_tests.savers.graphs.functional import (
    approved_workflow,
    remembers_its_answer,
    running_total,
    shaky_workflow,
)
from conformance_tests.savers.graphs.nodes import (
    NodeError,
    failing_sibling,
    fan_out,
)
from conformance_tests.savers.graphs.questions import with_subgraph

WORDS = ["alpha", "be", "gamma", "d"]
LENGTHS = [f"{word} {len(word)}" for word in WORDS]


@clauses_of(Capability.GET_TUPLE)
class SubgraphClauses(GraphClauses):
    @pytest.mark.parametrize(
        ("own_memory", "second"), [(False, "ok: milk"), (True, "ok: tea, milk")]
    )
    def test_what_a_subgraph_remembers(self, graphs: Graphs, own_memory: bool, second: str) -> None:
        """A subgraph with its own checkpoints finds its state again; one without starts anew."""

        def story(opened: Open) -> Any:
            for asked in ("tea", "milk"):
                with opened() as session:
                    graph = session.drive(with_subgraph(session.saver, own_memory=own_memory))
                    out = graph.invoke({"asked": asked}, on_thread("s"))
            with opened() as session:
                graph = session.drive(with_subgraph(session.saver, own_memory=own_memory))
                return out, told(graph.history(on_thread("s")))

        out, history = graphs.as_in_memory(story)
        assert out["answers"] == ["asked for tea", "ok: tea", "asked for milk", second]
        assert len(history) == 10

    @pytest.mark.parametrize("own_memory", [False, True])
    def test_a_question_inside_a_subgraph(self, graphs: Graphs, own_memory: bool) -> None:
        """An interrupted subgraph has its own state and history, and resumes where it stopped."""

        def story(opened: Open) -> Any:
            with opened() as session:
                build = with_subgraph(session.saver, own_memory=own_memory, asks=True)
                session.drive(build).invoke({"asked": "tea"}, on_thread("s"))
            with opened() as session:
                build = with_subgraph(session.saver, own_memory=own_memory, asks=True)
                graph = session.drive(build)
                inside = _inside(graph)
                inner = told(graph.history(_namespace(inside)))
                out = graph.invoke(Command(resume="yes"), on_thread("s"))
                return told([inside]), inner, out, told(graph.history(on_thread("s")))

        inside, inner, out, _ = graphs.as_in_memory(story)
        assert inside[0]["next"] == ("reply",)
        assert inside[0]["interrupts"] == ["reply to tea?"]
        assert [one["next"] for one in inner] == [("reply",), ("note",), ("__start__",)]
        assert out["answers"] == ["asked for tea", "yes: tea"]

    def test_update_inside_a_subgraph(self, graphs: Graphs) -> None:
        """A human edits the state of the waiting subgraph, which then uses the edited state."""

        def story(opened: Open) -> Any:
            with opened() as session:
                graph = session.drive(with_subgraph(session.saver, own_memory=False, asks=True))
                graph.invoke({"asked": "tea"}, on_thread("s"))
                graph.update_state(_inside(graph).config, {"kept": ["milk"]})
            with opened() as session:
                graph = session.drive(with_subgraph(session.saver, own_memory=False, asks=True))
                inner = told(graph.history(_namespace(_inside(graph))))
                return graph.invoke(Command(resume="yes"), on_thread("s")), inner

        out, inner = graphs.as_in_memory(story)
        assert out["answers"] == ["asked for tea", "yes: tea, milk"]
        assert [one["source"] for one in inner] == ["update", "loop", "loop", "input"]


def _inside(graph: GraphDriver) -> StateSnapshot:
    """The state of the interrupted subgraph."""
    found = graph.get_state(on_thread("s"), subgraphs=True).tasks[0].state
    assert isinstance(found, StateSnapshot)
    return found


def _namespace(state: StateSnapshot) -> RunnableConfig:
    names = state.config["configurable"]
    return {"configurable": {name: names[name] for name in ("thread_id", "checkpoint_ns")}}


@clauses_of(Capability.PUT_WRITES)
class SendClauses(GraphClauses):
    def test_fan_out(self, graphs: Graphs) -> None:
        """Results of many sends are in the order of the sends, and each is stored with its task."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                graph = session.drive(fan_out(session.saver, log))
                out = graph.invoke({"words": WORDS}, on_thread("f"))
            with opened() as session:
                graph = session.drive(fan_out(session.saver, log))
                return out, told(graph.history(on_thread("f"))), dict(log.counts())

        out, history, counts = graphs.as_in_memory(story)
        assert out["lengths"] == LENGTHS
        assert out["total"] == sum(len(word) for word in WORDS)
        fanned = next(one for one in history if one["next"] == ("measure",) * len(WORDS))
        assert [result for _, _, result, _ in fanned["tasks"]] == [
            {"lengths": [length]} for length in LENGTHS
        ]
        assert counts == {**dict.fromkeys(WORDS, 1), "add": 1}

    def test_only_the_failed_send_runs_again(self, graphs: Graphs) -> None:
        """If one send fails, the results of the finished sends are kept."""
        # run one at a time, and let the last one fail, so that it is certain which tasks finish
        config: RunnableConfig = {**on_thread("f"), "max_concurrency": 1}
        last = WORDS[-1]

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                graph = session.drive(fan_out(session.saver, log, fail_on=last))
                with pytest.raises(NodeError):
                    graph.invoke({"words": WORDS}, config)
                failed = told([graph.get_state(config)])
            with opened() as session:
                graph = session.drive(fan_out(session.saver, log, fail_on=last))
                out = graph.invoke(None, config)
                return failed, out, told(graph.history(config)), dict(log.counts())

        failed, out, _, counts = graphs.as_in_memory(story)
        assert [error for _, error, _, _ in failed[0]["tasks"]] == [
            *[None] * (len(WORDS) - 1),
            f"NodeError('{last}')",
        ]
        assert out["lengths"] == LENGTHS
        assert counts == {**dict.fromkeys(WORDS, 1), last: 2, "add": 1}


@clauses_of(Capability.PUT_WRITES)
class FailureClauses(GraphClauses):
    def test_a_finished_sibling_is_not_run_again(self, graphs: Graphs) -> None:
        """If a task fails, finished tasks of the same step are not run again."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                graph = session.drive(failing_sibling(session.saver, log))
                with pytest.raises(NodeError):
                    graph.invoke({"trail": []}, on_thread("f"))
            with opened() as session:
                graph = session.drive(failing_sibling(session.saver, log))
                failed = told([graph.get_state(on_thread("f"))])
                out = graph.invoke(None, on_thread("f"))
                return failed, out, told(graph.history(on_thread("f"))), dict(log.counts())

        failed, out, _, counts = graphs.as_in_memory(story)
        assert failed[0]["next"] == ("shaky",)
        assert failed[0]["values"]["trail"] == ["steady@0", "and on"]
        assert out["trail"] == ["shaky@0", "steady@0", "and on"]
        assert counts == {"steady": 1, "shaky": 2}

    def test_it_may_fail_more_than_once(self, graphs: Graphs) -> None:
        """Even if a task fails repeatedly, the writes of its finished siblings are kept."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            inputs: list[Any] = [{"trail": []}, None, None]
            errors = []
            for one in inputs:
                with opened() as session:
                    graph = session.drive(failing_sibling(session.saver, log, fails=3))
                    with pytest.raises(NodeError):
                        graph.invoke(one, on_thread("f"))
                    state = graph.get_state(on_thread("f"))
                    errors.append([task.error for task in state.tasks])
            with opened() as session:
                graph = session.drive(failing_sibling(session.saver, log, fails=3))
                return errors, graph.invoke(None, on_thread("f")), dict(log.counts())

        errors, out, counts = graphs.as_in_memory(story)
        assert errors == [[None, "NodeError('shaky fails')"]] * 3
        assert out["trail"] == ["shaky@0", "steady@0", "and on"]
        assert counts == {"steady": 1, "shaky": 4}


@clauses_of(Capability.PUT_WRITES)
class FunctionalClauses(GraphClauses):
    def test_final_and_previous(self, graphs: Graphs) -> None:
        """`entrypoint.final` stores one value and returns another; the next run gets the stored
        one.
        """

        def story(opened: Open) -> Any:
            outs = []
            for number in (3, 4, 5):
                with opened() as session:
                    add = session.drive(running_total(session.saver))
                    outs.append(add.invoke(number, on_thread("t")))
            with opened() as session:
                history = session.drive(running_total(session.saver)).history(on_thread("t"))
                return outs, told(history)

        outs, history = graphs.as_in_memory(story)
        assert outs == [0, 3, 7]
        assert [one["values"] for one in history if one["next"] == ()] == [7, 3, 0]

    def test_previous_without_final(self, graphs: Graphs) -> None:
        """Without `entrypoint.final`, `previous` is the return value of the last run."""

        def story(opened: Open) -> Any:
            for word in ("a", "b", "c"):
                with opened() as session:
                    chain = session.drive(remembers_its_answer(session.saver))
                    out = chain.invoke(word, on_thread("t"))
            return out

        assert graphs.as_in_memory(story) == ["a", "b", "c"]

    def test_finished_tasks_are_not_run_again_after_an_error(self, graphs: Graphs) -> None:
        """A failed workflow continues with the results of its finished tasks."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                workflow = session.drive(shaky_workflow(session.saver, log))
                with pytest.raises(NodeError):
                    workflow.invoke(1, on_thread("w"))
            with opened() as session:
                workflow = session.drive(shaky_workflow(session.saver, log))
                out = workflow.invoke(None, on_thread("w"))
                return out, told(workflow.history(on_thread("w"))), dict(log.counts())

        out, _, counts = graphs.as_in_memory(story)
        assert out == {"doubled": 6, "answer": 7}
        assert counts == {"workflow": 2, "double-1": 1, "double-2": 1, "shaky": 2}

    def test_a_question_between_tasks(self, graphs: Graphs) -> None:
        """Tasks before an interrupt are run once."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                workflow = session.drive(approved_workflow(session.saver, log))
                workflow.invoke("tea", on_thread("w"))
            with opened() as session:
                workflow = session.drive(approved_workflow(session.saver, log))
                out = workflow.invoke(Command(resume="fine"), on_thread("w"))
                return out, told(workflow.history(on_thread("w"))), dict(log.counts())

        out, _, counts = graphs.as_in_memory(story)
        assert out == "essay on tea (fine)"
        assert counts == {"workflow": 2, "write": 1, "publish": 1}
