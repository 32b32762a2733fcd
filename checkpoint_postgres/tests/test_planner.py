"""What each operation asks of the database, counted: a request is a round trip."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.base import ChannelVersions

from checkpoint_base.plan import Atomic, InCallersTransaction, Plan, Unlimited, run
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.planner import HeadQuery, Listing, ThreadQuery
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_postgres import PostgresSaver
from checkpoint_postgres.connection.sync_driver import SingleConnection, SyncPostgresDriver
from checkpoint_postgres.saver.planner import PostgresPlanner
from checkpoint_postgres.tests.harness import PostgresHarness

BIG = "".join(f"{number} bottles of beer on the wall\n" for number in range(2000))
CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Counting:
    """Performs plans on a connection and counts what they ask for."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        ttl: Any = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.driver = SyncPostgresDriver(SingleConnection(connection))
        self.planner = PostgresPlanner(TTLPolicy.of(ttl), clock)
        self.codec = Codec(PostgresSaver.serde)
        self.counts: Counter[str] = Counter()
        self.run(self.planner.setup())

    def run(self, plan: Plan[Any]) -> Any:
        self.counts.clear()
        return run(plan, self.perform)

    def perform(self, request: Any) -> Any:
        if isinstance(request, Unlimited):
            return self.perform(request.request)
        if not isinstance(request, InCallersTransaction):  # which sends nothing
            self.counts["transactions" if isinstance(request, Atomic) else "statements"] += 1
        return self.driver.perform(request)

    def put(
        self,
        step: int,
        ttl: float | None = None,
        new: Sequence[str] | None = None,
        **values: Any,
    ) -> Any:
        """Put a checkpoint; `new`: the channels with a new version, all if it is None."""
        versions = {name: step if new is None or name in new else 1 for name in values}
        checkpoint: Any = {
            "v": 4,
            "id": f"{step:08}",
            "ts": "",
            "channel_values": values,
            "channel_versions": versions,
            "versions_seen": {},
        }
        config: Any = {"configurable": {"thread_id": "t", "checkpoint_id": f"{step - 1:08}"}}
        if ttl is not None:
            config["configurable"]["ttl"] = ttl
        changed: ChannelVersions = dict.fromkeys(values if new is None else new, step)
        return self.run(self.planner.put(self.codec, config, checkpoint, {"step": step}, changed))


@pytest.fixture
def connection(database: PostgresHarness) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.url, autocommit=True) as one:
        yield one


@pytest.fixture
def counting(connection: psycopg.Connection[Any]) -> Counting:
    return Counting(connection)


ONE = {"statements": 1}


def test_setup_asks_once_and_then_only_looks(counting: Counting) -> None:
    counting.run(counting.planner.setup())
    assert counting.counts == {"transactions": 1}


def test_puts_are_one_statement(counting: Counting) -> None:
    for step in range(1, 10):
        counting.put(step, a="small", b=BIG + str(step) * 5000 if step % 2 else "small")
        assert counting.counts == ONE, step


def test_a_put_on_a_log_that_is_not_known_looks_first(
    counting: Counting, connection: psycopg.Connection[Any]
) -> None:
    counting.put(1, a=BIG)
    cold = Counting(connection)
    cold.put(2, a=BIG + "more")
    assert cold.counts == {"statements": 1, "transactions": 1}
    cold.put(3, a=BIG + "more and more")
    assert cold.counts == ONE
    cold = Counting(connection)
    cold.run(cold.planner.get_tuple(cold.codec, CONFIG))
    cold.put(4, a=BIG + "and more")  # reading told it
    assert cold.counts == ONE


def test_a_put_whose_parent_is_not_known_reads_it_first(
    counting: Counting, connection: psycopg.Connection[Any]
) -> None:
    counting.put(1, a="small", b="small")
    counting.put(2, a="other", b="small", new=["a"])
    assert counting.counts == ONE
    cold = Counting(connection)
    cold.put(3, a="third", b="small", new=["a"])
    assert cold.counts == {"statements": 2}
    cold.put(4, a="fourth", b="small", new=["a"])
    assert cold.counts == ONE


def test_what_each_statement_of_a_page_tells_has_an_epoch_of_its_own(
    counting: Counting, connection: psycopg.Connection[Any]
) -> None:
    gone, kept = (random.Random(seed).randbytes(50_000) for seed in range(2))
    counting.put(1, a=kept)
    counting.put(10, a=gone)
    other, reader = Counting(connection), Counting(connection)

    def perform(request: Any) -> Any:
        if reader.counts == ONE:  # a filter for step 1 first meets step 10
            other.run(other.planner.delete_thread("t"))
            other.put(1, a=kept)
        return reader.perform(request)

    reader.counts.clear()
    plan = reader.planner.list_page(reader.codec, Listing.of(CONFIG, {"step": 1}, None, 1))
    assert [one.metadata["step"] for one in run(plan, perform).tuples] == [1]
    assert reader.counts == {"statements": 2}
    reader.put(2, a=gone)  # not there any more
    found = other.run(other.planner.get_tuple(other.codec, CONFIG))
    assert found.checkpoint["channel_values"]["a"] == gone


