"""Sample workflows of the functional API. A module, so that another process can import them.

No `from __future__ import annotations`: `entrypoint` needs annotations as objects.
"""

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.func import entrypoint, task
from langgraph.types import interrupt

from conformance_tests.savers.graphs.driver import Graph, Saver
from conformance_tests.savers.graphs.nodes import NodeError, RunLog
from conformance_tests.savers.graphs.questions import in_context


def running_total(saver: Saver) -> Graph:
    """A workflow that returns the total before this run, and saves the one after it."""

    @entrypoint(checkpointer=saver)
    def add(number: int, *, previous: Any = None) -> entrypoint.final[int, int]:
        before = previous or 0
        return entrypoint.final(value=before, save=before + number)

    return add


def remembers_its_answer(saver: Saver) -> Graph:
    """A workflow without `entrypoint.final`: `previous` is the return value of the last run."""

    @entrypoint(checkpointer=saver)
    def chain(word: str, *, previous: Any = None) -> list[str]:
        return [*(previous or []), word]

    return chain


def shaky_workflow(saver: Saver, log: RunLog) -> Graph:
    """A workflow of three tasks; the last one fails in its first run, after the others."""

    @task
    def double(number: int) -> int:
        log.mark(f"double-{number}")
        return 2 * number

    @task
    def shaky(number: int) -> int:
        if log.mark("shaky") == 1:
            raise NodeError("shaky fails")
        return number + 1

    def body(number: int) -> dict[str, int]:
        log.mark("workflow")
        both = [double(number), double(number + 1)]
        doubled = [one.result() for one in both]
        return {"doubled": sum(doubled), "answer": shaky(sum(doubled)).result()}

    @entrypoint(checkpointer=saver)
    def workflow(number: int, *, config: RunnableConfig) -> dict[str, int]:
        return in_context(config, body, number)

    return workflow


def approved_workflow(saver: Saver, log: RunLog) -> Graph:
    """A workflow of a task, an interrupt, and a task that uses the answer."""

    @task
    def write(topic: str) -> str:
        log.mark("write")
        return f"essay on {topic}"

    @task
    def publish(essay: str, verdict: str) -> str:
        log.mark("publish")
        return f"{essay} ({verdict})"

    def body(topic: str) -> str:
        log.mark("workflow")
        essay = write(topic).result()
        verdict = interrupt({"essay": essay})
        return publish(essay, verdict).result()

    @entrypoint(checkpointer=saver)
    def workflow(topic: str, *, config: RunnableConfig) -> str:
        return in_context(config, body, topic)

    return workflow
