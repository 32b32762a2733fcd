"""Clauses about metadata filters: equality per key, with the same semantics on all backends."""

from __future__ import annotations

from typing import Any

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.build import Chain, checkpoint, metadata, new_thread, on, told
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.corpus import HOSTILE
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import SaverClauses

DIFFERENT: dict[str, tuple[Any, Any]] = {
    "1 and True": (1, True),
    "0 and False": (0, False),
    "1 and '1'": (1, "1"),
    "True and 'true'": (True, "true"),
    "0 and None": (0, None),
    "'' and None": ("", None),
    "'null' and None": ("null", None),
    "False and None": (False, None),
    "[] and None": ([], None),
    "{} and None": ({}, None),
    "[] and {}": ([], {}),
    "[] and ''": ([], ""),
    "1 and [1]": (1, [1]),
    "part of a list": ([1, 2], [1]),
    "order of a list": ([1, 2], [2, 1]),
    "repetition in a list": ([1, 1], [1]),
    "True in a list": ([1], [True]),
    "part of a dict": ({"a": 1, "b": 2}, {"a": 1}),
    "null in a dict": ({"a": None}, {}),
    "nested 1 and True": ({"a": {"b": [1]}}, {"a": {"b": [True]}}),
    "dict and its text": ({"a": 1}, '{"a": 1}'),
    "case": ("Ada", "ada"),
    "trailing space": ("ada", "ada "),
    "prefix": ("ada", "ad"),
    "unicode forms": ("é", "e\u0301"),
    "like pattern": ("axb", "a_b"),
    "2**53 and 2**53 + 1": (2**53, 2**53 + 1),
    "close floats": (0.1 + 0.2, 0.3),
    "sign": (1, -1),
    "1 and 1.5": (1, 1.5),
}
"""Pairs of different JSON values."""

EQUAL: dict[str, tuple[Any, Any]] = {
    "text": ("é 日本 👩‍👧 '\"\\", "é 日本 👩‍👧 '\"\\"),
    "int and float": (1, 1.0),
    "large int": (2**62 + 1, 2**62 + 1),
    "negative": (-7, -7),
    "float": (0.1, 0.1),
    "exponent": (1e300, 1e300),
    "bool": (True, True),
    "order in a dict": ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
    "nested": ({"a": {"b": [{"c": None}, 1.5]}}, {"a": {"b": [{"c": None}, 1.5]}}),
    "number in a dict": ({"a": [1]}, {"a": [1.0]}),
    "empty list": ([], []),
    "empty dict": ({}, {}),
    "empty text": ("", ""),
    "null": (None, None),
    "hostile keys in a dict": ({"a.b": 1, "$gt": 2, "": 3}, {"$gt": 2, "": 3, "a.b": 1}),
}
"""Pairs of equal JSON values."""


def tagged(saver: Facade, *entries: dict[str, Any]) -> Chain:
    """Put a thread whose checkpoints have these metadata entries, oldest first."""
    chain = Chain(saver)
    for each in entries:
        config = on(chain.thread_id)
        saver.put(config, checkpoint({}), metadata(**each), {})
    return chain


def matching(saver: Facade, chain: Chain, wanted: dict[str, Any]) -> list[Any]:
    """The metadata entry "name" of the checkpoints that a filter selects, newest first."""
    found = saver.list(on(chain.thread_id), filter=wanted)
    return [each.metadata.get("name") for each in found]


