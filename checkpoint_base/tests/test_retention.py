"""The retention policy: its arguments, and how it decides."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from checkpoint_base import InvalidArgumentError, MemorySaver, Retention
from checkpoint_base.saver.ttl.retention import created_at, duration
from checkpoint_base.tests.load import arguments


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("30d", 2_592_000), ("12h", 43_200), ("90m", 5_400), ("45s", 45), ("1.5w", 907_200)],
)
def test_durations(given: str, seconds: float) -> None:
    assert duration("idle", given) == timedelta(seconds=seconds)
    assert Retention(idle=given) == Retention(idle=timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"keep_last": 0},
        {"keep_last": True},
        {"keep_last": 1.0},
        {"max_age": "30"},
        {"max_age": "30 d"},
        {"max_age": "-1d"},
        {"max_age": 30},
        {"max_age": "9999999999999999w"},
        {"idle": "0d"},
        {"idle": timedelta(days=-1)},
        {"idle": "1y"},
        {"keep_last": 1, "namespaces": "sub"},
        {"keep_last": 1, "where": ["user"]},
    ],
)
def test_invalid_policies(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        Retention(**given)


def test_the_time_in_a_checkpoint_id() -> None:
    before = time.time()
    found = created_at(str(uuid6(clock_seq=3)))
    assert found is not None
    assert before - 0.001 <= found <= time.time() + 0.001
    for other in ("00000001", "", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"):  # the last is a UUID v1
        assert created_at(other) is None


def test_prune_takes_a_policy_or_threads() -> None:
    saver = MemorySaver()
    for step in range(4):
        saver.put(*arguments("t", step))
    with pytest.raises(InvalidArgumentError, match="dry_run"):
        saver.prune(["t"], dry_run=True)  # type: ignore[call-overload]
    with pytest.raises(InvalidArgumentError, match="dry_run"):
        asyncio.run(saver.aprune(["t"], dry_run=True))  # type: ignore[call-overload]
    assert saver.prune(Retention(keep_last=3)).checkpoints_removed == 1
    assert asyncio.run(saver.aprune(Retention(keep_last=2))).checkpoints_removed == 1
    saver.prune(["t"])
    assert saver.stats("t")["checkpoints"] == 1


class State(TypedDict, total=False):
    said: str


def asks(state: State) -> State:
    return {"said": interrupt("go on?")}


def asking_graph(saver: MemorySaver, *, nested: bool) -> Any:
    inner = StateGraph(State)
    inner.add_node("asks", asks)
    inner.add_edge(START, "asks")
    if not nested:
        return inner.compile(checkpointer=saver)
    outer = StateGraph(State)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "inner")
    return outer.compile(checkpointer=saver)


@pytest.mark.parametrize("nested", [False, True])
def test_a_graph_that_waits_for_an_answer_goes_on_after_it(nested: bool) -> None:
    now = [0.0]
    saver = MemorySaver(clock=lambda: now[0])
    graph = asking_graph(saver, nested=nested)
    config: Any = {"configurable": {"thread_id": "ann"}}
    for answer in ("yes", "no"):
        graph.invoke({}, config)
        now[0] += 1_000
        report = saver.prune(Retention(idle="1s"))
        assert (report.threads_removed, report.threads_pruned) == (0, 1)
        assert graph.invoke(Command(resume=answer), config) == {"said": answer}
    now[0] += 1_000
    assert saver.prune(Retention(idle="1s")).threads_removed == 1
