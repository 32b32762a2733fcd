"""Clauses about filters, which have the same semantics on all backends."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.corpus import HOSTILE
from conformance_tests.stores.base import StoreClauses, keys
from conformance_tests.stores.facade import StoreFacade

AT = ("n",)


def in_order(value: object) -> str:
    """`repr` with sorted sets, which is the same in each process."""
    return repr(sorted(value)) if isinstance(value, set) else repr(value)


VALUES: dict[str, Any] = {
    "zero": 0,
    "one": 1,
    "float": 1.0,
    "half": 0.5,
    "tenth": 0.1,
    "nine": 9,
    "ten": 10,
    "minus": -3,
    "big": 2**53 + 1,
    "huge": 10**30,
    "true": True,
    "false": False,
    "null": None,
    "text": "text",
    "digit": "10",
    "empty": "",
    "Text": "Text",
    "accent": "été",
    "list": [1, "a"],
    "object": {"a": 1, "b": {"c": "x"}},
    "bare": {},
}

OTHER_THAN_NUMBERS = [
    *("true", "false", "null", "text", "digit", "empty", "Text", "accent"),
    *("list", "object", "bare"),
]


@clauses_of(Capability.STORE_FILTER)
class StoreFilterClauses(StoreClauses):
    """Clauses about `filter=`."""

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({"status": "active"}, ["a", "c"]),
            ({"score": 4.5}, ["b"]),
            ({"score": {"$eq": 12}}, ["c"]),
            ({"status": {"$ne": "active"}}, ["b"]),
            ({"score": {"$gt": 4.99}}, ["a", "c"]),
            ({"score": {"$gte": 5}}, ["a", "c"]),
            ({"score": {"$lt": 12}}, ["a", "b"]),
            ({"score": {"$lte": 5}}, ["a", "b"]),
            ({"score": {"$gte": 3.0}, "status": "active"}, ["a", "c"]),
            ({"status": "gone"}, []),
        ],
        ids=str,
    )
    def test_filter_as_documented(
        self, store: StoreFacade, wanted: dict[str, Any], expected: list[str]
    ) -> None:
        """Exact matches, the six operators on numbers, and several fields, as `SearchOp`
        documents."""
        store.put(AT, "a", {"status": "active", "score": 5})
        store.put(AT, "b", {"status": "new", "score": 4.5})
        store.put(AT, "c", {"status": "active", "score": 12})
        assert sorted(keys(store.search(AT, filter=wanted))) == expected

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            (1, {"one", "float"}),
            (1.0, {"one", "float"}),
            (0, {"zero"}),
            (0.1, {"tenth"}),
            (True, {"true"}),
            (False, {"false"}),
            (None, {"null"}),
            ("text", {"text"}),
            ("10", {"digit"}),
            ("", {"empty"}),
            ("été", {"accent"}),
            (2**53 + 1, {"big"}),
            (2**53, set()),
            (float(2**53), set()),
            (10**30, {"huge"}),
            ([1, "a"], {"list"}),
            ((1, "a"), {"list"}),
            ([1], set()),
            ({"$eq": 10}, {"ten"}),
            ({"$eq": {"a": 1, "b": {"c": "x"}}}, {"object"}),
            ({"$eq": {"a": 1}}, set()),
            ({"$eq": {}}, {"bare"}),
            ({"a": 1}, {"object"}),
            ({"b": {"c": "x"}}, {"object"}),
            ({"b": {"c": {"$gt": "w"}}, "a": {"$lt": 2}}, {"object"}),
            ({"b": {"c": "y"}}, set()),
            ({"a": {"b": 1}}, set()),
            ({"missing": None}, set()),
            ({}, {"object", "bare"}),
            ({"$gt": 9}, {"ten", "big", "huge"}),
            ({"$gte": 9}, {"nine", "ten", "big", "huge"}),
            ({"$lt": 0.5}, {"zero", "tenth", "minus"}),
            ({"$lte": 0.5}, {"zero", "tenth", "minus", "half"}),
            ({"$gt": 2**53}, {"big", "huge"}),
            ({"$gt": 2**53 + 1}, {"huge"}),
            ({"$gte": 0.1, "$lt": 1}, {"tenth", "half"}),
            ({"$gt": 1e400}, set()),
            ({"$lt": 1e400, "$gt": 10}, {"big", "huge"}),
            ({"$gt": float("nan")}, set()),
            ({"$gt": "Text"}, {"text", "accent"}),
            ({"$gte": "10", "$lte": "Text"}, {"digit", "Text"}),
            ({"$lt": "10"}, {"empty"}),
            ({"$gt": None}, set()),
            ({"$lt": True}, set()),
            ({"$gt": [0]}, set()),
            ({"$ne": 1}, set(VALUES) - {"one", "float"}),
            ({"$ne": None}, set(VALUES) - {"null"}),
            ({"$ne": "text"}, set(VALUES) - {"text"}),
            ({"$ne": 1, "$lt": 9}, {"zero", "half", "tenth", "minus"}),
            ({"$in": [1, "text", None, 2**53]}, {"one", "float", "text", "null"}),
            ({"$in": [True, [1, "a"], {}]}, {"true", "list", "bare"}),
            ({"$in": (0, "0", 2**53 + 1, 10**30)}, {"zero", "big", "huge"}),
            ({"$in": []}, set()),
            ({"$nin": [1, "text", None]}, set(VALUES) - {"one", "float", "text", "null"}),
            ({"$nin": []}, set(VALUES)),
            ({"$exists": True}, set(VALUES)),
            ({"$exists": False}, {"without"}),
            ({"$contains": "a"}, {"list"}),
            ({"$contains": 1.0}, {"list"}),
            ({"$contains": True}, set()),
            ({"$contains": "t"}, set()),
            ({"$not": {"$exists": True}}, {"without"}),
            ({"$not": {"$gte": 0}}, {"without", "minus", *OTHER_THAN_NUMBERS}),
            ({"$not": {"$not": 1}}, {"one", "float"}),
            ({"$not": {"$in": [1, 9]}}, {*VALUES, "without"} - {"one", "float", "nine"}),
            ({"$or": [1, {"$gt": 9, "$lt": 11}, {"a": 1}]}, {"one", "float", "ten", "object"}),
            ({"$or": []}, set()),
            ({"$and": []}, {*VALUES, "without"}),
            ({"$and": [{"$gt": 0}, {"$or": [{"$lt": 1}, {"$eq": 9}]}]}, {"half", "tenth", "nine"}),
        ],
        ids=in_order,
    )
    def test_filter_one_field(self, store: StoreFacade, wanted: Any, found: set[str]) -> None:
        """Numbers compare as numbers, strings as strings; a value of another type does not
        match."""
        store.batch([PutOp(AT, key, {"field": value}) for key, value in VALUES.items()])
        store.put(AT, "without", {"other": 1})
        assert set(keys(store.search(AT, filter={"field": wanted}, limit=100))) == found

    def test_filter_fields_are_combined_with_and(self, store: StoreFacade) -> None:
        """An item must fulfil the conditions on all fields."""
        store.batch(
            [
                PutOp(AT, f"{n}", {"kind": f"k{n % 3}", "n": n, "tags": {"even": n % 2 == 0}})
                for n in range(30)
            ]
        )
        wanted = {"kind": "k1", "n": {"$gte": 10, "$lt": 25}, "tags": {"even": True}}
        assert sorted(keys(store.search(AT, filter=wanted))) == ["10", "16", "22"]

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({"$or": [{"kind": "fact"}, {"n": {"$gte": 4}}]}, ["0", "2", "4", "5"]),
            ({"$or": [{"kind": "fact", "n": 2}, {"in": {"deep": 5}}]}, ["2", "5"]),
            ({"$and": [{"kind": "fact"}, {"n": {"$gt": 0}}], "n": {"$lt": 4}}, ["2"]),
            ({"$not": {"kind": "fact"}}, ["1", "3", "5"]),
            ({"$not": {"$or": [{"n": {"$lt": 3}}, {"in": {"deep": 5}}]}}, ["3", "4"]),
            ({"$not": {"n": {"$gt": 1}, "kind": "fact"}}, ["0", "1", "3", "5"]),
            ({"$and": [{"$or": [{"n": 1}, {"n": 2}]}, {"$not": {"kind": "note"}}]}, ["2"]),
            ({"tags": {"$contains": "x"}, "n": {"$in": [1, 2, 3]}}, ["1", "2", "3"]),
            ({"in": {"$or": [{"deep": 5}, {"deep": {"$lt": 1}}]}}, ["0", "5"]),
            ({"in": {"deep": {"$not": {"$in": [0, 1, 2]}}}}, ["3", "4", "5"]),
            ({"$not": {}}, []),
        ],
        ids=str,
    )
    def test_filter_logic(
        self, store: StoreFacade, wanted: dict[str, Any], expected: list[str]
    ) -> None:
        """`$or`, `$and` and `$not` work on whole filters and within a field, and can be nested."""
        for n in range(6):
            kind, tags = ("note" if n % 2 else "fact"), ["x", "y"][: 5 - n]
            store.put(AT, f"{n}", {"kind": kind, "n": n, "in": {"deep": n}, "tags": tags})
        assert sorted(keys(store.search(AT, filter=wanted))) == expected

    def test_filter_nothing_wanted(self, store: StoreFacade) -> None:
        """An empty filter matches every item."""
        store.put(AT, "a", {"n": 1})
        assert keys(store.search(AT, filter={})) == ["a"]

    def test_filter_deep(self, store: StoreFacade) -> None:
        """Nested dicts select nested fields; a name with dots is a name, not a path."""
        store.put(AT, "deep", {"a": {"b": {"c": {"d": 5}}}})
        store.put(AT, "dotted", {"a.b.c.d": 5})
        store.put(AT, "list", {"a": [{"b": 1}]})
        assert keys(store.search(AT, filter={"a": {"b": {"c": {"d": {"$gt": 4}}}}})) == ["deep"]
        assert keys(store.search(AT, filter={"a.b.c.d": 5})) == ["dotted"]
        assert store.search(AT, filter={"a": {"0": {"b": 1}}}) == []

    @pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:30])
    def test_filter_any_name_and_any_text(self, store: StoreFacade, name: str) -> None:
        """Any text can be a field's name, also in a nested object, or a value: it is data, never
        part of a query."""
        store.put(AT, "it", {name: 1, "in": {"it": {name: "x"}}, "text": name})
        store.put(AT, "other", {"x" + name: 1, "in": {"it": {"x" + name: "x"}}, "text": name + "x"})
        assert keys(store.search(AT, filter={name: 1})) == ["it"]
        assert keys(store.search(AT, filter={"text": name})) == ["it"]
        assert keys(store.search(AT, filter={"text": {"$gte": name, "$lte": name}})) == ["it"]
        if not name.startswith("$"):  # in a nested object, this would be an operator
            assert keys(store.search(AT, filter={"in": {"it": {name: "x"}}})) == ["it"]

    @pytest.mark.parametrize("name", ["\0", "a\0b", "\ud800"], ids=ascii)
    def test_filter_names_that_are_no_text(self, store: StoreFacade, name: str) -> None:
        """Names of fields may have characters that databases cannot store, such as NUL."""
        store.put(AT, "it", {name: name})
        assert keys(store.search(AT, filter={name: name})) == ["it"]
        assert store.search(AT, filter={"other": name}) == []

    @pytest.mark.parametrize(
        "bad",
        [
            {"n": {"$regex": "x"}},
            {"n": {"$in": 1}},
            {"n": {"$nin": "ab"}},
            {"n": {"$in": [{1}]}},
            {"n": {"$exists": 1}},
            {"n": {"$not": {"$regex": "x"}}},
            {"n": {"$or": {"$gt": 1}}},
            {"n": {"$nor": [1]}},
            {"n": {"$gt": 1, "x": 2}},
            {"a": {"b": {"$where": "1"}}},
            {"n": {"$": 1}},
            {"n": {"$GT": 1}},
            {"$nor": [{"n": 1}, {"n": 2}]},
            {"$or": {"n": 1}},
            {"$or": [1]},
            {"$not": [{"n": 1}]},
            {"$and": [{"n": {"$regex": "x"}}]},
            {"n": {1, 2}},
            {1: 2},
            ["n"],
        ],
        ids=repr,
    )
    def test_filter_unknown_operators(self, store: StoreFacade, bad: Any) -> None:
        """Unknown operators are rejected, also if there is no item to apply them to."""
        with pytest.raises(ValueError, match="filter"):
            store.search(AT, filter=bad)

    def test_filter_applies_before_the_limit(self, store: StoreFacade) -> None:
        """The filter applies before the limit: `limit` items are returned if so many match."""
        for part in range(0, 3000, 500):
            store.batch(
                [
                    PutOp(AT, f"{n:04}", {"n": n, "rare": n % 100 == 7})
                    for n in range(part, part + 500)
                ]
            )
        assert len(store.search(AT, filter={"rare": True}, limit=30)) == 30
        assert len(store.search(AT, filter={"rare": True}, limit=10, offset=25)) == 5
        assert len(store.search(AT, filter={"n": {"$gte": 2990}}, limit=100)) == 10
