"""Filters in Postgres: SQL pre-selects all that matches, and declared fields have indexes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from langgraph.store.base import PutOp

from checkpoint_postgres import PostgresStore
from checkpoint_postgres.store.filters import clauses
from checkpoint_postgres.store.reading import Statement
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests import MovableClock
from conformance_tests.stores.base import keys
from store_vector.filters.keys import LONGEST, filter_keys, index_name
from store_vector.filters.operators import Filter
from store_vector.tests.filtering import (
    AT,
    FIELDS,
    OTHERS,
    SCALARS,
    SURROGATES,
    check_operators,
    check_while_items_change,
    items_and_filters,
)

LONG = "x" * (LONGEST + 1)


@pytest.fixture(scope="module")
def server(postgres_server: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


def selects(server: psycopg.Connection[Any], value: dict[str, Any], wanted: Filter) -> bool:
    """Whether Postgres would read a row with this value."""
    statement = Statement(json.dumps(filter_keys(value)))
    conditions = " AND ".join(["true", *clauses(wanted, statement.mark)])
    sql = f"SELECT ({conditions}) IS TRUE FROM (SELECT $1::jsonb AS keys) AS i"
    with psycopg.RawCursor(server) as cursor:
        (row,) = cursor.execute(sql, statement.values).fetchall()
    return bool(row[0])


@settings(deadline=None, max_examples=500)
@given(items_and_filters())
def test_what_matches_is_selected(
    server: psycopg.Connection[Any], pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    item, fields = pair
    wanted = Filter.of(fields)
    assert selects(server, item, wanted) or not wanted.matches(item)


def test_texts_are_compared_by_code_point() -> None:
    """The test's server knows no other order, so that only the text can show it."""
    for op in ("$gt", "$gte", "$lt", "$lte", "$eq", "$in"):
        operand: Any = ["a", "b"] if op == "$in" else "a"
        (clause,) = clauses(Filter.of({"n": {op: operand}}), Statement().mark)
        assert 'COLLATE "C"' in clause


@pytest.mark.parametrize(
    ("value", "filter"),
    [
        (7, {"n": 8}),
        ("a", {"n": "b"}),
        ("B", {"n": {"$gt": "a"}}),
        (0.5, {"n": {"$gt": 0.6}}),
        ("9", {"n": {"$gt": 0.6}}),
        (True, {"n": {"$gt": 0}}),
        ({}, {"n": {"$gte": 0}}),
        ([], {"n": 0}),
        (1, {"n": True}),
        (1, {"n": {"$gt": None}}),
        (1, {"m": {"$ne": 0}}),
        (1, {"n": {"n": 1}}),
        ("y" * 200, {"n": LONG}),
        (1, {"n": {"$in": [2, "1", True]}}),
        (1, {"n": {"$contains": 1}}),
        (1, {"$or": [{"n": 2}, {"n": {"$gt": 3}}]}),
    ],
)
def test_rows_are_spared(
    server: psycopg.Connection[Any], value: Any, filter: dict[str, Any]
) -> None:
    assert not selects(server, {"n": value}, Filter.of(filter))


def test_many_that_pass_and_do_not_match_fill_the_page(database: PostgresHarness) -> None:
    """Keys say nothing of the end of a long text: they let through more than what matches."""
    with PostgresStore.from_conn_string(database.url, filter_fields=["t"]) as store:
        store.setup()
        for start in range(0, 1500, 500):
            ops = [
                PutOp(("n",), f"{n:04}", {"t": f"{LONG}{n % 100:02}", "l": [n % 100]})
                for n in range(start, start + 500)
            ]
            store.batch(ops)
        for wanted in ({"t": {"$gt": f"{LONG}98"}}, {"l": [99]}, {"t": f"{LONG}99"}):
            found = store.search(("n",), filter=wanted, limit=20)
            assert sorted(one.key for one in found) == [f"{n:04}" for n in range(99, 1500, 100)]


def test_right_whatever_happens(database: PostgresHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts, updates, deletes and sweeps, whatever finds the items."""
    for constant, size in {"FEW": 4, "_WINDOW": 8}.items():
        monkeypatch.setattr(f"checkpoint_postgres.store.reading.{constant}", size)
    clock = MovableClock()
    arguments: Any = {"clock": clock, "filter_fields": FIELDS}
    with PostgresStore.from_conn_string(database.url, **arguments) as store:
        store.setup()
        check_while_items_change(store, clock)


@pytest.mark.parametrize("fields", [["v"], []])
def test_keys_sort_as_filters_compare(database: PostgresHarness, fields: list[str]) -> None:
    with PostgresStore.from_conn_string(database.url, filter_fields=fields) as store:
        store.setup()
        check_operators(store, "v", SCALARS + SURROGATES + OTHERS)


def test_indexes_of_declared_fields(database: PostgresHarness) -> None:
    """Made by setup, used by searches, dropped on request."""
    with (
        PostgresStore.from_conn_string(database.url, filter_fields=["in.kind"]) as store,
        PostgresStore.from_conn_string(database.url) as other,
    ):
        store.setup()
        name = index_name("in/kind")
        ops = [PutOp(AT, f"{n:04}", {"in": {"kind": f"k{n % 100}"}}) for n in range(3000)]
        store.batch(ops)
        assert len(store.search(AT, filter={"in": {"kind": "k7"}}, limit=50)) == 30
        explained = (
            "EXPLAIN SELECT 1 FROM store_items WHERE (keys ->> 'in/kind') COLLATE \"C\" = 'k'"
        )
        assert name in str(database.query(explained))
        names = f"SELECT 1 FROM pg_indexes WHERE indexname = '{name}'"
        assert database.query(names) == [(1,)]
        other.setup()
        assert database.query(names) == [(1,)]
        other.setup(drop_undeclared=True)
        assert database.query(names) == []
        assert keys(store.search(AT, filter={"in": {"kind": "k7"}}, limit=1)) == ["0007"]
