"""Clauses about interrupts that are answered later, by id, or in another process, and about a
process that is killed in a step.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, Interrupt

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.samples.workers import processes
from conformance_tests.savers.graphs.clause import GraphClauses, Graphs, told
from conformance_tests.savers.graphs.driver import GraphDriver, GraphSession, Open, on_thread
from conformance_tests.savers.graphs.functional import approved_workflow, shaky_workflow
from conformance_tests.savers.graphs.nodes import NodeError, RunLog, hangs_beside, three_steps
from conformance_tests.savers.graphs.process import OtherProcess
from conformance_tests.savers.graphs.questions import (
    approval,
    parallel_questions,
    three_questions,
)

ASKED = {"question": "go on?", "plan": "plan for tea"}


def ask_for_tea(session: GraphSession, log: RunLog) -> Any:
    """Run `approval` up to its interrupt."""
    out = session.drive(approval(session.saver, log)).invoke({"wish": "tea"}, on_thread("i"))
    return [one.value for one in out["__interrupt__"]]


def answer_tea(session: GraphSession, log: RunLog) -> Any:
    """Answer the interrupt of `approval`; returns the state before it and the output."""
    graph = session.drive(approval(session.saver, log))
    before = told([graph.get_state(on_thread("i"))])[0]
    return before, graph.invoke(Command(resume="yes"), on_thread("i"))


def answer_both(session: GraphSession, log: RunLog) -> Any:
    """Answer both interrupts of `parallel_questions` by their ids."""
    graph = session.drive(parallel_questions(session.saver, log))
    return graph.invoke(Command(resume=_answers(graph)), on_thread("p"))


def publish(session: GraphSession, log: RunLog) -> Any:
    """Answer the interrupt of `approved_workflow`."""
    workflow = session.drive(approved_workflow(session.saver, log))
    return workflow.invoke(Command(resume="fine"), on_thread("w"))


def run_shaky_again(session: GraphSession, log: RunLog) -> Any:
    """Resume `shaky_workflow` after its failure."""
    return session.drive(shaky_workflow(session.saver, log)).invoke(None, on_thread("w"))


def run_into_a_hang(session: GraphSession, log: RunLog) -> None:
    """Run `hangs_beside`, whose node `hangs` never returns."""
    graph = session.drive(hangs_beside(session.saver, log, hang=True))
    graph.invoke({"trail": []}, on_thread("k"), durability="sync")


def _waiting(graph: GraphDriver) -> list[Interrupt]:
    return list(graph.get_state(on_thread("p")).interrupts)


def _answers(graph: GraphDriver) -> dict[str, str]:
    return {one.id: f"<{one.value}>" for one in _waiting(graph)}


BOTH = [
    "left@0",
    "left says <what does left say?>",
    "quiet@0",
    "right@0",
    "right says <what does right say?>",
    "gather@5",
]


@clauses_of(Capability.PUT_WRITES)
class InterruptClauses(GraphClauses):
    def test_resume_in_a_reopened_saver(self, graphs: Graphs) -> None:
        """A human answers hours later: the interrupt is still there, and nodes before it are not
        run again.
        """

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                asked = ask_for_tea(session, log)
            with opened() as session:
                before, out = answer_tea(session, log)
                graph = session.drive(approval(session.saver, log))
                return asked, before, out, told(graph.history(on_thread("i"))), dict(log.counts())

        asked, before, out, _, counts = graphs.as_in_memory(story)
        assert asked == before["interrupts"] == [ASKED]
        assert before["next"] == ("approve",)
        assert out["done"] == "plan for tea: yes"
        assert counts == {"plan": 1, "approve": 2, "act": 1}

    def test_three_questions_of_one_node(self, graphs: Graphs) -> None:
        """If a node interrupts several times, earlier answers are kept."""

        def story(opened: Open) -> Any:
            log, asked = graphs.run_log(), []
            inputs: list[Any] = [{"trail": []}]
            inputs += [Command(resume=answer) for answer in ("Ann", 30, "Oslo")]
            for one in inputs:
                with opened() as session:
                    graph = session.drive(three_questions(session.saver, log))
                    out = graph.invoke(one, on_thread("q"))
                    state = graph.get_state(on_thread("q"))
                    asked.append([asked.value for asked in state.interrupts])
            return asked, out["trail"], dict(log.counts())

        assert graphs.as_in_memory(story) == (
            [["name?"], ["age of Ann?"], ["town of Ann, 30?"], []],
            ["Ann, 30, Oslo"],
            {"asks": 4},
        )

    def test_parallel_questions_answered_together_by_id(self, graphs: Graphs) -> None:
        """Each of two waiting tasks gets the answer with its interrupt id."""

        def story(opened: Open) -> Any:
            log = graphs.run_log()
            with opened() as session:
                graph = session.drive(parallel_questions(session.saver, log))
                graph.invoke({"trail": []}, on_thread("p"))
                asked = sorted(one.value for one in _waiting(graph))
            with opened() as session:
                out = answer_both(session, log)
                graph = session.drive(parallel_questions(session.saver, log))
                return asked, out, told(graph.history(on_thread("p"))), dict(log.counts())

        asked, out, _, counts = graphs.as_in_memory(story)
        assert asked == ["what does left say?", "what does right say?"]
        assert out["trail"] == BOTH
        assert counts == {"left": 2, "quiet": 1, "right": 2, "gather": 1}

    def test_parallel_questions_answered_one_by_one(self, graphs: Graphs) -> None:
        """An answer to one task keeps the other one waiting, and finished tasks finished."""

        def story(opened: Open) -> Any:
            log, steps = graphs.run_log(), []
            with opened() as session:
                graph = session.drive(parallel_questions(session.saver, log))
                graph.invoke({"trail": []}, on_thread("p"))
            for _ in range(6):  # two suffice; bounded, since a lost answer repeats its interrupt
                with opened() as session:
                    graph = session.drive(parallel_questions(session.saver, log))
                    answers = _answers(graph)
                    steps.append(told([graph.get_state(on_thread("p"))]))
                    if not answers:
                        return steps, dict(log.counts())
                    last = max(answers, key=lambda at: answers[at])
                    graph.invoke(Command(resume={last: answers[last]}), on_thread("p"))
            raise AssertionError(
                f"expected two questions, got another one after 6 answers: {steps}"
            )

        steps, counts = graphs.as_in_memory(story)
        assert [len(one[0]["interrupts"]) for one in steps] == [2, 1, 0]
        assert steps[-1][0]["values"]["trail"] == BOTH
        assert counts["quiet"] == counts["gather"] == 1

    @pytest.mark.parametrize("stop", ["interrupt_before", "interrupt_after"])
    def test_static_breakpoints(self, graphs: Graphs, stop: str) -> None:
        """A graph that stops before or after a node resumes there, and runs each node once."""

        def story(opened: Open) -> Any:
            log, states = graphs.run_log(), []
            inputs: list[Any] = [{"trail": []}, None]
            for one in inputs:
                with opened() as session:
                    steps = session.drive(three_steps(session.saver, log, **{stop: ["second"]}))
                    steps.invoke(one, on_thread("b"))
                    states.append(told(steps.history(on_thread("b"))))
            return states, dict(log.counts())

        (stopped, done), counts = graphs.as_in_memory(story)
        assert stopped[0]["next"] == ("second" if stop == "interrupt_before" else "third",)
        assert done[0]["next"] == ()
        assert counts == {"first": 1, "second": 1, "third": 1}


@clauses_of(Capability.PROCESSES)
class OtherProcessClauses(GraphClauses):
    """Clauses that an in-memory backend cannot fulfil."""

    @pytest.fixture(scope="class")
    @classmethod
    def worker(cls) -> Iterator[ProcessPoolExecutor]:
        """A worker process, for all clauses."""
        with ProcessPoolExecutor(1, processes()) as pool:
            yield pool

    @pytest.fixture
    def elsewhere(
        self, worker: ProcessPoolExecutor, harness: SaverHarness, flavour: Flavour
    ) -> OtherProcess:
        """A runner of steps in the worker process, on this clause's database."""
        return OtherProcess(worker, harness, flavour)

    def test_answer_in_another_process(self, graphs: Graphs, elsewhere: OtherProcess) -> None:
        """Another worker than the interrupted one gets the answer, and continues the run."""
        log = graphs.run_log()
        with graphs.open() as session:
            assert ask_for_tea(session, log) == [ASKED]
        before, out = elsewhere.run(answer_tea, log)
        assert before["interrupts"] == [ASKED]
        assert before["tasks"] == [("approve", None, None, [ASKED])]
        assert out == {
            "wish": "tea",
            "plan": "plan for tea",
            "answer": "yes",
            "done": "plan for tea: yes",
        }
        assert log.counts() == {"plan": 1, "approve": 2, "act": 1}
        with graphs.open() as session:
            graph = session.drive(approval(session.saver, log))
            assert graph.get_state(on_thread("i")).values == out

    def test_question_of_another_process(self, graphs: Graphs, elsewhere: OtherProcess) -> None:
        """An interrupt of another worker can be answered in this process."""
        log = graphs.run_log()
        assert elsewhere.run(ask_for_tea, log) == [ASKED]
        with graphs.open() as session:
            before, out = answer_tea(session, log)
        assert before["interrupts"] == [ASKED]
        assert out["done"] == "plan for tea: yes"
        assert log.counts() == {"plan": 1, "approve": 2, "act": 1}

    def test_parallel_questions_answered_by_id_in_another_process(
        self, graphs: Graphs, elsewhere: OtherProcess
    ) -> None:
        """Interrupt ids are valid in every process."""
        log = graphs.run_log()
        with graphs.open() as session:
            graph = session.drive(parallel_questions(session.saver, log))
            graph.invoke({"trail": []}, on_thread("p"))
        assert elsewhere.run(answer_both, log)["trail"] == BOTH
        assert log.counts() == {"left": 2, "quiet": 1, "right": 2, "gather": 1}

    def test_workflow_goes_on_in_another_process(
        self, graphs: Graphs, elsewhere: OtherProcess
    ) -> None:
        """A functional workflow reads results of finished tasks from the database."""
        log = graphs.run_log()
        with graphs.open() as session:
            workflow = session.drive(approved_workflow(session.saver, log))
            out = workflow.invoke("tea", on_thread("w"))
            assert [one.value for one in out["__interrupt__"]] == [{"essay": "essay on tea"}]
        assert elsewhere.run(publish, log) == "essay on tea (fine)"
        assert log.counts() == {"write": 1, "workflow": 2, "publish": 1}

    def test_finished_tasks_are_not_run_again_by_another_process(
        self, graphs: Graphs, elsewhere: OtherProcess
    ) -> None:
        """Finished tasks, which may have been expensive, are not run again by another worker."""
        log = graphs.run_log()
        with graphs.open() as session:
            workflow = session.drive(shaky_workflow(session.saver, log))
            with pytest.raises(NodeError):
                workflow.invoke(1, on_thread("w"))
        assert elsewhere.run(run_shaky_again, log) == {"doubled": 6, "answer": 7}
        assert log.counts() == {"workflow": 2, "double-1": 1, "double-2": 1, "shaky": 2}

    def test_nothing_is_lost_when_the_process_is_killed_in_a_step(
        self, graphs: Graphs, elsewhere: OtherProcess
    ) -> None:
        """After SIGKILL in the middle of a step, tasks whose writes were stored are not run again;
        the others are.
        """
        log = graphs.run_log()

        def sibling_is_stored() -> bool:
            return log.counts()["hangs"] == 1 and "steady" in _finished(graphs, log)

        elsewhere.run_and_kill(sibling_is_stored, run_into_a_hang, log)
        with graphs.open() as session:
            graph = session.drive(hangs_beside(session.saver, log, hang=False))
            assert graph.get_state(on_thread("k")).next == ("hangs",)
            out = graph.invoke(None, on_thread("k"))
        assert out["trail"] == ["before@0", "hangs@1", "steady@1"]
        assert log.counts() == {"before": 1, "steady": 1, "hangs": 2}