@clauses_of(Capability.FILTER)
class FilterClauses(SaverClauses):
    """Clauses of `list(filter=...)`."""

    def test_filter_equality_under_every_key(self, saver: Facade) -> None:
        """A checkpoint matches if all keys of the filter are equal in its metadata."""
        chain = tagged(
            saver,
            {"name": 1, "user": "ada", "level": 1},
            {"name": 2, "user": "ada", "level": 2},
            {"name": 3, "user": "bob", "level": 2},
        )
        assert matching(saver, chain, {"user": "ada"}) == [2, 1]
        assert matching(saver, chain, {"level": 2}) == [3, 2]
        assert matching(saver, chain, {"user": "ada", "level": 2}) == [2]
        assert matching(saver, chain, {"user": "ada", "level": 3}) == []
        assert matching(saver, chain, {}) == [3, 2, 1]

    @pytest.mark.parametrize("case", DIFFERENT)
    def test_filter_different_json_values_do_not_match(self, saver: Facade, case: str) -> None:
        """Filters test equality of JSON values: not containment, not equality as text, and True is
        not 1."""
        one, other = DIFFERENT[case]
        chain = tagged(saver, {"name": "one", "k": one}, {"name": "other", "k": other})
        assert matching(saver, chain, {"k": one}) == ["one"]
        assert matching(saver, chain, {"k": other}) == ["other"]

    @pytest.mark.parametrize("case", EQUAL)
    def test_filter_equal_json_values_match(self, saver: Facade, case: str) -> None:
        """Any JSON value can be searched for."""
        one, other = EQUAL[case]
        chain = tagged(
            saver, {"name": "one", "k": one}, {"name": "x", "k": "x"}, {"name": "other", "k": other}
        )
        assert matching(saver, chain, {"k": one}) == ["other", "one"]
        assert matching(saver, chain, {"k": other}) == ["other", "one"]

    def test_filter_none_matches_null_and_missing(self, saver: Facade) -> None:
        """None matches null and a missing key, such as an owner that was not recorded."""
        chain = tagged(
            saver, {"name": "null", "k": None}, {"name": "missing"}, {"name": "set", "k": 0}
        )
        assert matching(saver, chain, {"k": None}) == ["missing", "null"]
        assert matching(saver, chain, {"k": None, "name": "null"}) == ["null"]

    def test_filter_dotted_key_is_no_path(self, saver: Facade) -> None:
        """The key `a.b` is a key with a dot, not a path."""
        chain = tagged(
            saver,
            {"name": "flat", "a.b": 1},
            {"name": "nested", "a": {"b": 1}},
            {"name": "list", "a": [{"b": 1}]},
        )
        assert matching(saver, chain, {"a.b": 1}) == ["flat"]
        assert matching(saver, chain, {"a": {"b": 1}}) == ["nested"]
        assert matching(saver, chain, {"a": [{"b": 1}]}) == ["list"]
        assert matching(saver, chain, {"a.b": None}) == ["list", "nested"]

    def test_filter_array_index_is_no_path(self, saver: Facade) -> None:
        """`a[0]`, `$.a` and `a.0` are keys, not paths."""
        chain = tagged(saver, {"name": "list", "a": [7]})
        for path in ("a[0]", "a.0", "$.a[0]", "$['a'][0]", "$.a", "/a/0", "#>>{a,0}"):
            assert matching(saver, chain, {path: 7}) == []

    def test_filter_operators_are_plain_values(self, saver: Facade) -> None:
        """`{"$gt": 0}` is a dict to compare with, not an operator."""
        chain = tagged(saver, {"name": "number", "k": 1}, {"name": "dict", "k": {"$gt": 0}})
        assert matching(saver, chain, {"k": {"$gt": 0}}) == ["dict"]
        assert matching(saver, chain, {"k": {"$ne": None}}) == []
        assert matching(saver, chain, {"$or": [{"k": 1}]}) == []

    def test_filter_every_string_is_a_legal_key(self, saver: Facade) -> None:
        """Keys are bound as parameters, not spliced into queries, and are never mixed up."""
        chain = tagged(saver, *({"name": key, key: f"value of {key}"} for key in HOSTILE))
        for key in HOSTILE:
            assert matching(saver, chain, {key: f"value of {key}"}) == [key]
        listed = [dict(each.metadata) for each in saver.list(on(chain.thread_id))]
        for got, key in zip(listed, reversed(HOSTILE), strict=True):
            assert_same({**metadata(), "name": key, key: f"value of {key}"}, got, "metadata")

    def test_filter_every_string_is_a_legal_value(self, saver: Facade) -> None:
        """Values are bound as parameters, not spliced into queries."""
        chain = tagged(saver, *({"name": value, "k": value} for value in HOSTILE))
        for value in HOSTILE:
            assert matching(saver, chain, {"k": value}) == [value]

    def test_filter_nul_in_a_key(self, saver: Facade) -> None:
        """A key may contain NUL, which some databases cannot store."""
        chain = tagged(saver, {"name": "nul", "a\0b": 1}, {"name": "plain", "ab": 1})
        assert matching(saver, chain, {"a\0b": 1}) == ["nul"]
        assert matching(saver, chain, {"ab": 1}) == ["plain"]

    def test_filter_limit_and_before_count_what_matches(self, saver: Facade) -> None:
        """The filter applies before `limit`: it returns `limit` matches if there are so many."""
        thread, stored = new_thread(), []
        for n in range(150):
            entries = metadata(step=n, odd=n % 30 == 0)
            stored.append(saver.put(on(thread), checkpoint({}), entries, {}))
        found = list(saver.list(on(thread), filter={"odd": True}, limit=4))
        assert [each.metadata["step"] for each in found] == [120, 90, 60, 30]
        older = saver.list(on(thread), filter={"odd": True}, before=stored[90], limit=2)
        assert [each.metadata["step"] for each in older] == [60, 30]
        assert list(saver.list(on(thread), filter={"odd": True}, limit=0)) == []

    def test_filter_across_threads_and_namespaces(self, saver: Facade) -> None:
        """A filter without a thread or namespace searches all of them, for example for a run."""
        chains = [Chain(saver), Chain(saver), Chain(saver, ns="sub:1")]
        for chain in chains:
            chain.put({"a": 1}, run_id="mine")
            chain.put({"a": 2}, run_id="other")
        found = list(saver.list(None, filter={"run_id": "mine"}))
        assert [each.config["configurable"]["thread_id"] for each in found] == [
            chain.thread_id for chain in reversed(chains)
        ]

    def test_filter_by_what_the_config_said(self, saver: Facade) -> None:
        """Scalars of the config's `configurable` and `metadata` become metadata, and can be
        filtered by."""
        config = on(new_thread(), user="ada")
        config["metadata"] = {"team": "x"}
        stored = saver.put(config, checkpoint({}), metadata(), {})
        asked = on(stored["configurable"]["thread_id"])
        assert len(list(saver.list(asked, filter={"user": "ada", "team": "x"}))) == 1
        assert list(saver.list(asked, filter={"user": "bob"})) == []
        assert told(saver.get_tuple(asked))["user"] == "ada"
