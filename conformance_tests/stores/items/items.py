"""Clauses about items: put, get, update, delete, and fidelity of values."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.compare import assert_same
from conformance_tests.stores.base import StoreClauses, StoreOpener, item_of, keys, value_of
from conformance_tests.stores.facade import StoreFacade
from conformance_tests.stores.harness import StoreHarness

AT = ("users", "ada")

EXACT: tuple[Any, ...] = (
    0,
    -1,
    2**53 + 1,
    -(2**63) - 1,
    10**40,
    0.1,
    1.0,
    -0.0,
    1e300,
    5e-324,
    0.1 + 0.2,
    True,
    False,
    None,
    "",
    "text",
    "NUL \0 inside",
    "half a pair \ud800",
    'quotes " and \\ and \n',
    "日本語 👩‍👩‍👧 \u202e \uffff",
    [],
    {},
    [[], {}, None, [1, [2.0, ["3"]]]],
    {"": 0, ".": 1, "$": 2, "a.b": 3, "$gt": 4, "\0": 5, "__proto__": {}, "é": 6, "e\u0301": 7},
)


def same(a: Any, b: Any) -> bool:
    """Equality that distinguishes 1, 1.0 and True, and 0.0 from -0.0."""
    return repr(a) == repr(b)


@clauses_of(Capability.STORE_ITEMS)
class ItemClauses(StoreClauses):
    """Clauses about single items."""

    def test_items_put_and_get(self, store: StoreFacade) -> None:
        """The item has its namespace, its key and its value."""
        store.put(AT, "food", {"likes": "curry"})
        found = store.get(AT, "food")
        assert found is not None
        assert (found.namespace, found.key, found.value) == (AT, "food", {"likes": "curry"})

    def test_items_none_there(self, store: StoreFacade) -> None:
        """An absent item is None, also if its key exists in another namespace, or its namespace has
        another key."""
        store.put(AT, "food", {"likes": "curry"})
        assert store.get(AT, "drink") is None
        assert store.get(("users",), "food") is None
        assert store.get((*AT, "food"), "food") is None
        assert store.get(("ada", "users"), "food") is None

    def test_items_an_update_replaces_the_value(self, store: StoreFacade) -> None:
        """A put replaces the whole value; values are not merged."""
        store.put(AT, "food", {"likes": "curry", "hates": "leek"})
        store.put(AT, "food", {"likes": "rice"})
        assert value_of(store.get(AT, "food")) == {"likes": "rice"}

    def test_items_times(self, store: StoreFacade, harness: StoreHarness) -> None:
        """`created_at` is the time of the first put, `updated_at` that of the last; both in UTC."""
        store.put(AT, "food", {"n": 1})
        first = store.get(AT, "food")
        assert first is not None
        assert first.created_at == first.updated_at
        assert first.created_at.utcoffset() == timedelta(0)
        harness.advance(90.5)
        store.put(AT, "food", {"n": 2})
        second = store.get(AT, "food")
        assert second is not None
        assert second.created_at == first.created_at
        assert second.updated_at - first.updated_at == timedelta(seconds=90.5)
        assert store.search(AT)[0].updated_at == second.updated_at

    def test_items_created_at_survives_an_update(self, store: StoreFacade) -> None:
        """An update keeps `created_at`, by which memory tools sort."""
        store.put(AT, "food", {"n": 1})
        first = item_of(store.get(AT, "food"))
        store.put(AT, "food", {"n": 2})
        second = item_of(store.get(AT, "food"))
        assert second.created_at == first.created_at
        assert first.created_at <= first.updated_at <= second.updated_at, (
            f"expected times that grow, got created_at {first.created_at}, then updated_at "
            f"{first.updated_at} and {second.updated_at}"
        )

    def test_items_json_values_come_back(self, store: StoreFacade) -> None:
        """JSON values are read back: nested texts, numbers, booleans, null, arrays and objects."""
        value: dict[str, Any] = {
            "text": "grüße",
            "number": 7,
            "float": 0.25,
            "yes": True,
            "no": False,
            "nothing": None,
            "list": [1, "two", [3.5, {"four": 4}]],
            "object": {"a": {"b": {"c": []}}, "empty": {}},
        }
        store.put(AT, "all", value)
        assert_same(value, value_of(store.get(AT, "all")), "the value of get")
        assert_same([value], [item.value for item in store.search(AT)], "the values of search")

    def test_items_put_again_after_delete_are_new(
        self, store: StoreFacade, harness: StoreHarness
    ) -> None:
        """An item put after its deletion is new, with a new `created_at`."""
        store.put(AT, "food", {"n": 1})
        first = store.get(AT, "food")
        store.delete(AT, "food")
        assert store.get(AT, "food") is None
        assert store.search(()) == []
        assert dict(harness.rows()) == {"items": 0, "vectors": 0}
        harness.advance(1)
        store.put(AT, "food", {"n": 1})
        second = store.get(AT, "food")
        assert first is not None
        assert second is not None
        assert second.created_at - first.created_at == timedelta(seconds=1)

    def test_items_delete_what_is_not_there(self, store: StoreFacade) -> None:
        """Deleting an absent item is a no-op; a delete removes only the named item."""
        store.put(AT, "food", {"n": 1})
        store.delete(AT, "drink")
        store.delete(("users",), "food")
        assert keys(store.search(())) == ["food"]

    def test_items_of_other_opens(self, reopened: StoreOpener) -> None:
        """A store reads what another store on the same database put."""
        reopened().put(AT, "food", {"n": [1, 2.5]})
        assert value_of(reopened().get(AT, "food")) == {"n": [1, 2.5]}

    def test_items_values_are_copies(self, store: StoreFacade) -> None:
        """Changing an object that was put or returned does not change the stored value."""
        value = {"list": [1]}
        store.put(AT, "food", value)
        value["list"].append(2)
        found = value_of(store.get(AT, "food"))
        found["list"].append(3)
        assert value_of(store.get(AT, "food")) == {"list": [1]}

    @pytest.mark.parametrize("value", EXACT, ids=lambda value: repr(value)[:30])
    def test_items_values_come_back_exactly(self, store: StoreFacade, value: Any) -> None:
        """Every JSON value keeps its type, in get, and in search with and without a filter."""
        store.put(AT, "it", {"value": value, "other": 1})
        for found in (
            value_of(store.get(AT, "it")),
            store.search(AT)[0].value,
            store.search(AT, filter={"other": 1})[0].value,
        ):
            assert same(found, {"value": value, "other": 1})

    def test_items_order_of_keys_and_tuples(self, store: StoreFacade) -> None:
        """Keys of objects keep their order; a tuple, which JSON lacks, is read back as a list."""
        store.put(AT, "it", OrderedDict([("b", (1, 2)), ("a", {"d": 1, "c": 2})]))
        assert same(value_of(store.get(AT, "it")), {"b": [1, 2], "a": {"d": 1, "c": 2}})

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ({"a": float("nan")}, r"nan at \$\.a"),
            ({"a": [1, float("inf")]}, r"inf at \$\.a\[1\]"),
            ({"a": {"b": b"x"}}, r"bytes, at \$\.a\.b"),
            ({"a": {1, 2}}, "set"),
            ({"a": datetime(2026, 1, 1, tzinfo=timezone.utc)}, "datetime"),
            ({"a": Decimal("1.5")}, "Decimal"),
            ({"a": Ellipsis}, "ellipsis"),  # not object(): its repr differs between processes
            ({1: "a"}, "key 1"),
            ({"a": {None: 1}}, "key None"),
            (["a"], "dict"),
            ("text", "dict"),
        ],
        ids=repr,
    )
    def test_items_what_is_no_json_is_refused(
        self, store: StoreFacade, harness: StoreHarness, value: Any, told: str
    ) -> None:
        """A value that is not JSON is rejected by an error that names the part and its path, and is
        not silently converted."""
        with pytest.raises(ValueError, match=told):
            store.put(AT, "it", value)
        assert harness.rows()["items"] == 0

    def test_items_keys_need_not_be_strings(self, store: StoreFacade) -> None:
        """Keys of other types become strings, as LangGraph's base class converts them."""
        store.call("put", AT, 7, {"n": 1})
        assert keys(store.search(AT)) == ["7"]
        assert value_of(store.get(AT, "7")) == {"n": 1}

    def test_items_an_empty_value(self, store: StoreFacade) -> None:
        """An empty object is a value, not a deletion."""
        store.put(AT, "it", {})
        assert value_of(store.get(AT, "it")) == {}

    def test_items_large(self, store: StoreFacade) -> None:
        """A value may contain a megabyte of text."""
        value = {"text": "é" * 500_000, "deep": {"list": list(range(1000))}}
        store.put(AT, "it", value)
        assert value_of(store.get(AT, "it")) == value
