"""What SQL pre-selects holds of all that a filter matches: SQLite itself is asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint_sqlite.store_filters import clauses
from conformance_tests.corpus import HOSTILE
from store_vector.filters import OPERATORS, Filter
from store_vector.values import dumps

NUMBERS = (
    st.sampled_from([0, -0.0, 7, 7.0, 0.1, 0.1 + 0.2, 2**53 + 1, 2.0**53, 10**30, 1e30, 1e-5, 1e15])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70)
)
TEXTS = st.sampled_from([*HOSTILE, "\x7f", "\0", "\ud800", "é\ud800", "a\0b"]) | st.text(max_size=4)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
NAMES = st.sampled_from(["n", "a.b", "with space", 'q"', "\\", "é", "\x7f", "", "$", "[0]", "'"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
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
    sql = f"SELECT {conditions} FROM (SELECT ? AS value) AS i"
    # the value comes first in the text of FROM, but last in the statement
    (row,) = database.execute(sql, [*values, dumps(value)]).fetchall()
    return bool(row[0])


@settings(deadline=None, max_examples=600)
@given(name=NAMES, value=VALUES, other=VALUES, op=st.sampled_from(OPERATORS), data=st.data())
def test_what_matches_is_selected(
    database: sqlite3.Connection,
    name: str,
    value: Any,
    other: Any,
    op: str,
    data: st.DataObject,
) -> None:
    operand = data.draw(st.just(value) | st.just(other) | SCALARS)
    item = {"other": other, name: value, "in": {name: value, "é": "\ud800"}}
    for fields in ({name: {op: operand}}, {"in": {name: {op: operand}}}):
        if "$" in fields.get("in", {}):
            continue  # within an object, that is an operator
        wanted = Filter.of(fields)
        if wanted.matches(item):
            assert selects(database, item, wanted)


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
    ],
)
def test_rows_are_spared(database: sqlite3.Connection, value: Any, filter: dict[str, Any]) -> None:
    assert not selects(database, {"n": value}, Filter.of(filter))
