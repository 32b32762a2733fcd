"""Filter keys: they sort as filters compare, and any database can keep them."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.filters import json_equal
from store_vector.filters.keys import (
    DEEPEST,
    INDEXES,
    Keys,
    declared_fields,
    filter_keys,
    index_name,
    key_of,
    keys_for,
    path_text,
    pushed_down,
)
from store_vector.filters.operators import ORDER, Condition, Filter, is_number
from store_vector.tests.filtering import ATOMS, NAMES, NUMBERS, TEXTS, VALUES, items_and_filters

PATH = set(string.ascii_letters + string.digits + "_-~%/")


@settings(max_examples=1000)
@given(a=NUMBERS | TEXTS, b=NUMBERS | TEXTS)
def test_keys_sort_as_filters_compare(a: Any, b: Any) -> None:
    if is_number(a) == is_number(b) and a <= b:
        assert key_of(a).encode() <= key_of(b).encode()


@given(a=VALUES, b=VALUES)
def test_what_is_equal_has_one_key(a: Any, b: Any) -> None:
    assert key_of(a) == key_of(b) or not json_equal(a, b)
    for key in (key_of(a), key_of(b)):
        assert "\0" not in key
        assert key.encode().decode() == key


@given(names=st.lists(NAMES | TEXTS, min_size=1, max_size=3), others=st.lists(NAMES, min_size=1))
def test_paths_are_plain_and_keep_names_apart(names: list[str], others: list[str]) -> None:
    assert set(path_text(names)) <= PATH
    assert (path_text(names) == path_text(others)) == (names == others)


@settings(max_examples=1000)
@given(items_and_filters())
def test_what_matches_is_selected(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Databases compare keys; here Python does."""
    item, fields = pair
    there, wanted = filter_keys(item), Filter.of(fields)

    def clause(path: str, keys: Keys) -> bool:
        key = there.get(path)
        if key is None:
            return False
        return key in keys.points if keys.points else keys.low <= key <= keys.high

    selected = pushed_down(wanted.parts, clause, lambda branches: any(map(all, branches)))
    assert all(selected) or not wanted.matches(item)


@given(value=st.integers(-9, 9) | st.sampled_from(["", "a", "ab"]), operand=ATOMS)
def test_nothing_else_is_greater_or_less(value: Any, operand: Any) -> None:
    for op in ORDER:
        (part,) = Filter.of({"n": {op: operand}}).parts
        keys = keys_for(part) if isinstance(part, Condition) else None
        if keys is not None and is_number(value) != is_number(operand):
            assert not keys.low <= key_of(value) <= keys.high


def test_deep_fields_have_no_keys() -> None:
    value: dict[str, Any] = {"n": 1}
    for _ in range(DEEPEST + 3):
        value = {"n": value}
    assert [path.count("/") for path in filter_keys(value)] == list(range(DEEPEST))
    wanted: dict[str, Any] = {"n": 1}
    for _ in range(DEEPEST + 3):
        wanted = {"n": wanted}
    assert Filter.of(wanted).matches(value)
    assert pushed_down(Filter.of(wanted).parts, lambda path, _: path, str) == []


def test_a_database_is_asked_for_so_much_only() -> None:
    """SQLite takes no expression of more than a thousand parts."""
    many = Filter.of({f"n{n}": n for n in range(5000)})
    assert len(pushed_down(many.parts, lambda path, _: path, str)) == 100
    either = Filter.of({"$or": [{f"n{n}": n} for n in range(5000)]})
    assert pushed_down(either.parts, lambda path, _: path, str) == []
    deep: dict[str, Any] = {"n": 1}
    for _ in range(40):
        deep = {"$not": deep}
    with pytest.raises(InvalidArgumentError, match="nested"):
        Filter.of(deep)


def test_declared_fields() -> None:
    assert declared_fields(None, None) == ()
    assert declared_fields({"dims": 3}, ["status", "user.age", "status"]) == ("status", "user/age")
    assert declared_fields({"filter_fields": ["é"]}, None) == ("%C3%A9",)
    assert index_name("user/age").startswith(INDEXES)
    with pytest.raises(InvalidArgumentError, match="twice"):
        declared_fields({"filter_fields": ["a"]}, ["a"])
    for bad in ("status", [""], ["a."], [1], 7, [None], [f"f{n}" for n in range(33)]):
        with pytest.raises(InvalidArgumentError, match="filter_fields"):
            declared_fields(None, bad)