@clauses_of(Capability.FIND_THREADS)
class FoundQuestionClauses(GraphClauses):
    def test_questions_are_found_until_they_are_answered(self, graphs: Graphs) -> None:
        """`interrupts` finds what `get_state` shows, for one user, until it is answered."""
        log = graphs.run_log()
        with graphs.open() as session:
            approve = session.drive(approval(session.saver, log))
            approve.invoke({"wish": "tea"}, _of("ann", "approval"))
            approve.invoke({"wish": "tea"}, _of("bob", "other"))
            both = session.drive(parallel_questions(session.saver, log))
            both.invoke({"trail": []}, _of("ann", "parallel"))
            found = list(session.calls.interrupts(filter={"user_id": "ann"}))
            states = (
                both.get_state(on_thread("parallel")),
                approve.get_state(on_thread("approval")),
            )
            shown = [one for state in states for one in state.interrupts]
            key = operator.itemgetter(0)
            asked = sorted(((one.interrupt_id, one.value) for one in found), key=key)
            assert asked == sorted(((one.id, one.value) for one in shown), key=key)
            (question,) = (one for one in found if one.thread_id == "approval")
            approve.invoke(Command(resume={question.interrupt_id: "yes"}), _of("ann", "approval"))
            rest = session.calls.interrupts(filter={"user_id": "ann"})
            assert {one.thread_id for one in rest} == {"parallel"}

    def test_graphs_have_a_status(self, graphs: Graphs) -> None:
        """A graph that asks is interrupted, one that failed is an error; one that has ended, or has
        stopped at a static breakpoint, is idle."""
        log = graphs.run_log()
        with graphs.open() as session:
            approve = session.drive(approval(session.saver, log))
            approve.invoke({"wish": "tea"}, on_thread("asks"))
            approve.invoke({"wish": "tea"}, on_thread("stops"), interrupt_before=["approve"])
            approve.invoke({"wish": "tea"}, on_thread("ends"))
            approve.invoke(Command(resume="yes"), on_thread("ends"))
            workflow = session.drive(shaky_workflow(session.saver, log))
            with pytest.raises(NodeError):
                workflow.invoke(1, on_thread("fails"))
            found = {
                status: {one.thread_id for one in session.calls.list_threads(status=status).threads}
                for status in ("interrupted", "error", "idle")
            }
        assert found == {"interrupted": {"asks"}, "error": {"fails"}, "idle": {"stops", "ends"}}


def _of(user: str, thread_id: str) -> RunnableConfig:
    return {**on_thread(thread_id), "metadata": {"user_id": user}}


def _finished(graphs: Graphs, log: RunLog) -> list[str]:
    """The tasks of the running step whose writes are stored."""
    with graphs.open() as session:
        state = session.drive(hangs_beside(session.saver, log, hang=False)).get_state(
            on_thread("k")
        )
    return [task.name for task in state.tasks if task.result is not None]
