"""Sample graphs with interrupts. A module, so that another process can import them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypedDict, TypeVar

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import set_config_context
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from conformance_tests.savers.graphs.driver import Graph, Saver
from conformance_tests.savers.graphs.nodes import RunLog, Trail, leaves_trail

T = TypeVar("T")


def in_context(config: RunnableConfig, call: Callable[..., T], *args: Any) -> T:
    """Call a function that reads the run's config from the context, as `interrupt` and tasks do.

    LangGraph sets the context itself, except in async runs on Python 3.10, where asyncio tasks do
    not accept a context.
    """
    with set_config_context(config) as context:
        return context.run(call, *args)


def ask(config: RunnableConfig, question: Any) -> Any:
    """Interrupt the run with a question; returns the answer, in this run or a later one."""
    return in_context(config, interrupt, question)


class Request(TypedDict, total=False):
    wish: str
    plan: str
    answer: Any
    done: str


def approval(saver: Saver, log: RunLog) -> Graph:
    """A graph plan -> approve (interrupts) -> act."""

    def plan(state: Request) -> Request:
        log.mark("plan")
        return {"plan": f"plan for {state['wish']}"}

    def approve(state: Request, config: RunnableConfig) -> Request:
        log.mark("approve")
        return {"answer": ask(config, {"question": "go on?", "plan": state["plan"]})}

    def act(state: Request) -> Request:
        log.mark("act")
        return {"done": f"{state['plan']}: {state['answer']}"}

    build = StateGraph(Request)
    build.add_node("plan", plan)
    build.add_node("approve", approve)
    build.add_node("act", act)
    build.add_edge(START, "plan")
    build.add_edge("plan", "approve")
    build.add_edge("approve", "act")
    build.add_edge("act", END)
    return build.compile(checkpointer=saver)


def three_questions(saver: Saver, log: RunLog) -> Graph:
    """A graph of one node that interrupts three times, so earlier answers must be kept."""

    def asks(state: Trail, config: RunnableConfig) -> Trail:
        log.mark("asks")
        name = ask(config, "name?")
        age = ask(config, f"age of {name}?")
        town = ask(config, f"town of {name}, {age}?")
        return {"trail": [*state["trail"], f"{name}, {age}, {town}"]}

    build = StateGraph(Trail)
    build.add_node("asks", asks)
    build.add_edge(START, "asks")
    build.add_edge("asks", END)
    return build.compile(checkpointer=saver)


class AskingNode(Protocol):
    """A node of `parallel_questions`."""

    def __call__(self, state: Trail, config: RunnableConfig) -> Trail: ...


def parallel_questions(saver: Saver, log: RunLog) -> Graph:
    """A graph in which two nodes interrupt in the same step, and a third one finishes."""
    build = StateGraph(Trail)

    def asks(name: str) -> AskingNode:
        leaves = leaves_trail(name, log)

        def node(state: Trail, config: RunnableConfig) -> Trail:
            left = leaves(state)["trail"]
            return {"trail": [*left, f"{name} says {ask(config, f'what does {name} say?')}"]}

        return node

    build.add_node("left", asks("left"))
    build.add_node("quiet", leaves_trail("quiet", log))
    build.add_node("right", asks("right"))
    build.add_node("gather", leaves_trail("gather", log))
    for name in ("left", "quiet", "right"):
        build.add_edge(START, name)
    build.add_edge(["left", "quiet", "right"], "gather")
    build.add_edge("gather", END)
    return build.compile(checkpointer=saver)


class Turn(TypedDict, total=False):
    asked: str
    answers: Annotated[list[str], operator.add]
    answer: str


class Inner(TypedDict, total=False):
    asked: str
    kept: Annotated[list[str], operator.add]
    answer: str


def with_subgraph(saver: Saver, *, own_memory: bool, asks: bool = False) -> Graph:
    """A graph before -> inside (note -> reply) -> after.

    With `own_memory`, the subgraph keeps its channel `kept` between runs of the parent; else it
    starts empty each time. With `asks`, its second node interrupts.
    """

    def note(state: Inner) -> Inner:
        return {"kept": [state["asked"]]}

    def reply(state: Inner, config: RunnableConfig) -> Inner:
        verdict = ask(config, f"reply to {state['asked']}?") if asks else "ok"
        return {"answer": f"{verdict}: {', '.join(state['kept'])}"}

    inner = StateGraph(Inner)
    inner.add_node("note", note)
    inner.add_node("reply", reply)
    inner.add_edge(START, "note")
    inner.add_edge("note", "reply")
    inner.add_edge("reply", END)

    def before(state: Turn) -> Turn:
        return {"answers": [f"asked for {state['asked']}"]}

    def after(state: Turn) -> Turn:
        return {"answers": [state["answer"]]}

    build = StateGraph(Turn)
    build.add_node("before", before)
    build.add_node("inside", inner.compile(checkpointer=True if own_memory else None))
    build.add_node("after", after)
    build.add_edge(START, "before")
    build.add_edge("before", "inside")
    build.add_edge("inside", "after")
    build.add_edge("after", END)
    return build.compile(checkpointer=saver)
