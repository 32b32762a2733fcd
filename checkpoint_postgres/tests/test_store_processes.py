"""Several processes on one store: vectors that one puts and another looks for, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from string import ascii_letters
from typing import Any

import pytest
from langgraph.store.base import PutOp

from checkpoint_base.errors import BackendUnavailableError, InvalidArgumentError
from checkpoint_base.plan import Plan, run, write
from checkpoint_postgres import AsyncPostgresStore, PostgresStore
from checkpoint_postgres.store.vectors import MOST_UNCONVERTED
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests import MovableClock
from conformance_tests.stores.base import Numbers, keys

AT = ("m",)
UNCONVERTED = "SELECT key FROM store_embeddings WHERE vector_2 IS NULL ORDER BY key"


def index(kind: str = "flat", vector_type: str = "vector") -> dict[str, Any]:
    ann = {"kind": kind, "vector_type": vector_type}
    return {"dims": 2, "embed": Numbers(2), "fields": ["text"], "ann_index_config": ann}


EXACT = {**index(), "engine": "exact"}


def opened(database: PostgresHarness, index: dict[str, Any], more: str = "", **options: Any) -> Any:
    options = {"index": index, "indexed_from": 0, **options}
    return PostgresStore.from_conn_string(database.url + more, **options)


def after_the_first_request(plan: Plan[Any], meanwhile: Callable[[], object]) -> Plan[Any]:
    """A plan that something comes in between."""
    reply = yield next(plan)
    meanwhile()
    while True:
        try:
            request = plan.send(reply)
        except StopIteration as end:
            return end.value
        reply = yield request


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_what_is_put_without_pgvector_is_found_with_it(
    database: PostgresHarness, kind: str
) -> None:
    with opened(database, EXACT) as old, opened(database, index(kind)) as new:
        new.setup()
        for n in range(3):
            new.put(AT, f"{n}", {"text": f"1 {n}"})
        old.put(AT, "added", {"text": "0 1"})
        old.put(AT, "0", {"text": "-1 0"})
        for _ in range(2):
            assert keys(new.search(AT, query="0 1")) == ["added", "2", "1", "0"]
            assert keys(new.search(AT, query="0 1", limit=1)) == ["added"]
            assert keys(new.search(AT, query="0 1", filter={"text": "-1 0"})) == ["0"]
            assert database.query(UNCONVERTED) == [("0",), ("added",)]
        new.setup()
        assert database.query(UNCONVERTED) == []
        assert keys(new.search(AT, query="0 1")) == ["added", "2", "1", "0"]


def test_the_column_of_another_type_does_not_keep_what_was_there(
    database: PostgresHarness,
) -> None:
    with (
        opened(database, index()) as whole,
        opened(database, index(vector_type="halfvec")) as half,
    ):
        whole.setup()
        half.setup()
        whole.put(AT, "a", {"text": "1 0"})
        half.put(AT, "b", {"text": "1 1"})
        half.put(AT, "a", {"text": "0 1"})
        for store in (whole, half):
            assert keys(store.search(AT, query="1 0")) == ["b", "a"]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_many_put_without_pgvector_are_all_compared(database: PostgresHarness, kind: str) -> None:
    count = MOST_UNCONVERTED + 10
    with opened(database, EXACT) as old, opened(database, index(kind)) as new:
        new.setup()
        new.put(AT, "best", {"text": "1 0"})
        old.batch([PutOp(AT, f"{n}", {"text": f"{n} 100"}) for n in range(count)])
        found = keys(new.search(AT, query="1 0", limit=count))
    assert found == ["best", *(f"{n}" for n in range(count - 1, 0, -1))]


def test_a_store_that_looked_too_early_looks_again(database: PostgresHarness) -> None:
    clock = MovableClock()
    with opened(database, EXACT) as old, opened(database, index(), clock=clock) as early:
        old.setup()
        early.put(AT, "a", {"text": "1 0"})
        with opened(database, index()) as new:
            new.setup()
            early.put(AT, "b", {"text": "1 1"})
            assert keys(new.search(AT, query="1 0")) == ["a", "b"]
            clock.now += 60
            early.put(AT, "c", {"text": "0 1"})
            assert database.query(UNCONVERTED) == [("b",)]


def test_what_is_being_converted_is_not_replaced_meanwhile(database: PostgresHarness) -> None:
    with (
        opened(database, EXACT, "?options=-clock_timeout%3D100") as old,
        opened(database, index()) as new,
    ):
        new.setup()
        old.put(AT, "a", {"text": "1 0"})
        planner = new._planner

        def meanwhile() -> None:
            with pytest.raises(BackendUnavailableError, match="lock timeout"):
                old.put(AT, "a", {"text": "0 1"})

        def convert() -> Plan[bool]:
            return after_the_first_request(planner._convert_some(planner._engine), meanwhile)

        assert run(write(convert), new._driver.perform)
        assert database.query("SELECT vector_2::text FROM store_embeddings") == [("[1,0]",)]


def test_a_put_and_a_delete_at_once_leave_the_item_with_its_vector(
    database: PostgresHarness,
) -> None:
    """The delete finds no item yet; the put's embeddings it may find."""
    with opened(database, EXACT) as one, opened(database, EXACT) as other:
        one.setup()
        one.put(AT, "first", {"text": "0 1"})
        put = other._planner._put
        other._planner._put = lambda *arguments: after_the_first_request(
            put(*arguments), lambda: one.put(AT, "k", {"text": "1 0"})
        )
        other.delete(AT, "k")
        assert keys(one.search(AT, query="1 0")) == ["k", "first"]
        one.delete(AT, "k")
        one.put(AT, "first", {"text": "no vector"}, index=False)
        assert one.stats().vectors == 0


def test_a_key_too_long_for_an_index_is_the_fault_of_its_caller(database: PostgresHarness) -> None:
    key = "".join(Random(1).choices(ascii_letters, k=5000))

    async def main() -> None:
        async with AsyncPostgresStore.from_conn_string(database.url) as store:
            await store.setup()
            calls = (store.aput(AT, "a", {"n": 1}), store.aput(AT, key, {"n": 2}))
            told = await asyncio.gather(*calls, return_exceptions=True)
            assert told[0] is None
            assert isinstance(told[1], InvalidArgumentError)
            long = {f"field {n}": 1 for n in range(40_000)}
            assert await store.asearch(AT, filter=long) == []

    asyncio.run(main())
