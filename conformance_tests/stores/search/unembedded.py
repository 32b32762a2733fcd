"""Clauses about puts with `index=False`: nothing is embedded; vectors of unchanged texts stay."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.stores.base import (
    Numbers,
    StoreClauses,
    StoreOpener,
    index_of,
    keys,
    scores,
    value_of,
)
from conformance_tests.stores.harness import StoreHarness

AT = ("n",)
CLOSE = 1e-5
SECONDS = 24.0  # 0.4 minutes


@clauses_of(Capability.STORE_MEANING)
class UnembeddedClauses(StoreClauses):
    """Clauses about puts with `index=False` of items that have vectors."""

    def test_meaning_index_false_keeps_an_unchanged_text(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """The vector of an unchanged text is kept, and the text is not embedded again."""
        embed = Numbers()
        store = reopened(index=index_of(harness, embed))
        store.put(AT, "a", {"text": "1 1 0", "read": 0})
        before = scores(store.search(AT, query="1 0 0"))
        for read in (1, 2):
            store.put(AT, "a", {"text": "1 1 0", "read": read}, index=False)
            assert value_of(store.get(AT, "a"))["read"] == read
            found = store.search(AT, query="1 0 0")
            assert scores(found) == pytest.approx(before, abs=CLOSE)
            assert found[0].value["read"] == read
        store.put(AT, "a", {"text": "1 1 0"}, index=[])
        assert keys(store.search(AT, query="1 0 0")) == ["a"]
        assert sum("1 1 0" in texts for texts in embed.calls) == 1
        assert dict(harness.rows()) == {"items": 1, "vectors": 1}

    def test_meaning_index_false_drops_a_changed_text(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """The vector of a changed text is deleted, which other stores see at once. Changing the
        text back does not restore it.
        """
        one, two = (reopened(index=index_of(harness, Numbers())) for _ in range(2))
        one.batch([PutOp(AT, key, {"text": "1 0 0"}) for key in "abc"])
        assert sorted(keys(two.search(AT, query="1 0 0"))) == ["a", "b", "c"]
        for changed in ({"text": "0 1 0"}, {"text": "0 1 0"}, {"text": "1 0 0"}):
            one.put(AT, "a", changed, index=False)
            assert sorted(keys(two.search(AT, query="1 0 0"))) == ["b", "c"]
        one.put(AT, "b", {"other": "1 0 0"}, index=False)
        assert keys(two.search(AT, query="1 0 0")) == ["c"]
        assert dict(harness.rows()) == {"items": 3, "vectors": 1}

    def test_meaning_index_false_judges_each_text(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """Of several fields or an array, the vectors of texts that still exist are kept, in any
        order; a new text gets no vector.
        """
        index = index_of(harness, Numbers(), fields=["title", "list[*]"])
        store = reopened(index=index)
        value = {"title": "1 0 0", "list": ["0 1 0", "0 0 1", "0 1 1"]}
        store.put(AT, "a", value)
        assert dict(harness.rows()) == {"items": 1, "vectors": 4}
        store.put(AT, "a", {**value, "list": ["0 1 1", "0 1 0", "0 0 1"]}, index=False)
        assert dict(harness.rows()) == {"items": 1, "vectors": 4}
        store.put(AT, "a", {"title": "-1 0 0", "list": ["0 0 1", "1 1 1", "0 1 0"]}, index=False)
        assert dict(harness.rows()) == {"items": 1, "vectors": 2}
        for query, score in (("0 1 0", 1), ("0 0 1", 1), ("1 0 0", 0), ("-1 0 0", 0)):
            assert scores(store.search(AT, query=query))["a"] == pytest.approx(score, abs=CLOSE)
        # the same text in another field counts as a new text
        store.put(AT, "a", {"title": "0 1 0", "list": ["0 0 1"]}, index=False)
        assert scores(store.search(AT, query="0 1 0"))["a"] == pytest.approx(0, abs=CLOSE)
        assert dict(harness.rows()) == {"items": 1, "vectors": 1}
        store.put(AT, "a", {"title": "0 1 0", "list": []}, index=False)
        assert store.search(AT, query="0 0 1") == []

    def test_meaning_index_false_knows_other_paths(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """Vectors that were embedded by paths of a put are compared by these paths, not the
        store's."""
        store = reopened(index=index_of(harness, Numbers()))
        value = {"text": "1 0 0", "deep": {"note": "0 1 0"}, "list": ["0 0 1", "1 1 1"]}
        paths = ["deep.note", "list[*]"]
        store.batch([PutOp(AT, key, value, paths) for key in "ab"])
        store.batch(
            [
                PutOp(AT, "a", {**value, "text": "changed"}, index=False),
                PutOp(
                    AT, "b", {**value, "deep": {"note": "changed"}, "list": ["1 1 1"]}, index=False
                ),
                PutOp(AT, "c", value, index=False),
            ]
        )
        assert dict(harness.rows()) == {"items": 3, "vectors": 4}
        assert keys(store.search(AT, query="0 1 0")) == ["a", "b"]
        assert scores(store.search(AT, query="0 1 0"))["b"] == pytest.approx(3**-0.5, abs=CLOSE)
        whole = reopened(index=index_of(harness, lambda texts: [[1.0, 0, 0]] * len(texts)))
        whole.put(AT, "d", {"b": 1, "a": [2]}, index=["$"])
        whole.put(AT, "d", {"a": [2], "b": 1}, index=False)
        assert "d" in keys(whole.search(AT, query="x"))
        whole.put(AT, "d", {"a": [2], "b": 2}, index=False)
        assert "d" not in keys(whole.search(AT, query="x"))

    def test_meaning_index_false_gives_a_new_item_none(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """A new item gets no vectors, also if an earlier item was deleted or has expired."""
        ttl = {"omit_expired": True, "refresh_on_read": False}
        store = reopened(index=index_of(harness, Numbers()), ttl=ttl)
        value = {"text": "1 0 0"}
        store.batch([PutOp(AT, "deleted", value), PutOp(AT, "expired", value, ttl=0.4)])
        store.put(AT, "lives", value, ttl=0.8)
        store.delete(AT, "deleted")
        harness.advance(SECONDS + 1)
        store.batch(
            [PutOp(AT, key, value, index=False) for key in ("new", "deleted", "expired", "lives")]
        )
        assert keys(store.search(AT, query="1 0 0")) == ["lives"]
        assert dict(harness.rows()) == {"items": 4, "vectors": 1}

    def test_meaning_index_false_after_a_put_of_the_same_batch(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """If an earlier put of the same batch or tick embeds a text that the last put still has,
        the text is embedded.
        """
        store = reopened(index=index_of(harness, Numbers()))
        same, other = {"text": "1 0 0", "n": 1}, {"text": "0 1 0"}
        store.batch(
            [
                *(PutOp(AT, key, {"text": "1 0 0"}) for key in "abc"),
                PutOp(AT, "a", same, index=False),
                PutOp(AT, "b", other, index=False),
                PutOp(AT, "c", None),
                PutOp(AT, "c", same, index=False),
            ]
        )
        assert keys(store.search(AT, query="1 0 0")) == ["a"]
        calls: list[Any] = [
            ("put", (AT, "d", {"text": "1 0 0"}), {}),
            ("put", (AT, "d", same), {"index": False}),
            ("put", (AT, "e", {"text": "1 0 0"}), {}),
            ("put", (AT, "e", other), {"index": False}),
        ]
        assert store.together(calls) == [None] * 4
        assert sorted(keys(store.search(AT, query="1 0 0"))) == ["a", "d"]
        assert value_of(store.get(AT, "d")) == same
        assert dict(harness.rows()) == {"items": 5, "vectors": 2}