def test_put_writes_is_one_statement(counting: Counting) -> None:
    config = counting.put(1, a=1)
    for writes in ([("a", 1), ("b", BIG)], [("a", 1)], [("__error__", "e"), ("b", 2)]):
        for task in ("one", "another"):
            plan = counting.planner.put_writes(counting.codec, config, writes, task, "")
            counting.run(plan)
            assert counting.counts == ONE


def test_reads_and_deletion_are_one_statement(counting: Counting) -> None:
    planner, codec = counting.planner, counting.codec
    for step in range(1, 61):
        counting.put(step, a=step, b=BIG + str(step))
    found = counting.run(planner.get_tuple(codec, CONFIG))
    assert found.checkpoint["channel_values"]["b"] == BIG + "60"
    assert counting.counts == ONE
    for config in (CONFIG, None):
        for limit in (1, 10, 50):
            page = counting.run(planner.list_page(codec, Listing.of(config, None, None, limit)))
            assert len(page.tuples) == limit
            assert counting.counts == ONE
    counting.run(planner.list_threads(ThreadQuery.of("", None, None, 10, None)))
    assert counting.counts == ONE
    counting.run(planner.list_heads(HeadQuery("", None, None, 10, None, ['"step":60'])))
    assert counting.counts == ONE
    counting.run(planner.delete_thread("t"))
    assert counting.counts == ONE


def test_a_filter_that_the_database_cannot_judge_is_one_transaction(counting: Counting) -> None:
    planner, codec = counting.planner, counting.codec
    for step in range(1, 61):
        counting.put(step, a=step, b=BIG + str(step))

    def page(wanted: dict[str, Any]) -> list[int]:
        listing = Listing.of(CONFIG, wanted, None, 10)
        found = counting.run(planner.list_page(codec, listing))
        return [one.metadata["step"] for one in found.tuples]

    assert page({"step": 7}) == [7]
    assert counting.counts == ONE
    assert page({"step": 7.0}) == [7]
    assert counting.counts == {"transactions": 1}
    assert page({"step": [7]}) == []
    assert page({"other": None}) == list(range(60, 50, -1))


READS: dict[str, Callable[[Counting], Plan[Any]]] = {
    "get_tuple": lambda own: own.planner.get_tuple(own.codec, CONFIG),
    "list": lambda own: own.planner.list_page(own.codec, Listing.of(CONFIG, None, None, 1)),
    "delta history": lambda own: own.planner.delta_history(own.codec, CONFIG, ["a"]),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("own_ttl", [None, 10])
def test_a_read_that_moves_an_expiry_a_little_sends_nothing_for_it(
    connection: psycopg.Connection[Any], name: str, own_ttl: float | None
) -> None:
    now = 1e9
    default = 10 if own_ttl is None else 1000
    counting = Counting(connection, {"default_ttl": default}, lambda: now)
    counting.put(1, own_ttl, a=1)
    counting.put(2, a=2)
    read = READS[name]
    for step in (0, 11):
        now += step
        counting.run(read(counting))
        few = counting.counts.total()
    now += 2
    counting.run(read(counting))
    assert counting.counts.total() == few + 1
    counting.run(read(counting))
    assert counting.counts.total() == few
    quiet = Counting(connection, {"default_ttl": default, "refresh_on_read": False}, lambda: now)
    now += 200
    quiet.run(read(quiet))
    assert quiet.counts.total() == few


def test_a_chain_of_a_thousand_ancestors_is_one_transaction(counting: Counting) -> None:
    for step in range(1, 1001):
        counting.put(step, **({"log": ["seed"]} if step == 1 else {"other": step}))
    found = counting.run(counting.planner.delta_history(counting.codec, CONFIG, ["log"]))
    assert found["log"]["seed"] == ["seed"]
    assert counting.counts == {"transactions": 1}


def test_tables_are_entered_by_their_keys(
    counting: Counting, connection: psycopg.Connection[Any]
) -> None:
    """On tables that nobody has looked at yet, as in the first minutes of a deployment."""
    for step in range(1, 400):
        counting.put(step, a=step, b=BIG + str(step))
    connection.execute("SELECT pg_stat_force_next_flush()")
    before = _sequential(connection)
    for _ in range(10):
        counting.run(counting.planner.get_tuple(counting.codec, CONFIG))
        listing = Listing.of(CONFIG, {"step": 7}, None, 10)
        counting.run(counting.planner.list_page(counting.codec, listing))
    connection.execute("SELECT pg_stat_force_next_flush()")
    assert _sequential(connection) == before


def _sequential(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute(
        "SELECT relname, seq_scan FROM pg_stat_user_tables "
        "WHERE relname IN ('saver_values', 'saver_segments', 'saver_writes') ORDER BY 1"
    ).fetchall()
