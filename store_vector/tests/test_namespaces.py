"""The text of namespaces: injective, in order, cut at labels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from langgraph.store.base import ListNamespacesOp, MatchCondition

from store_vector.namespaces import NamespaceQuery, bounds, decode, encode

# few characters, those that mean something among them, so that texts meet
LABELS = st.text("\x01\x02\x03a*\U0010ffff", min_size=1, max_size=3)
NAMESPACES = st.lists(LABELS, min_size=1, max_size=3).map(tuple)


@given(NAMESPACES)
def test_it_can_be_read_back(namespace: tuple[str, ...]) -> None:
    assert decode(encode(namespace)) == namespace


@given(NAMESPACES, NAMESPACES)
def test_texts_sort_as_tuples_do(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (encode(one) < encode(other)) == (one < other)
    assert (encode(one).encode() < encode(other).encode()) == (one < other)


@given(NAMESPACES, NAMESPACES)
def test_what_lies_under_is_a_range(prefix: tuple[str, ...], namespace: tuple[str, ...]) -> None:
    within = bounds(encode(prefix))
    assert within is not None
    inside = within[0] <= encode(namespace) < within[1]
    assert inside == (namespace[: len(prefix)] == prefix)
    assert inside == encode(namespace).startswith(encode(prefix))


PATHS = st.lists(st.sampled_from(["a", "b", "*", "\x01"]), min_size=1, max_size=3).map(tuple)
CONDITIONS = st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), PATHS)


@given(
    st.lists(CONDITIONS, max_size=3).map(tuple),
    st.lists(st.lists(st.sampled_from("ab\x01"), min_size=1, max_size=3).map(tuple)),
)
def test_the_bounds_hold_all_that_match(
    conditions: tuple[MatchCondition, ...], namespaces: list[tuple[str, ...]]
) -> None:
    query = NamespaceQuery.of(ListNamespacesOp(conditions))
    for namespace in namespaces:
        first, end = query.bounds or ("", "\U0010ffff" * 9)
        inside = first <= encode(namespace) < end
        assert inside or not query.matches(namespace)
        if query.is_one_range:
            assert inside == query.matches(namespace)
