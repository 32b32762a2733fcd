"""Values of items: what is JSON comes back as it was, the rest is named and refused."""

from __future__ import annotations

import math
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_base.errors import InvalidArgumentError
from store_vector.values import dumps, loads

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS = st.text(st.characters(exclude_categories=()))
VALUES = st.recursive(
    LEAVES | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=3))
def test_json_comes_back_as_it_was(value: dict[str, Any]) -> None:
    dumps(value).encode()
    assert repr(loads(dumps(value))) == repr(value)


@pytest.mark.parametrize("kind", [OrderedDict, MappingProxyType])
def test_any_mapping_is_a_value(kind: Any) -> None:
    assert dumps(kind({"a": 1})) == '{"a":1}'


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("within", [{}, {"b": [1, (2.5,)]}])
def test_numbers_that_json_lacks_are_refused(wrong: float, within: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"got -?(nan|inf) at \$"):
        dumps({**within, "a": wrong})
    with pytest.raises(InvalidArgumentError, match=r"at \$\.c\[0\]\.d"):
        dumps({**within, "c": [{"d": wrong}]})


@pytest.mark.parametrize("wrong", [{"a": {1}}, {"a": {1: 2}}, {1: 2}, {"a": [b""]}, "text", None])
def test_what_is_no_json_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="value: wanted"):
        dumps(wrong)


def test_what_contains_itself_is_refused() -> None:
    in_a_dict: dict[str, Any] = {}
    in_a_dict["a"] = in_a_dict
    in_a_list: list[Any] = []
    in_a_list.append(in_a_list)
    for value in (in_a_dict, {"a": in_a_list}, {"a": [in_a_dict]}):
        with pytest.raises(InvalidArgumentError, match="value: wanted JSON"):
            dumps(value)
