"""What SQL says of a condition, by facets and by text, beside what `Filter.matches` says of it."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langgraph.store.base import PutOp

from checkpoint_postgres import PostgresStore
from checkpoint_postgres.store_filters import clauses
from checkpoint_postgres.store_reading import Statement
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.corpus import HOSTILE
from store_vector.facets import LEFT_OUT, LONGEST, facets
from store_vector.filters import OPERATORS, Filter
from store_vector.values import dumps

LONG = "x" * (LONGEST + 1)
NUMBERS = (
    st.sampled_from([0, -0.0, 7, 7.0, 0.1, 0.1 + 0.2, 2**53, 2.0**53, 2**53 + 1, 1e-320, 1e15])
    | st.sampled_from([10**30, 1e30, 1e23, 10**23, 10**400, -(2**53) - 1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70)
    | st.integers(-3, 3)
)
TEXTS = (
    st.sampled_from([*HOSTILE, LONG, LONG[1:], "\0", "\ud800", "é\ud800", "a\0b", "7", "Z", "a"])
    | st.sampled_from(["\\u0000", "null", "true", "0.5", "ab", "aB"])
    | st.text(max_size=4)
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
NAMES = st.sampled_from(
    ["n", "a.b", "with space", 'q"', "\\", "é", "", "$", "[0]", "0", "'", "\ud800", "\0", LONG]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def server(postgres_server: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


def selects(
    server: psycopg.Connection[Any], value: dict[str, Any], wanted: Filter, *, faceted: bool
) -> bool:
    """Whether Postgres would read a row with this value."""
    kept = facets(value) if faceted else None
    texts = (dumps(value), None if kept is None else json.dumps(kept))
    statement = Statement(*texts)
    conditions = " AND ".join(["true", *clauses(wanted, statement.mark)])
    sql = f"SELECT ({conditions}) IS TRUE FROM (SELECT $1::text AS value, $2::jsonb AS facets) AS i"
    with psycopg.RawCursor(server) as cursor:
        (row,) = cursor.execute(sql, statement.values).fetchall()
    return bool(row[0])


def filters(
    name: str, op: str, operand: Any, item: dict[str, Any]
) -> Iterator[tuple[Filter, dict[str, Any]]]:
    """A condition on a field, and on one within an object."""
    yield Filter.of({name: {op: operand}}), item
    if not name.startswith("$"):
        yield Filter.of({"in": {name: {op: operand}}}), {"in": item, "n": None}


@settings(deadline=None, max_examples=500)
@given(name=NAMES, value=VALUES, other=VALUES, op=st.sampled_from(OPERATORS), data=st.data())
def test_what_matches_is_selected(
    server: psycopg.Connection[Any],
    name: str,
    value: Any,
    other: Any,
    op: str,
    data: st.DataObject,
) -> None:
    operand = data.draw(st.just(value) | st.just(other) | SCALARS | st.floats())
    for wanted, item in filters(name, op, operand, {"other": other, name: value}):
        for faceted in (True, False):
            if wanted.matches(item):
                assert selects(server, item, wanted, faceted=faceted)


def holds_arrays(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(holds_arrays, value.values()))
    return isinstance(value, list)


KINDS: list[Any] = [
    *(None, True, False, 0, -1, 7, 7.5, 2**53, 2**53 + 1, -(2**53) - 1, 1e300, 10**400),
    *("", "7", "a", "Z", "é", LONG, LONG + "b", "a\0", "\ud800"),
    *([], [0], [7], {}, {"a": 1}),
]


@pytest.mark.parametrize("op", OPERATORS)
def test_every_kind_beside_every_other(server: psycopg.Connection[Any], op: str) -> None:
    for value in KINDS:
        item = {"n": value}
        is_whole = facets(item) == item and value != [0]
        for operand in KINDS:
            if isinstance(operand, dict) and op == "$eq":
                continue  # an object is only known to be one
            wanted = Filter.of({"n": {op: operand}})
            selected = selects(server, item, wanted, faceted=True)
            if is_whole and facets({"n": operand}) == {"n": operand} and operand != [0]:
                assert selected == wanted.matches(item) or isinstance(operand, dict)
            assert selected or not wanted.matches(item)
            assert selects(server, item, wanted, faceted=False) or not wanted.matches(item)


@settings(deadline=None, max_examples=500)
@given(name=NAMES, value=VALUES, other=VALUES, op=st.sampled_from(OPERATORS), data=st.data())
@example("n", 7, 7, "$lt", None)
@example("n", True, 1, "$eq", None)
def test_of_what_facets_hold_it_is_exact(
    server: psycopg.Connection[Any],
    name: str,
    value: Any,
    other: Any,
    op: str,
    data: st.DataObject | None,
) -> None:
    operand = other if data is None else data.draw(st.just(value) | st.just(other) | SCALARS)
    for wanted, item in filters(name, op, operand, {name: value}):
        kept = facets(item)
        # an object is only known to be one
        is_whole = kept == item and not holds_arrays(kept) and not isinstance(operand, (dict, list))
        if is_whole and facets({"n": operand}) == {"n": operand} and name not in ("\0", "\ud800"):
            assert selects(server, item, wanted, faceted=True) == wanted.matches(item)


def test_texts_are_compared_by_code_point() -> None:
    """The test's server knows no other order, so that only the text can show it."""
    for op in ("$gt", "$gte", "$lt", "$lte"):
        (clause,) = clauses(Filter.of({"n": {op: "a"}}), Statement().mark)
        assert clause.count('COLLATE "C"') == 2  # in the facets, and in the text


