"""What each operation asks of the database, counted without one being in the way."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from langgraph.checkpoint.base import ChannelVersions

from checkpoint_base.errors import CorruptValueError
from checkpoint_base.plan import Atomic, InCallersTransaction, Plan, Unlimited, run
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.planner import HeadQuery, Listing
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_sqlite import SqliteSaver
from checkpoint_sqlite.connection.jobs import Single, in_snapshot
from checkpoint_sqlite.connection.session import SqliteSession
from checkpoint_sqlite.saver.planner import SqlitePlanner

BIG = "".join(f"{number} bottles of beer on the wall\n" for number in range(2000))


class Counting:
    """Performs plans on a connection and counts what they ask for."""

    def __init__(self, ttl: Any = None, clock: Callable[[], float] = time.time) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.session = SqliteSession(self.connection)
        self.planner = SqlitePlanner(TTLPolicy.of(ttl), clock)
        self.codec = Codec(SqliteSaver.serde)
        self.counts: Counter[str] = Counter()
        self.rows = 0
        self.run(self.planner.setup())

    def run(self, plan: Plan[Any]) -> Any:
        self.counts.clear()
        self.rows = 0
        return run(plan, self.perform)

    def perform(self, request: Any) -> Any:
        if isinstance(request, Unlimited):
            return self.perform(request.request)
        if isinstance(request, Atomic):
            self.counts["writes" if request.write else "reads"] += 1
            return run(request.make(), self.perform)
        if isinstance(request, InCallersTransaction):  # which sends nothing
            return False
        if isinstance(request, Single):
            return run(in_snapshot(request), self.perform)
        self.counts["statements"] += 1
        reply = self.session.perform(request)
        self.rows += len(reply) if isinstance(reply, list) else 0
        return reply

    def put(self, step: int, ttl: float | None = None, **values: Any) -> Any:
        checkpoint: Any = {
            "v": 4,
            "id": f"{step:08}",
            "ts": "",
            "channel_values": values,
            "channel_versions": dict.fromkeys(values, step),
            "versions_seen": {},
        }
        config: Any = {"configurable": {"thread_id": "t", "checkpoint_id": f"{step - 1:08}"}}
        if ttl is not None:
            config["configurable"]["ttl"] = ttl
        new: ChannelVersions = dict.fromkeys(values, step)
        return self.run(self.planner.put(self.codec, config, checkpoint, {"step": step}, new))


@contextmanager
def opened(*options: Any) -> Iterator[Counting]:
    counting = Counting(*options)
    yield counting
    counting.connection.close()


@pytest.fixture
def counting() -> Iterator[Counting]:
    with opened() as one:
        yield one


def test_setup_asks_once_and_then_only_looks(counting: Counting) -> None:
    counting.run(counting.planner.setup())
    assert counting.counts == {"reads": 1, "statements": 2}


def test_a_put_is_one_transaction_of_few_statements(counting: Counting) -> None:
    counting.put(1, a="small", b=BIG)
    for step in (2, 3):
        counting.put(step, a="small", b=BIG + str(step) * 5000)
        assert counting.counts == {"writes": 1, "statements": 5}
    counting.put(4, a="small")
    assert counting.counts == {"writes": 1, "statements": 3}


def put_beside(counting: Counting, planner: SqlitePlanner, step: int, **new: Any) -> None:
    """A checkpoint with a large value that is as it was at first."""
    state = {"kept": BIG, **new}
    checkpoint: Any = {
        "v": 4,
        "id": f"{step:08}",
        "ts": "",
        "channel_values": state,
        "channel_versions": {**dict.fromkeys(new, step), "kept": 1},
        "versions_seen": {},
    }
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_id": f"{step - 1:08}"}}
    changed: ChannelVersions = dict.fromkeys(state if step == 1 else new, step)
    counting.run(planner.put(counting.codec, config, checkpoint, {"step": step}, changed))


def test_a_put_looks_for_no_unchanged_value_that_cannot_have_been_removed(
    counting: Counting,
) -> None:
    for step in (1, 2, 3):
        put_beside(counting, counting.planner, step, a=step)
    assert counting.counts == {"writes": 1, "statements": 3}  # thread, checkpoint, thread
    reader = SqlitePlanner(TTLPolicy.of(None))  # as another process, that reads first
    counting.run(reader.get_tuple(counting.codec, {"configurable": {"thread_id": "t"}}))
    put_beside(counting, reader, 4, a=4)
    assert counting.counts == {"writes": 1, "statements": 3}


def test_a_put_stores_an_unchanged_value_again_that_another_process_removed(
    counting: Counting,
) -> None:
    other = SqlitePlanner(TTLPolicy.of(None))
    for step in (1, 2):
        put_beside(counting, counting.planner, step, a=step)
    for step in (3, 4):  # with other values
        checkpoint: Any = {
            "v": 4,
            "id": f"{step:08}",
            "ts": "",
            "channel_values": {"a": step},
            "channel_versions": {"a": step},
            "versions_seen": {},
        }
        config: Any = {"configurable": {"thread_id": "t"}}
        counting.run(other.put(counting.codec, config, checkpoint, {}, {"a": step}))
    counting.run(other.prune(counting.codec, ["t"], "keep_latest"))
    put_beside(counting, counting.planner, 3, a=3)  # goes on from the one that was pruned
    config = {"configurable": {"thread_id": "t", "checkpoint_id": "00000003"}}
    found = counting.run(counting.planner.get_tuple(counting.codec, config))
    assert found.checkpoint["channel_values"] == {"kept": BIG, "a": 3}


def test_put_writes_is_one_transaction(counting: Counting) -> None:
    config = counting.put(1, a=1)
    writes = [("a", 1), ("b", BIG)]
    counting.run(counting.planner.put_writes(counting.codec, config, writes, "task", ""))
    assert counting.counts["writes"] == 1
    assert counting.counts["reads"] == 0


def test_reading_costs_the_same_however_long_the_thread_is(counting: Counting) -> None:
    costs = []
    for step in range(1, 61):
        counting.put(step, a=step, b=BIG + str(step))
        counting.run(
            counting.planner.get_tuple(counting.codec, {"configurable": {"thread_id": "t"}})
        )
        costs.append(dict(counting.counts))
    assert all(cost == {"statements": 4} for cost in costs)


def test_a_checkpoint_of_small_values_is_read_with_one_statement(counting: Counting) -> None:
    for step in range(1, 9):
        config = counting.put(step, a=step, b="small" * step, c=None)
    writes = [("a", 1), ("b", "small")]
    counting.run(counting.planner.put_writes(counting.codec, config, writes, "task", ""))
    found = counting.run(counting.planner.get_tuple(counting.codec, config))
    assert counting.counts == {"statements": 1}
    assert found.checkpoint["channel_values"] == {"a": 8, "b": "small" * 8, "c": None}
    assert found.pending_writes == [("task", "a", 1), ("task", "b", "small")]


def test_a_page_of_list_is_four_statements_however_many_checkpoints(counting: Counting) -> None:
    for step in range(1, 61):
        counting.put(step, a=step, b=BIG + str(step))
    for limit in (1, 10, 50):
        listing = Listing.of({"configurable": {"thread_id": "t"}}, None, None, limit)
        page = counting.run(counting.planner.list_page(counting.codec, listing))
        assert len(page.tuples) == limit
        assert counting.counts == {"reads": 1, "statements": 4}


def test_a_look_at_threads_is_one_statement_and_another_for_interrupts(counting: Counting) -> None:
    for step in range(1, 61):
        counting.put(step, a=step, b=BIG + str(step))
    query = HeadQuery("", None, None, 10, None, ['"step":60'])
    (head,) = counting.run(counting.planner.list_heads(query)).heads
    assert head.checkpoint is not None
    assert counting.counts == {"reads": 1, "statements": 1}
    counting.run(counting.planner.list_heads(replace(query, interrupts=True)))
    assert counting.counts == {"reads": 1, "statements": 2}


@pytest.mark.parametrize(("wanted", "most"), [(3, 6), (3.0, 11)])  # 3, 30 to 39, 300; all
def test_a_filter_that_matches_rarely_is_few_statements(
    counting: Counting, wanted: float, most: int
) -> None:
    for step in range(1, 301):
        counting.put(step, a=step)
    listing = Listing.of({"configurable": {"thread_id": "t"}}, {"step": wanted}, None, 1)
    page = counting.run(counting.planner.list_page(counting.codec, listing))
    assert [each.metadata["step"] for each in page.tuples] == [3]
    assert counting.counts["reads"] == 1
    assert counting.counts["statements"] <= most


def test_a_chain_of_a_thousand_ancestors_is_few_statements(counting: Counting) -> None:
    for step in range(1, 1001):
        counting.put(step, **({"log": ["seed"]} if step == 1 else {"other": step}))
    config: Any = {"configurable": {"thread_id": "t"}}
    plan = counting.planner.delta_history(counting.codec, config, ["log"])
    counting.run(plan)
    assert counting.counts["reads"] == 1
    assert counting.counts["statements"] < 20


def test_only_the_ancestors_that_are_needed_are_checked(counting: Counting) -> None:
    for step in range(1, 301):
        counting.put(step, log=["seed", step])
    damaged = "UPDATE saver_checkpoints SET link_checksum = zeroblob(8) WHERE checkpoint_id < ?"
    counting.connection.execute(damaged, (f"{299:08}",))
    config: Any = {"configurable": {"thread_id": "t"}}
    found = counting.run(counting.planner.delta_history(counting.codec, config, ["log"]))
    assert found["log"]["seed"] == ["seed", 299]
    assert counting.rows < 25
    counting.connection.execute(damaged, (f"{300:08}",))
    with pytest.raises(CorruptValueError):
        counting.run(counting.planner.delta_history(counting.codec, config, ["log"]))


CONFIG: Any = {"configurable": {"thread_id": "t"}}
READS: dict[str, Callable[[Counting], Plan[Any]]] = {
    "get_tuple": lambda own: own.planner.get_tuple(own.codec, CONFIG),
    "list": lambda own: own.planner.list_page(own.codec, Listing.of(CONFIG, None, None, 1)),
    "delta history": lambda own: own.planner.delta_history(own.codec, CONFIG, ["a"]),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("own_ttl", [None, 10])
def test_a_read_that_moves_an_expiry_a_little_writes_nothing(
    name: str, own_ttl: float | None
) -> None:
    now = 1e9
    read = READS[name]
    ttl = {"default_ttl": 10 if own_ttl is None else 1000}
    with opened(ttl, lambda: now) as counting:
        counting.put(1, own_ttl, a=1)
        counting.put(2, a=2)
        for step, writes in ((0, 0), (11, 0), (2, 1), (0, 0), (12, 0), (1, 1)):
            now += step
            counting.run(read(counting))
            assert counting.counts["writes"] == writes


def test_deleting_a_thread_is_one_transaction(counting: Counting) -> None:
    for step in range(1, 20):
        counting.put(step, a=BIG + str(step))
    counting.run(counting.planner.delete_thread("t"))
    assert counting.counts == {"writes": 1, "statements": 6}
