"""The workloads: each drives one saver on an empty database and checks what it reads back."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    empty_checkpoint,
)
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph

from benchmarks.rivals import Rival, Saver, database_bytes


class WrongAnswerError(Exception):
    """A saver did not return what was put, which makes its figures meaningless."""


@dataclass(frozen=True)
class Size:
    turns: int = 200
    steps: int = 100
    checkpoints: int = 1_000
    threads: int = 64
    steps_per_thread: int = 10


WARM_UP = Size(turns=10, steps=2, checkpoints=10, threads=2, steps_per_thread=2)
QUICK = Size(turns=40, steps=20, checkpoints=200, threads=64, steps_per_thread=2)


@dataclass
class Result:
    """Measurements of one run of a workload: figures by name, and bytes by number of turns."""

    figures: dict[str, float]
    growth: dict[int, int]


def expect(right: bool, what: str) -> None:
    if not right:
        raise WrongAnswerError(what)


class Samples:
    """Durations of repeated calls, in milliseconds."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    @contextmanager
    def timed(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.taken.append((time.perf_counter() - started) * 1e3)

    @property
    def p50(self) -> float:
        return statistics.median(self.taken)


@lru_cache(maxsize=1)
def _words() -> list[str]:
    chance = random.Random(7)
    return ["".join(chance.choices("etaoinshrdlucmf", k=chance.randint(2, 9))) for _ in range(4000)]


@lru_cache(maxsize=4096)
def prose(characters: int, seed: int) -> str:
    """Pseudo-random words of `characters` characters in total, deterministic for a seed."""
    chance = random.Random(seed)
    words: list[str] = []
    length = 0
    while length < characters:
        words.append(chance.choice(_words()))
        length += len(words[-1]) + 1
    return " ".join(words)[:characters]


def config_of(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


class Chain:
    """Makes the arguments of a thread's puts. Each step changes one of its channels."""

    def __init__(
        self, saver: Saver, thread_id: str, channels: int, make: Callable[[int], Any]
    ) -> None:
        self.saver, self.make = saver, make
        self.config = config_of(thread_id)
        self.values: dict[str, Any] = {f"channel{i}": make(i) for i in range(channels)}
        self.versions: dict[str, Any] = {
            channel: saver.get_next_version(None, None) for channel in self.values
        }
        self.step = 0

    def put_arguments(
        self,
    ) -> tuple[RunnableConfig, Checkpoint, CheckpointMetadata, dict[str, Any]]:
        new = dict(self.versions)
        if self.step:
            channel = f"channel{self.step % len(self.values)}"
            self.values[channel] = self.make(len(self.values) + self.step)
            self.versions[channel] = self.saver.get_next_version(self.versions[channel], None)
            new = {channel: self.versions[channel]}
        checkpoint = empty_checkpoint()
        checkpoint["id"] = str(uuid6(clock_seq=-2))
        checkpoint["channel_values"] = dict(self.values)
        checkpoint["channel_versions"] = dict(self.versions)
        metadata: CheckpointMetadata = {"source": "loop", "step": self.step - 1, "parents": {}}
        self.step += 1
        return self.config, checkpoint, metadata, new

    def check(self, values: dict[str, Any]) -> None:
        expect(values == self.values, "other channel values read back than were put")


class ChatState(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def _answer(state: ChatState) -> dict[str, list[AnyMessage]]:
    said = len(state["messages"])
    return {"messages": [AIMessage(prose(500, said), id=f"answer{said}")]}


def chat_graph(saver: Saver) -> CompiledStateGraph[ChatState, None, ChatState, ChatState]:
    graph = StateGraph(ChatState)
    graph.add_node("answer", _answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


def chat(rival: Rival, path: Path, size: Size) -> Result:
    """A chat through a compiled graph: each turn asks and answers 500 characters."""
    turn = Samples()
    growth: dict[int, int] = {}
    with rival.open(path) as saver:
        graph = chat_graph(saver)
        for i in range(1, size.turns + 1):
            question = HumanMessage(prose(500, 10**6 + i), id=f"question{i}")
            with turn.timed():
                graph.invoke({"messages": [question]}, config_of("chat"))
            if i % 10 == 0:
                growth[i] = database_bytes(path)
        messages = graph.get_state(config_of("chat")).values["messages"]
    expect(len(messages) == 2 * size.turns, "messages lost")
    expect(messages[0].content == prose(500, 10**6 + 1), "the first message changed")
    return Result(
        {
            "chat_mb": growth[size.turns] / 1e6,
            "chat_turn_ms": statistics.fmean(turn.taken),
        },
        growth,
    )


def calls(rival: Rival, path: Path, size: Size) -> Result:
    """put, put_writes and get_tuple with 20 channels of 64 KB, one of which changes each step."""
    put, put_writes, get_tuple = Samples(), Samples(), Samples()
    with rival.open(path) as saver:
        chain = Chain(saver, "calls", 20, lambda i: {"document": prose(65_536, i)})
        found = None
        for i in range(size.steps):
            arguments = chain.put_arguments()
            with put.timed():
                chain.config = saver.put(*arguments)
            writes = [("channel0", chain.values[f"channel{i % 20}"])]
            with put_writes.timed():
                saver.put_writes(chain.config, writes, f"00000000-0000-0000-0000-{i:012d}")
            with get_tuple.timed():
                found = saver.get_tuple(config_of("calls"))
            expect(found is not None and len(found.pending_writes or []) == 1, "a write was lost")
        assert found is not None
        chain.check(found.checkpoint["channel_values"])
    # the first put carries all 20 channels, the others one
    put.taken.pop(0)
    return Result(
        {"put_ms": put.p50, "put_writes_ms": put_writes.p50, "get_tuple_ms": get_tuple.p50}, {}
    )


def listing(rival: Rival, path: Path, size: Size) -> Result:
    """List the newest 10 checkpoints of a long thread, with and without a namespace."""
    by_thread: RunnableConfig = {"configurable": {"thread_id": "long"}}
    figures = {}
    with rival.open(path) as saver:
        chain = Chain(saver, "long", 5, lambda i: {"note": prose(200, i)})
        for i in range(size.checkpoints):
            chain.config = saver.put(*chain.put_arguments())
            task = f"00000000-0000-0000-0000-{i:012d}"
            saver.put_writes(chain.config, [("channel0", {"note": i})], task)
        for name, config in (("list10", by_thread), ("list10_namespace", config_of("long"))):
            newest = Samples()
            page: list[CheckpointTuple] = []
            for _ in range(10):
                with newest.timed():
                    page = list(saver.list(config, limit=10))
            last = size.checkpoints - 2
            steps = [item.metadata["step"] for item in page]
            expect(steps == list(range(last, last - 10, -1)), "list gave other checkpoints")
            expect(all(len(item.pending_writes or []) == 1 for item in page), "a write was lost")
            chain.check(page[0].checkpoint["channel_values"])
            figures[f"{name}_ms"] = newest.p50
    return Result(figures, {})


def concurrent(rival: Rival, path: Path, size: Size) -> Result:
    """Concurrent threads on the async saver; a step is a put, a put_writes and a get_tuple."""

    async def one_thread(saver: Saver, thread_id: str, steps: int) -> None:
        chain = Chain(saver, thread_id, 5, lambda i: {"note": prose(1_000, i % 64)})
        for i in range(steps):
            chain.config = await saver.aput(*chain.put_arguments())
            writes = [("channel0", chain.values["channel0"])]
            await saver.aput_writes(chain.config, writes, f"00000000-0000-0000-0000-{i:012d}")
            found = await saver.aget_tuple(config_of(thread_id))
            assert found is not None
            chain.check(found.checkpoint["channel_values"])

    async def all_threads() -> float:
        async with rival.aopen(path) as saver:
            await one_thread(saver, "warm", 2)
            started = time.perf_counter()
            names = [f"thread{i}" for i in range(size.threads)]
            await asyncio.gather(*(one_thread(saver, n, size.steps_per_thread) for n in names))
            return time.perf_counter() - started

    seconds = asyncio.run(all_threads())
    return Result({"steps_per_s": size.threads * size.steps_per_thread / seconds}, {})


WORKLOADS: tuple[Callable[[Rival, Path, Size], Result], ...] = (chat, calls, listing, concurrent)
