"""Sample graphs of the clauses. A module, so that another process can import them."""

from __future__ import annotations

import operator
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send

from conformance_tests.savers.graphs.driver import Graph, Saver, on_thread

SNAPSHOT_EVERY = 3
"""Updates between two snapshots of `delta_chat`: few, so that steps with and without occur."""

GIVE_UP_AFTER = 30.0
"""Timeout of waits for another task or process, in seconds."""


class NodeError(Exception):
    """An error that a node raises on purpose."""


class RunLog:
    """Counts runs of nodes and tasks in a file, which all processes share."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def mark(self, name: str) -> int:
        """Record a run; returns the number of runs of this name, including this one."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")
        return self.counts()[name]

    def counts(self) -> Counter[str]:
        if not self.path.exists():
            return Counter()
        return Counter(self.path.read_text(encoding="utf-8").split())


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Poll until the condition holds; after a timeout, fail with `what` was awaited."""
    deadline = time.monotonic() + GIVE_UP_AFTER
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {GIVE_UP_AFTER} s in vain: {what}")
        time.sleep(0.01)


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def said(text: str, at: int) -> dict[str, Any]:
    """The input of a turn. A fixed message id makes two runs of a story comparable."""
    return {"messages": [HumanMessage(text, id=f"h{at}")]}


def _answer(state: Chat) -> dict[str, Any]:
    seen = state["messages"]
    return {"messages": [AIMessage(f"{len(seen)}: {seen[-1].content}", id=f"a{len(seen)}")]}


def chat(saver: Saver) -> Graph:
    """A graph of one node, which answers with the number of messages so far."""
    build = StateGraph(Chat)
    build.add_node("bot", _answer)
    build.add_edge(START, "bot")
    build.add_edge("bot", END)
    return build.compile(checkpointer=saver)


def _extend(state: list[Any] | None, writes: Sequence[Any]) -> list[Any]:
    out = list(state or [])
    for write in writes:
        out.extend(write if isinstance(write, list) else [write])
    return out


class DeltaChat(TypedDict):
    messages: Annotated[list[AnyMessage], DeltaChannel(_extend, snapshot_frequency=SNAPSHOT_EVERY)]
    turns: Annotated[int, operator.add]


def delta_chat(saver: Saver) -> Graph:
    """The graph `chat`, with its messages in a DeltaChannel."""

    def bot(state: DeltaChat) -> dict[str, Any]:
        seen = state["messages"]
        answer = AIMessage(f"{len(seen)}: {seen[-1].content}", id=f"a{len(seen)}")
        return {"messages": [answer], "turns": 1}

    build = StateGraph(DeltaChat)
    build.add_node("bot", bot)
    build.add_edge(START, "bot")
    build.add_edge("bot", END)
    return build.compile(checkpointer=saver)


WRITERS = ("anna", "ben", "cleo", "dora", "emil", "fay")


class DeltaNode(Protocol):
    """A node of a graph whose messages are in a DeltaChannel."""

    def __call__(self, state: DeltaChat) -> dict[str, Any]: ...


def delta_chorus(saver: Saver) -> Graph:
    """Six nodes that write to one DeltaChannel in one step. LangGraph orders them by task path."""

    def sings(name: str) -> DeltaNode:
        def node(state: DeltaChat) -> dict[str, Any]:
            seen = len(state["messages"])
            return {
                "messages": [AIMessage(f"{name} {at}", id=f"{name}-{seen}-{at}") for at in (0, 1)]
            }

        return node

    build = StateGraph(DeltaChat)
    for name in WRITERS:
        build.add_node(name, sings(name))
        build.add_edge(START, name)
        build.add_edge(name, END)
    return build.compile(checkpointer=saver)


class Trail(TypedDict):
    trail: Annotated[list[str], operator.add]


class TrailNode(Protocol):
    """A node of a graph whose state is a trail."""

    def __call__(self, state: Trail) -> Trail: ...


def leaves_trail(name: str, log: RunLog) -> TrailNode:
    """A node that logs its run, and appends its name and the length of the trail it read."""

    def node(state: Trail) -> Trail:
        log.mark(name)
        return {"trail": [f"{name}@{len(state['trail'])}"]}

    return node


def three_steps(saver: Saver, log: RunLog, **options: Any) -> Graph:
    """A graph first -> second -> third."""
    build = StateGraph(Trail)
    for name in ("first", "second", "third"):
        build.add_node(name, leaves_trail(name, log))
    build.add_edge(START, "first")
    build.add_edge("first", "second")
    build.add_edge("second", "third")
    build.add_edge("third", END)
    return build.compile(checkpointer=saver, **options)


def failing_sibling(saver: Saver, log: RunLog, fails: int = 1) -> Graph:
    """Two nodes in one step: `steady` finishes, `shaky` fails its first `fails` runs after that."""
    steady_leaves, shaky_leaves = leaves_trail("steady", log), leaves_trail("shaky", log)
    last = ["and on"]

    def steady(state: Trail) -> list[Command[Any]]:
        # two writes to one channel, whose order must be kept
        return [Command(update=steady_leaves(state)), Command(update={"trail": last})]

    def shaky(state: Trail, config: RunnableConfig) -> Trail:
        left = shaky_leaves(state)
        if log.counts()["shaky"] <= fails:
            thread = on_thread(config["configurable"]["thread_id"])
            # Fail only after the sibling's writes are stored, so that the order is certain.
            wait_until(lambda: _is_stored(saver, thread, last), "the finished sibling's writes")
            raise NodeError("shaky fails")
        return left

    build = StateGraph(Trail)
    build.add_node("steady", steady)
    build.add_node("shaky", shaky)
    build.add_edge(START, "steady")
    build.add_edge(START, "shaky")
    build.add_edge(["steady", "shaky"], END)
    return build.compile(checkpointer=saver)


def hangs_beside(saver: Saver, log: RunLog, *, hang: bool) -> Graph:
    """before -> steady and hangs in parallel; with `hang`, the latter waits until a timeout."""
    leaves = leaves_trail("hangs", log)

    def hangs(state: Trail) -> Trail:
        left = leaves(state)
        wait_until(lambda: not hang, "the kill of this process")
        return left

    build = StateGraph(Trail)
    build.add_node("before", leaves_trail("before", log))
    build.add_node("steady", leaves_trail("steady", log))
    build.add_node("hangs", hangs)
    build.add_edge(START, "before")
    build.add_edge("before", "steady")
    build.add_edge("before", "hangs")
    build.add_edge(["steady", "hangs"], END)
    return build.compile(checkpointer=saver)


def _is_stored(saver: Saver, thread: RunnableConfig, value: Any) -> bool:
    """Whether the newest checkpoint has a pending write of this value."""
    found = saver.get_tuple(thread)
    return found is not None and any(write[2] == value for write in found.pending_writes or ())


class Words(TypedDict, total=False):
    words: list[str]
    lengths: Annotated[list[str], operator.add]
    total: int


class Word(TypedDict):
    word: str


def fan_out(saver: Saver, log: RunLog, fail_on: str = "") -> Graph:
    """A `Send` for each word, then their sum. The first run with the word `fail_on` fails."""

    def measure(state: Word) -> dict[str, Any]:
        word = state["word"]
        if log.mark(word) == 1 and word == fail_on:
            raise NodeError(word)
        return {"lengths": [f"{word} {len(word)}"]}

    def add(state: Words) -> dict[str, Any]:
        log.mark("add")
        return {"total": sum(int(length.split()[1]) for length in state["lengths"])}

    def each(state: Words) -> list[Send]:
        return [Send("measure", {"word": word}) for word in state["words"]]

    build = StateGraph(Words)
    build.add_node("measure", measure)
    build.add_node("add", add)
    build.add_conditional_edges(START, each, ["measure"])
    build.add_edge("measure", "add")
    build.add_edge("add", END)
    return build.compile(checkpointer=saver)


def hand_over(saver: Saver, log: RunLog) -> Graph:
    """A node that routes with `Command(goto=..., update=...)` until three runs are done."""

    def work(state: Trail) -> Command[Any]:
        log.mark("work")
        at = len(state["trail"])
        return Command(goto="work" if at < 2 else END, update={"trail": [f"work@{at}"]})

    build = StateGraph(Trail)
    build.add_node("work", work, destinations=("work", END))
    build.add_edge(START, "work")
    return build.compile(checkpointer=saver)
