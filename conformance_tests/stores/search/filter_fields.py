"""Clauses about declared filter fields: an index changes the speed of a search, not its results."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import PutOp

from checkpoint_base.errors import InvalidArgumentError
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.stores.base import Numbers, StoreClauses, StoreOpener, index_of, keys
from conformance_tests.stores.facade import StoreFacade, opened
from conformance_tests.stores.harness import StoreHarness
from conformance_tests.stores.search.filters import VALUES

AT = ("n",)
FIELDS = ["status", "user.age"]
FILTERS: list[tuple[dict[str, Any], int]] = [
    ({"status": "rare"}, 5),
    ({"user": {"age": {"$gte": 490}}}, 10),
    ({"user": {"age": {"$lt": 7}}, "status": "common"}, 7),
    ({"status": {"$in": ["rare", "gone"]}, "user": {"age": {"$gt": 99}}}, 4),
    ({"status": "common", "user": {"age": {"$ne": 1}}}, 494),
    ({"$or": [{"status": "rare"}, {"user": {"age": 1}}]}, 6),
    ({"status": {"$not": {"$in": ["common", "rare"]}}}, 0),
]


def fill(store: StoreFacade, first: int, end: int) -> None:
    """Put items, of which one in a hundred has a rare value."""
    for start in range(first, end, 100):
        store.batch(
            [
                PutOp(AT, f"{n:03}", {"status": _status(n), "user": {"age": n}})
                for n in range(start, min(start + 100, end))
            ]
        )


def _status(n: int) -> str:
    return "rare" if n % 100 == 50 else "common"


def check(store: StoreFacade) -> None:
    """Check the results of filters on 500 items."""
    for wanted, count in FILTERS:
        assert len(store.search(AT, filter=wanted, limit=1000)) == count, wanted
    rare = ["450", "350", "250", "150", "050"]
    assert sorted(keys(store.search(AT, filter={"status": "rare"}))) == sorted(rare)
    pages = [store.search((), filter={"status": "rare"}, limit=2, offset=at) for at in (0, 2, 4)]
    assert sorted(key for page in pages for key in keys(page)) == sorted(rare)


@clauses_of(Capability.STORE_FILTER_FIELDS)
class StoreFilterFieldClauses(StoreClauses):
    """Clauses about `filter_fields=`."""

    def test_filter_fields_of_items_that_are_there(self, reopened: StoreOpener) -> None:
        """A field declared later is indexed for existing items, while other stores keep putting."""
        before = reopened()
        fill(before, 0, 300)
        store = reopened(filter_fields=FIELDS)
        fill(before, 300, 400)
        fill(store, 400, 500)
        check(store)
        check(before)

    def test_filter_fields_follow_every_change(self, reopened: StoreOpener) -> None:
        """The index follows updates, deletes and changes of a value's type."""
        store = reopened(filter_fields=FIELDS)
        store.put(AT, "a", {"status": "new", "user": {"age": 1}})
        store.put(AT, "b", {"status": "new", "user": {"age": 2}})
        store.put(AT, "a", {"status": "done", "user": 7})
        store.delete(AT, "b")
        assert store.search(AT, filter={"status": "new"}) == []
        assert store.search(AT, filter={"user": {"age": {"$gte": 0}}}) == []
        assert keys(store.search(AT, filter={"status": "done"})) == ["a"]

    def test_filter_fields_hold_any_value(self, reopened: StoreOpener) -> None:
        """A declared field may have any JSON value, and a filter finds exactly that value."""
        store = reopened(filter_fields=["field"])
        items = {**VALUES, "long": "x" * 5000, "nul": "a\0b", "surrogate": "\ud800"}
        store.batch([PutOp(AT, key, {"field": value}) for key, value in items.items()])
        twins = {"one": {"one", "float"}, "float": {"one", "float"}}
        for key, value in items.items():
            found = store.search(AT, filter={"field": {"$eq": value}}, limit=50)
            assert set(keys(found)) == twins.get(key, {key})

    def test_filter_fields_newest_first(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """Results are in the same order, newest first, with and without an index."""
        store = reopened(filter_fields=["n"])
        for n in (3, 1, 2):
            harness.advance(1)
            store.batch([PutOp(AT, f"{n}{key}", {"n": n % 2}) for key in "ba"])
        assert keys(store.search(AT, filter={"n": 1})) == ["1a", "1b", "3a", "3b"]
        assert keys(store.search(AT, filter={"n": {"$gte": 0}})) == [
            *("2a", "2b", "1a", "1b", "3a", "3b")
        ]
        assert keys(store.search((), filter={"n": {"$lte": 1}}, limit=2, offset=1)) == ["2b", "1a"]

    def test_filter_fields_with_a_query(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """In a vector search, the filter on a declared field applies before the limit; fields may
        also be declared in `index`."""
        index = index_of(harness, Numbers(), filter_fields=["kind"])
        store = reopened(index=index)
        store.batch(
            [PutOp(AT, f"{n:03}", {"text": "1 0 0", "kind": "near"}) for n in range(300)]
            + [PutOp(AT, f"far{n}", {"text": "0 1 0", "kind": "far"}) for n in range(3)]
        )
        found = store.search(AT, query="1 0 0", filter={"kind": "far"})
        assert keys(found) == ["far0", "far1", "far2"]

    def test_filter_fields_that_are_dropped(self, reopened: StoreOpener) -> None:
        """Indexes of undeclared fields are dropped only on request; stores that still declare the
        fields get the same results."""
        store = reopened(filter_fields=FIELDS)
        fill(store, 0, 500)
        other = reopened()
        other.call("setup")
        check(store)
        other.call("setup", drop_undeclared=True)
        check(store)
        store.put(AT, "new", {"status": "new"})
        assert keys(store.search(AT, filter={"status": "new"})) == ["new"]
        store.delete(AT, "new")
        reopened(filter_fields=FIELDS)
        check(store)

    def test_filter_fields_for_a_reader(
        self, reopened: StoreOpener, harness: StoreHarness, flavour: Flavour
    ) -> None:
        """A search on declared fields needs no write permission."""
        fill(reopened(filter_fields=FIELDS), 0, 500)
        before = harness.rows()
        with (
            harness.reading_only() as restricted,
            opened(restricted, flavour, filter_fields=FIELDS) as reader,
        ):
            check(reader)
        assert harness.rows() == before

    @pytest.mark.parametrize(
        "bad", ["status", [""], ["a."], ["a..b"], [1], 7, [None], [f"f{n}" for n in range(100)]]
    )
    def test_filter_fields_that_are_none(self, reopened: StoreOpener, bad: Any) -> None:
        """Invalid `filter_fields` are rejected when the store is opened."""
        with pytest.raises(InvalidArgumentError, match="filter_fields"):
            reopened(filter_fields=bad)
