"""Namespaces that SQL cuts and passes over, beside those that are selected from all there are."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.base import ListNamespacesOp, MatchCondition, PutOp

from checkpoint_base.plan import run
from checkpoint_sqlite import SqliteStore
from checkpoint_sqlite.connection.session import SqliteSession
from checkpoint_sqlite.store.namespaces import seek_namespaces
from store_vector.namespaces import NamespaceQuery, decode, encode

# some that the text of a namespace escapes, some that UTF-8 writes in several bytes
LABELS = st.sampled_from(["a", "b", "é", "\x01", "\x02", "\U0010ffff", "ab"])
NAMESPACES = st.lists(LABELS, min_size=1, max_size=4).map(tuple)
PREFIXES = st.lists(LABELS | st.just("*"), max_size=3).map(tuple)
CONDITIONS = st.builds(MatchCondition, st.sampled_from(["prefix", "prefix", "suffix"]), PREFIXES)


@settings(deadline=None, max_examples=300)
@given(
    namespaces=st.lists(NAMESPACES, max_size=12),
    conditions=st.lists(CONDITIONS, max_size=1).map(tuple) | st.lists(CONDITIONS).map(tuple),
    depth=st.none() | st.integers(1, 5) | st.just(40),
    limit=st.integers(1, 5),
    offset=st.integers(0, 3),
    late=st.lists(NAMESPACES, max_size=4),
)
def test_what_is_sought_is_what_is_selected(
    namespaces: list[tuple[str, ...]],
    conditions: tuple[MatchCondition, ...],
    depth: int | None,
    limit: int,
    offset: int,
    late: list[tuple[str, ...]],
) -> None:
    query = NamespaceQuery.of(ListNamespacesOp(conditions, depth, limit, offset))
    with closing(sqlite3.connect(":memory:")) as connection:
        store = SqliteStore(connection, clock=lambda: 0.0)
        store.setup()
        gone = [PutOp(one, "gone", {}, ttl=1.0) for one in {*late} - {*namespaces}]
        store.batch([*gone, *(PutOp(one, "k", {}) for one in set(namespaces))])
        for horizon, there in ((None, {*namespaces, *late}), (60.0, {*namespaces})):
            wanted = query.select(encode(one) for one in there)
            found = run(seek_namespaces(query, horizon), SqliteSession(connection).perform)
            assert query.select(found) == wanted


@pytest.mark.parametrize(("depth", "rows"), [(1, 1), (2, 3), (3, 30), (25, 10), (None, 10)])
def test_no_more_are_read_than_are_given(depth: int | None, rows: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        store = SqliteStore(connection)
        store.setup()
        store.batch([PutOp(("n", f"{n % 3}", f"{n % 30:02}", f"{n}"), "k", {}) for n in range(900)])
        condition = MatchCondition("prefix", ("n",))
        limit = 10 if depth is None or depth > 3 else 100
        query = NamespaceQuery.of(ListNamespacesOp((condition,), depth, limit))
        found = run(seek_namespaces(query, None), SqliteSession(connection).perform)
        assert len(found) == rows
        assert len({decode(one)[:depth] for one in found}) == rows