class Level(enum.IntEnum):
    LOW = 1


def test_what_facets_keep() -> None:
    class Name(str):
        __slots__ = ()

    kept: dict[str, Any] = {
        "a": 1,
        "b": -0.5,
        "c": None,
        "d": True,
        "e": "é",
        "f": {"g": {}},
        "h": Name("x"),
    }
    assert facets(kept) == kept
    assert facets({"n": Level.LOW}) == {"n": 1}
    for left_out in ([], [1], LONG, "\0", "\ud800", 2**53 + 1, -1e300):
        assert facets({"n": left_out, "m": 1}) == {"n": LEFT_OUT, "m": 1}
    assert facets({"\0": 1, "\ud800": 2, "n": 3}) == {"n": 3}
    assert facets({str(n): n for n in range(1000)}) is None
    deep: dict[str, Any] = {}
    for _ in range(20):
        deep = {"n": deep}
    assert facets(deep) is None


@pytest.mark.parametrize(
    ("value", "filter"),
    [
        (7, {"n": 8}),
        (7, {"n": {"$ne": 7.0}}),
        ("a", {"n": "b"}),
        ("B", {"n": {"$gt": "a"}}),
        (0.5, {"n": {"$gt": 0.6}}),
        ("9", {"n": {"$gt": 0.6}}),
        (True, {"n": {"$gt": 0}}),
        ({}, {"n": {"$gte": 0}}),
        (None, {"n": {"$lt": 0}}),
        ([], {"n": 0}),
        (1, {"n": True}),
        (1, {"n": {"$gt": None}}),
        (1, {"m": {"$ne": 0}}),
        (1, {"n": {"n": 1}}),
        ("y" * 200, {"n": LONG}),
        (1, {"n": math.inf}),
    ],
)
def test_rows_are_spared(
    server: psycopg.Connection[Any], value: Any, filter: dict[str, Any]
) -> None:
    assert not selects(server, {"n": value}, Filter.of(filter), faceted=True)


def test_items_with_and_without_facets(database: PostgresHarness) -> None:
    """Those that have too much for facets are judged by their text, among others that are not."""
    with PostgresStore.from_conn_string(database.url) as store:
        store.setup()
        ops = [PutOp(("n",), f"{n}", {"n": n, "in": {"s": f"{n % 7}"}}) for n in range(300)]
        store.batch(ops)
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("UPDATE store_items SET facets = NULL")
        for facets_there in (0, 150, 300):
            assert database.query("SELECT count(facets) FROM store_items") == [(facets_there,)]
            found = store.search(("n",), filter={"n": {"$gte": 290}}, limit=100)
            assert sorted(one.value["n"] for one in found) == list(range(290, 300))
            found = store.search(("n",), filter={"in": {"s": "3"}}, limit=100)
            assert sorted(one.value["n"] for one in found) == list(range(3, 300, 7))
            assert len(store.search(("n",), filter={"n": {"$lt": 5}}, limit=3)) == 3
            store.batch(ops[: facets_there + 150])


def test_many_that_are_judged_by_text_fill_the_page(database: PostgresHarness) -> None:
    """Facets say nothing of a long text: what they let through is more than what matches."""
    with PostgresStore.from_conn_string(database.url) as store:
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
