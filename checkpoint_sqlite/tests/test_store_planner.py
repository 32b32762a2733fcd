"""What each operation of a store asks of the database, counted without one being in the way."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langgraph.store.base import GetOp, ListNamespacesOp, MatchCondition, Op, PutOp, SearchOp

from checkpoint_base.plan import Atomic, InCallersTransaction, Plan, Unlimited, run
from checkpoint_sqlite.connection.session import SqliteSession
from checkpoint_sqlite.store.planner import SqliteStorePlanner
from conformance_tests.stores.base import Numbers
from store_vector.batching.operations import Batch
from store_vector.config import IndexSettings, StoreTTL
from store_vector.embedding.embed import Embedded, embed

NOW = 1_800_000_000.0


class Counting:
    """Performs batches on a connection and counts what they ask for."""

    def __init__(self, *, indexed: bool = True, cache_bytes: int = 1 << 20) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.session = SqliteSession(self.connection)
        index = {"dims": 3, "embed": Numbers(), "fields": ["text"]}
        self.settings = IndexSettings.of(index if indexed else None)
        self.planner = SqliteStorePlanner(self.settings, StoreTTL(), cache_bytes=cache_bytes)
        self.now = NOW
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
        self.counts["statements"] += 1
        reply = self.session.perform(request)
        self.rows += len(reply) if isinstance(reply, list) else 0
        return reply

    def batch(self, *ops: Op) -> Any:
        batch = Batch.of(ops, self.settings)
        vectors = Embedded()
        if self.settings is not None:
            vectors = embed(self.settings, batch.texts, batch.queries)
        return self.run(batch.plan(self.planner, vectors, self.now))

    def fill(self, count: int) -> None:
        self.batch(
            *(
                PutOp(("n", f"{n % 50:02}"), f"{n}", {"text": f"{n} 1 0", "n": n})
                for n in range(count)
            )
        )


@contextmanager
def opened(**options: Any) -> Iterator[Counting]:
    counting = Counting(**options)
    yield counting
    counting.connection.close()


@pytest.fixture
def counting() -> Iterator[Counting]:
    with opened() as one:
        yield one


def test_setup_asks_once_and_then_only_looks(counting: Counting) -> None:
    counting.run(counting.planner.setup())
    assert counting.counts == {"reads": 1, "statements": 2}


def test_a_put_is_one_transaction(counting: Counting) -> None:
    counting.batch(PutOp(("n",), "a", {"text": "1 0 0"}))
    assert counting.counts == {"writes": 1, "statements": 3}
    for text in ("1 0 0", "0 1 0"):  # kept, dropped
        counting.batch(PutOp(("n",), "a", {"text": text}, index=False))
        assert counting.counts["writes"] == 1
        assert counting.counts["statements"] <= 5
    with opened(indexed=False) as plain:
        plain.batch(PutOp(("n",), "a", {"text": "1 0 0"}))
        assert plain.counts == {"writes": 1, "statements": 2}


def test_many_puts_and_deletes_are_one_transaction(counting: Counting) -> None:
    counting.fill(300)
    assert counting.counts == {"writes": 1, "statements": 3}
    counting.batch(*(PutOp(("n", f"{n % 50:02}"), f"{n}", None) for n in range(300)))
    assert counting.counts == {"writes": 1, "statements": 1}


def test_many_gets_are_one_statement(counting: Counting) -> None:
    counting.fill(300)
    found = counting.batch(*(GetOp(("n", f"{n % 50:02}"), f"{n}") for n in range(300)))
    assert all(found)
    assert counting.counts == {"statements": 1}
    counting.batch(*(GetOp(("n", f"{n % 50:02}"), f"{n}") for n in range(500)))
    assert counting.counts == {"reads": 1, "statements": 2}  # they see one state


def test_reading_writes_only_what_has_a_ttl(counting: Counting) -> None:
    counting.batch(PutOp(("n",), "a", {"n": 1}, ttl=1.0), PutOp(("n",), "b", {"n": 1}))
    counting.now += 30
    counting.batch(GetOp(("n",), "b"), SearchOp(("n",), filter={"n": 2}))
    assert counting.counts == {"reads": 1, "statements": 3}
    counting.batch(GetOp(("n",), "a"))
    assert counting.counts == {"writes": 1, "statements": 2}
    counting.batch(GetOp(("n",), "a", refresh_ttl=False))
    assert counting.counts == {"statements": 1}


@pytest.mark.parametrize("op", [GetOp(("n",), "a"), SearchOp(("n",))])
def test_a_read_that_moves_an_expiry_a_little_writes_nothing(counting: Counting, op: Any) -> None:
    counting.batch(PutOp(("n",), "a", {"n": 1}, ttl=10.0))
    counting.now += 11
    counting.batch(op)
    assert "writes" not in counting.counts
    counting.now += 2
    counting.batch(op)
    assert counting.counts["writes"] == 1
    counting.batch(op)
    assert "writes" not in counting.counts


def test_a_search_reads_what_it_gives(counting: Counting) -> None:
    counting.fill(3000)
    for op in (SearchOp(("n", "07"), limit=10), SearchOp(("n",), limit=10), SearchOp((), limit=10)):
        assert len(counting.batch(op)[0]) == 10
        assert counting.counts["statements"] <= 2
        assert counting.rows <= 11


@pytest.mark.parametrize("matching", [3000, 150, 30, 3])
def test_a_filter_that_matches_rarely_is_few_statements(counting: Counting, matching: int) -> None:
    counting.fill(3000)
    wanted = {"n": {"$lt": matching}}
    for query in (None, "0 1 0"):
        search = SearchOp(("n",), wanted, 10, 0, query)
        found = counting.batch(search)[0]
        assert len(found) == min(10, matching)
        assert counting.counts["reads"] == 1
        assert counting.counts["statements"] <= 12


def test_a_search_by_meaning_reads_only_what_changed(counting: Counting) -> None:
    counting.fill(1000)
    search = SearchOp(("n",), query="1 0 0", limit=5)
    counting.batch(search)
    assert counting.rows > 1000  # the first one fills the cache
    counting.batch(search)
    assert counting.counts == {"reads": 1, "statements": 2}
    assert counting.rows == 1 + 5
    counting.batch(PutOp(("n", "00"), "new", {"text": "9 0 0"}), PutOp(("n", "01"), "1", None))
    found = counting.batch(search)[0]
    assert found[0].key == "new"
    assert counting.counts == {"reads": 1, "statements": 5}
    assert counting.rows < 20
    counting.batch(PutOp(("n", "00"), "plain", {"text": "9 0 0"}, False))
    counting.batch(search)
    assert counting.counts == {"reads": 1, "statements": 2}


def test_a_cache_that_grows_too_large_is_given_up() -> None:
    with opened(cache_bytes=4 * 3 * 20) as counting:
        search = SearchOp(("n",), query="1 0 0", limit=100)
        statements = []
        for count in (10, 20, 21, 22):
            counting.fill(count)
            assert len(counting.batch(search)[0]) == count
            statements.append(counting.counts["statements"])
        # 10: all are read; 20: what changed; then the file, once it is clear that it must be
        assert statements == [4, 5, 5, 3]


def test_without_a_cache_vectors_are_read_in_parts() -> None:
    with opened(cache_bytes=1000) as counting, opened() as cached:
        for one in (counting, cached):
            one.fill(9000)
        search = SearchOp(("n",), {"n": {"$gte": 10}}, 7, 3, "1 0.001 0")
        expected = [(item.key, item.score) for item in cached.batch(search)[0]]
        assert [(item.key, item.score) for item in counting.batch(search)[0]] == expected
        assert counting.counts == {"reads": 1, "statements": 2 + 3}


def test_namespaces_are_sought_through_the_index(counting: Counting) -> None:
    counting.fill(3000)
    assert len(counting.batch(ListNamespacesOp())[0]) == 50
    assert counting.counts == {"statements": 1}
    condition = MatchCondition("prefix", ("n",))
    assert counting.batch(ListNamespacesOp((condition,), max_depth=1))[0] == [("n",)]
    assert counting.counts == {"statements": 1}
    assert counting.rows == 1


def test_sweeping_is_one_statement(counting: Counting) -> None:
    ops = [PutOp(("n",), f"{n}", {"text": "1 0 0"}, ttl=1.0) for n in range(50)]
    counting.batch(*ops)
    assert counting.run(counting.planner.sweep(NOW + 60.0)) == 50
    assert counting.counts == {"writes": 1, "statements": 1}
    assert counting.run(counting.planner.stats()).vectors == 0
