"""Fills a database with LangGraph's own Postgres saver, in all the ways that its threads come."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, TypedDict

import psycopg
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.postgres import PostgresSaver as OriginalSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt

from conformance_tests.build import Chain, large, on
from conformance_tests.facade import SyncFacade

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


@contextmanager
def original_saver(url: str) -> Iterator[OriginalSaver]:
    """LangGraph's own saver, set up."""
    with OriginalSaver.from_conn_string(url) as saver:
        saver.setup()
        yield saver


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    seen: Annotated[list[str], operator.add]
    name: str | None
    count: int
    share: float
    done: bool


def fill(saver: OriginalSaver) -> list[str]:
    """Threads of all kinds; returns their ids."""
    chat(saver)
    asked(saver)
    sent(saver)
    nested(saver)
    deltas(saver)
    before_v4(saver, "before v4")
    for thread_id in ODD:
        chain = Chain(SyncFacade(saver), thread_id)
        chain.put({"text": large(1), "n": 1, "list": [1, {"a": None}]})
        chain.put(
            {"n": 2.5, "none": None, "yes": True}, empty=["text"], own="kept", nested={"k": 1}
        )
        chain.write(("list", [2]), ("n", 3), path="~a")
    early = on("early", "", "1f000000-0000-6000-8000-000000000000")
    Chain(SyncFacade(saver), "early").put({"a": 1})
    saver.put_writes(early, [("a", large(2))], "task")
    return ["chat", "asked", "sent", "nested", "deltas", "before v4", "early", *ODD]


def _answer(state: State) -> State:
    count = state.get("count", 0) + 1
    said = AIMessage(f"answer {count}: {large(count, 3000)}", id=f"a{count}")
    return {"messages": [said], "count": count, "share": count / 3, "name": None, "done": count > 2}


def chat(saver: OriginalSaver, thread_id: str = "chat") -> None:
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


def asked(saver: OriginalSaver) -> None:
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


def sent(saver: OriginalSaver) -> None:
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


def nested(saver: OriginalSaver) -> None:
    """Answered once; the second question is open."""
    graph = nested_graph(saver)
    graph.invoke({"seen": ["begun"]}, on("nested"))
    graph.invoke(Command(resume="one"), on("nested"))


def _extend(old: list[str], writes: list[list[str]]) -> list[str]:
    return [*old, *(entry for some in writes for entry in some)]


def deltas(saver: OriginalSaver) -> None:
    """LangGraph's DeltaChannel: a snapshot is marked in the checkpoint, and is a blob."""

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


def before_v4(saver: OriginalSaver, thread_id: str) -> None:
    """Rows as version 2 of the package wrote them: every value is a blob, sends are writes."""
    serde = JsonPlusSerializer()
    version = "00000000000000000000000000000002.0.5"
    ids = [f"1ef4f797-8335-6428-800{n}-8a1503f9b875" for n in range(3)]
    assert isinstance(saver.conn, psycopg.Connection)
    with psycopg.connect(saver.conn.info.dsn, autocommit=True) as connection:
        for n, checkpoint_id in enumerate(ids):
            body = {
                "v": 3,
                "ts": "2024-05-04T06:32:42.235444+00:00",
                "id": checkpoint_id,
                "channel_versions": {"text": version, "gone": version},
                "versions_seen": {"node": {"text": version}},
                "pending_sends": [],
            }
            told = {
                "source": "loop",
                "step": n,
                "writes": {"node": {"text": "a"}},
                "thread_id": "x",
            }
            connection.execute(
                "INSERT INTO checkpoints (thread_id, checkpoint_id, parent_checkpoint_id, type, "
                "checkpoint, metadata) VALUES (%s, %s, %s, NULL, %s, %s)",
                (thread_id, checkpoint_id, ids[n - 1] if n else "", *map(json.dumps, (body, told))),
            )
        for channel, row in {"text": serde.dumps_typed("plain"), "gone": ("empty", None)}.items():
            connection.execute(
                "INSERT INTO checkpoint_blobs VALUES (%s, '', %s, %s, %s, %s)",
                (thread_id, channel, version, *row),
            )
        for n, task in enumerate("ba"):
            sent = serde.dumps_typed(Send("node", {"n": n}))
            connection.execute(
                "INSERT INTO checkpoint_writes "
                "VALUES (%s, '', %s, %s, %s, '__pregel_tasks', %s, %s)",
                (thread_id, ids[1], f"task {task}", n, *sent),
            )
