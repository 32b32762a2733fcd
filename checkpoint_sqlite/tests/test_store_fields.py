"""Fields that searches filter by: when they are listed, and that nothing is lost by it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.base import PutOp, SearchOp

from checkpoint_sqlite import SqliteStore
from checkpoint_sqlite.store_fields import MOST_PATHS, _where
from checkpoint_sqlite.tests.test_store_filters import NAMES, SCALARS, VALUES
from checkpoint_sqlite.tests.test_store_planner import Counting, opened
from conformance_tests import MovableClock
from conformance_tests.stores.base import keys
from store_vector.filters import OPERATORS, Filter
from store_vector.spans import LONGEST, key_at, span
from store_vector.tests.filtering import (
    AT,
    OTHERS,
    PATHS,
    SURROGATES,
    check_operators,
    check_while_items_change,
)
from store_vector.tests.filtering import (
    SCALARS as VALUES_OF_FIELDS,
)

LONG = st.text("ab\0\ud800\ue000é", min_size=LONGEST - 1, max_size=LONGEST + 2)


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE field (value)")
        yield connection


def selects(database: sqlite3.Connection, item: dict[str, Any], wanted: Filter) -> bool | None:
    """Whether SQLite finds the item's key in the span of the only condition; None: it has none."""
    (condition,) = wanted.conditions
    if (found := span(condition)) is None:
        return None
    key = key_at(item, condition.path)
    where, values = _where(found)
    database.execute("DELETE FROM field")
    if key is not None:
        database.execute("INSERT INTO field VALUES (?)", (key,))
    return bool(database.execute(f"SELECT 1 FROM field WHERE {where}", values).fetchall())


@settings(deadline=None, max_examples=800)
@given(
    name=NAMES,
    value=VALUES | LONG,
    other=VALUES | LONG,
    op=st.sampled_from(OPERATORS),
    data=st.data(),
)
def test_what_matches_is_in_the_span(
    database: sqlite3.Connection,
    name: str,
    value: Any,
    other: Any,
    op: str,
    data: st.DataObject,
) -> None:
    operand = data.draw(st.just(value) | st.just(other) | SCALARS)
    item = {name: value, "in": {"a": {"b": value}}}
    for fields in ({name: {op: operand}}, {"in": {"a": {"b": {op: operand}}}}):
        wanted = Filter.of(fields)
        if wanted.matches(item):
            assert selects(database, item, wanted) is not False


SHORT = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, -0.0, "", "a", "ab"])


@settings(deadline=None, max_examples=300)
@given(value=SHORT, operand=SHORT, op=st.sampled_from([one for one in OPERATORS if one != "$ne"]))
def test_of_short_values_it_is_exact(
    database: sqlite3.Connection, value: Any, operand: Any, op: str
) -> None:
    wanted = Filter.of({"n": {op: operand}})
    assert selects(database, {"n": value}, wanted) == wanted.matches({"n": value})


def listed(store: SqliteStore) -> list[tuple[str, bool]]:
    """The paths that are listed, and whether for all items."""
    return store.conn.execute("SELECT path, listed IS NULL FROM store_paths").fetchall()


@pytest.mark.parametrize(
    ("filter", "listing"),
    [
        ({"n": 7}, ['["n"]']),
        ({"n": {"$gte": 2995}}, ['["n"]']),
        ({"in": {"n": "7"}}, ['["in", "n"]']),
        ({"text": {"$gt": "9 1 0"}}, ['["text"]']),
        ({"n": {"$gte": 0}}, []),  # the newest ten are ten of the newest
        ({"n": {"$ne": 7}}, []),
        ({"in": {}}, []),
    ],
)
def test_what_is_found_rarely_is_listed(filter: dict[str, Any], listing: list[str]) -> None:
    with opened() as counting:
        items = ({"text": f"{n} 1 0", "n": n, "in": {"n": f"{n}"}} for n in range(3000))
        counting.batch(*(PutOp(("n", f"{n % 50}"), f"{n}", one) for n, one in enumerate(items)))
        search = SearchOp(("n",), filter, 10)
        first = counting.batch(search)[0]
        paths = counting.connection.execute("SELECT path FROM store_paths WHERE listed IS NULL")
        assert [path for (path,) in paths] == listing
        assert counting.batch(search)[0] == first
        assert counting.counts.pop("reads") == 1
        if listing:
            assert counting.rows <= 1 + 10
            assert counting.counts == {"statements": 2}


def test_a_namespace_with_few_items_lists_nothing(counting: Counting) -> None:
    counting.fill(3000)
    assert len(counting.batch(SearchOp(("n", "07"), {"n": 7}))[0]) == 1
    assert counting.connection.execute("SELECT * FROM store_paths").fetchall() == []


@pytest.fixture
def counting() -> Iterator[Counting]:
    with opened() as one:
        yield one


def test_lists_are_right_whatever_happens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts, updates, deletes and sweeps while paths are listed, a few items at each search."""
    small = {"fields._AT_ONCE": 5, "fields._PARTS": 3}
    small |= {"reading._FEW": 4, "reading._WINDOW": 8, "reading._RARE": 0}
    for constant, size in small.items():
        monkeypatch.setattr(f"checkpoint_sqlite.store_{constant}", size)
    clock = MovableClock()
    with SqliteStore.from_conn_string(path, clock=clock, synchronous="normal") as store:
        check_while_items_change(store, clock)
        assert len(listed(store)) == PATHS
        assert any(complete for _, complete in listed(store))
        items = "SELECT id FROM store_items"
        strays = f"SELECT count(*) FROM store_fields WHERE field >> 8 NOT IN ({items})"
        assert store.conn.execute(strays).fetchone() == (0,)


def test_keys_sort_as_filters_compare(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkpoint_sqlite.store_reading._FEW", 1)
    with SqliteStore.from_conn_string(path, synchronous="normal") as store:
        store.batch([PutOp(AT, f"{n:04}", {"n": n}) for n in range(200)])
        store.search(AT, filter={"v": -1})
        store.batch([PutOp(AT, f"{n:04}", None) for n in range(200)])
        check_operators(store, "v", VALUES_OF_FIELDS + SURROGATES + OTHERS)
        assert listed(store) == [('["v"]', 1)]


def test_who_cannot_write_still_finds(path: Path) -> None:
    with SqliteStore.from_conn_string(path, busy_timeout=0.01) as store:
        store.batch([PutOp(AT, f"{n:04}", {"n": n}) for n in range(3000)])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
        assert listed(store) == []
        assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
        assert listed(store) == [('["n"]', 1)]


def test_there_are_not_more_and_more_lists(path: Path) -> None:
    with SqliteStore.from_conn_string(path, synchronous="normal") as store:
        value = {f"f{n}": n for n in range(MOST_PATHS + 5)}
        store.batch([PutOp(AT, f"{n:04}", {**value, "n": n}) for n in range(300)])
        for n in range(MOST_PATHS + 5):
            assert store.search(AT, filter={f"f{n}": -1}) == []
        assert len(listed(store)) == MOST_PATHS
        asked: list[str] = []
        store.conn.set_trace_callback(asked.append)
        assert store.search(AT, filter={f"f{MOST_PATHS}": -1}) == []
        store.conn.set_trace_callback(None)
        assert asked[0] == "BEGIN"
        assert "BEGIN IMMEDIATE" not in asked
        assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
        store.put(AT, "new", {**value, "f0": -1})
        assert keys(store.search(AT, filter={"f0": -1})) == ["new"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"
