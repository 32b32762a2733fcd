"""Threads in all the ways that they come, made with any saver."""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt

from conformance_tests.samples.build import Chain, large, on
from conformance_tests.samples.driver_adapter import SyncFacade

ODD = [
    "",
    "a:b",
    "a/b",
    'it\'s 100 % "odd"',
    "é 日本 👩‍👩‍👧",
    "*",
    "$1",
    "{x}",
    "a\nb\t",
    "x" * 1000,
]


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    seen: Annotated[list[str], operator.add]
    name: str | None
    count: int
    share: float
    done: bool


def fill(saver: Any) -> list[str]:
    """Threads of all kinds; returns their ids."""
    chat(saver)
    asked(saver)
    sent(saver)
    nested(saver)
    deltas(saver)
    for thread_id in ODD:
        chain = Chain(SyncFacade(saver), thread_id)
        chain.put({"text": large(1), "n": 1, "list": [1, {"a": None}]})
        chain.put(
            {"n": 2.5, "none": None, "yes": True}, empty=["text"], own="kept", nested={"k": 1}
        )
        chain.write(("list", [2]), ("n", 3), path="~a")
    return ["chat", "asked", "sent", "nested", "deltas", *ODD]


def _answer(state: State) -> State:
    count = state.get("count", 0) + 1
    said = AIMessage(f"answer {count}: {large(count, 3000)}", id=f"a{count}")
    return {"messages": [said], "count": count, "share": count / 3, "name": None, "done": count > 2}


def chat(saver: Any, thread_id: str = "chat") -> None:
    """A conversation, an edit in the middle of it, and both ends gone on with."""
    builder = StateGraph(State)
    builder.add_node("answer", _answer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    graph = builder.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": thread_id}, "metadata": {"user": "ann", "n": 1}}
    for turn in range(6):
        graph.invoke({"messages": [HumanMessage(f"turn {turn}")]}, config)
    middle = list(graph.get_state_history(config))[5].config
    fork = graph.update_state(middle, {"messages": [HumanMessage("no: this")], "name": "é"})
    graph.invoke(None, fork)
    graph.invoke({"messages": [HumanMessage("on")]}, config)


def asked(saver: Any) -> None:
    """Stopped at a question, while another node is done and a third has failed."""

    def ask(state: State) -> State:
        return {"seen": [interrupt({"question": large(3, 5000)})]}

    def work(state: State) -> State:
        return {"seen": [large(4, 9000)]}

    def fail(state: State) -> State:
        raise ValueError("on purpose")

    builder = StateGraph(State)
    for node in (ask, work, fail):
        builder.add_node(node.__name__, node)
        builder.add_edge(START, node.__name__)
    graph = builder.compile(checkpointer=saver)
    with suppress(ValueError):
        graph.invoke({"seen": []}, on("asked"))


def sent(saver: Any) -> None:
    """A fan-out, with one of its tasks waiting."""

    def each(state: Any) -> State:
        return {"seen": [interrupt("ok?") if state["i"] == 1 else f"done {state['i']}"]}

    builder = StateGraph(State)
    builder.add_node("each", each)
    builder.add_conditional_edges(START, lambda _: [Send("each", {"i": i}) for i in range(3)])
    builder.compile(checkpointer=saver).invoke({"seen": []}, on("sent"))


def nested_graph(saver: Any) -> Any:
    """A subgraph in a subgraph that asks twice."""

    def ask(state: State) -> State:
        return {"seen": [interrupt("first?"), interrupt("second?")]}

    graph: Any = None
    for name, node in (("ask", ask), ("inner", None), ("middle", None)):
        builder = StateGraph(State)
        builder.add_node(name, node or graph)
        builder.add_edge(START, name)
        graph = builder.compile(checkpointer=saver if name == "middle" else None)
    return graph


def nested(saver: Any) -> None:
    """Answered once; the second question is open."""
    graph = nested_graph(saver)
    graph.invoke({"seen": ["begun"]}, on("nested"))
    graph.invoke(Command(resume="one"), on("nested"))


def _extend(old: list[str], writes: list[list[str]]) -> list[str]:
    return [*old, *(entry for some in writes for entry in some)]


def deltas(saver: Any) -> None:
    """LangGraph's DeltaChannel: a snapshot is marked in the checkpoint."""

    class Deltas(TypedDict):
        log: Annotated[list[str], DeltaChannel(_extend, snapshot_frequency=3)]

    def note(state: Any) -> Any:
        return {"log": [f"{len(state['log'])} {large(5, 4000)}"]}

    builder = StateGraph(Deltas)
    builder.add_node("note", note)
    builder.add_edge(START, "note")
    graph = builder.compile(checkpointer=saver)
    for turn in range(5):
        graph.invoke({"log": [f"turn {turn}"]}, on("deltas"))
