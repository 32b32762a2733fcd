"""Filters in SQLite: SQL pre-selects all that matches, and declared fields have indexes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from langgraph.store.base import PutOp

from checkpoint_sqlite import SqliteStore
from checkpoint_sqlite.store.filters import clauses
from conformance_tests import MovableClock
from conformance_tests.stores.base import keys
from store_vector.filters.keys import filter_keys, index_name
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


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


def selects(database: sqlite3.Connection, value: dict[str, Any], wanted: Filter) -> bool:
    """Whether SQLite would read a row with this value."""
    found = clauses(wanted)
    conditions = " AND ".join(["1", *(clause.sql for clause in found)])
    values = [one for clause in found for one in clause.values]
    sql = f"SELECT {conditions} FROM (SELECT ? AS keys) AS i"
    (row,) = database.execute(sql, [*values, json.dumps(filter_keys(value))]).fetchall()
    return bool(row[0])


@settings(deadline=None, max_examples=1000)
@given(items_and_filters())
def test_what_matches_is_selected(
    database: sqlite3.Connection, pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    item, fields = pair
    wanted = Filter.of(fields)
    assert selects(database, item, wanted) or not wanted.matches(item)


@pytest.mark.parametrize(
    ("value", "filter"),
    [
        (7, {"n": 8}),
        ("a", {"n": "b"}),
        (0.5, {"n": {"$gt": 0.6}}),
        ("b", {"n": {"$lt": "a"}}),
        (7, {"n": {"a": {}}}),
        ([], {"n": {"$eq": {}}}),
        (True, {"n": False}),
        (1, {"n": None}),
        (1, {"n": {"$in": [2, "1", True]}}),
        (1, {"n": {"$contains": 1}}),
        (1, {"m": {"$exists": True}}),
        (1, {"m": {"$ne": 1}}),
        (1, {"$or": [{"n": 2}, {"n": {"$gt": 3}}]}),
        (1, {"n": {"$gt": None}}),
    ],
)
def test_rows_are_spared(database: sqlite3.Connection, value: Any, filter: dict[str, Any]) -> None:
    assert not selects(database, {"n": value}, Filter.of(filter))


def plans(store: SqliteStore, filter: dict[str, Any], within: tuple[str, ...] = ()) -> str:
    """How SQLite finds the items of a search: the last statement of it."""
    asked: list[str] = []
    store.conn.set_trace_callback(asked.append)
    store.search(within, filter=filter)
    store.conn.set_trace_callback(None)
    (sql,) = [one for one in asked if one.startswith("SELECT i.ns")][-1:]
    return " ".join(row[-1] for row in store.conn.execute(f"EXPLAIN QUERY PLAN {sql}"))


def test_a_declared_field_is_found_by_its_index(path: Path) -> None:
    """Also where the namespace has many items; with one key, in the order of time."""
    fields = ["n", "in.kind"]
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        store = SqliteStore(connection, filter_fields=fields)
        ops = [PutOp(AT, f"{n:04}", {"n": n, "in": {"kind": f"k{n % 9}"}}) for n in range(3000)]
        store.batch(ops)
        by_number, by_kind = index_name("n"), index_name("in/kind")
        for within in ((), AT):
            assert by_number in plans(store, {"n": 7}, within)
            assert by_number in plans(store, {"n": {"$gte": 2995}, "in": {}}, within)
            assert by_number in plans(store, {"n": {"$in": [1, 2]}, "in": {}}, within)
            assert by_kind in plans(store, {"in": {"kind": "k1"}}, within)
        assert "USE TEMP B-TREE FOR ORDER BY" not in plans(store, {"n": 7})
        assert "store_field_" not in plans(store, {"n": {"$gte": 0}})  # the newest ten are ten


def test_right_whatever_happens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts, updates, deletes and sweeps, whatever finds the items."""
    for constant, size in {"_FEW": 4, "_WINDOW": 8}.items():
        monkeypatch.setattr(f"checkpoint_sqlite.store.reading.{constant}", size)
    clock = MovableClock()
    arguments: Any = {"clock": clock, "synchronous": "normal", "filter_fields": FIELDS}
    with SqliteStore.from_conn_string(path, **arguments) as store:
        check_while_items_change(store, clock)


@pytest.mark.parametrize("fields", [["v"], []])
def test_keys_sort_as_filters_compare(path: Path, fields: list[str]) -> None:
    arguments: Any = {"synchronous": "normal", "filter_fields": fields}
    with SqliteStore.from_conn_string(path, **arguments) as store:
        check_operators(store, "v", SCALARS + SURROGATES + OTHERS)


def test_an_index_that_another_process_dropped_is_not_missed(path: Path) -> None:
    with (
        SqliteStore.from_conn_string(path, filter_fields=["n"]) as store,
        SqliteStore.from_conn_string(path) as other,
    ):
        store.batch([PutOp(AT, f"{n:03}", {"n": n}) for n in range(300)])
        names = "SELECT name FROM sqlite_master WHERE name LIKE 'store_field_%'"
        other.setup()
        assert other.conn.execute(names).fetchall() == [(index_name("n"),)]
        other.setup(drop_undeclared=True)
        assert other.conn.execute(names).fetchall() == []
        assert keys(store.search(AT, filter={"n": 7})) == ["007"]
        store.setup(drop_undeclared=True)
        assert other.conn.execute(names).fetchall() == [(index_name("n"),)]


def test_a_search_writes_nothing(path: Path) -> None:
    with SqliteStore.from_conn_string(path) as store:
        store.batch([PutOp(AT, f"{n:04}", {"n": n}) for n in range(3000)])
        changes = store.conn.total_changes
        assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
        assert store.conn.total_changes == changes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"
