"""Clauses about vector search: best first, after namespace, filter and expiry."""

from __future__ import annotations

import math
from typing import Any

import pytest
from langgraph.store.base import PutOp

from checkpoint_base.errors import InvalidArgumentError
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.stores.base import (
    Numbers,
    StoreOpener,
    index_of,
    keys,
    names,
    scores,
)
from conformance_tests.stores.facade import StoreFacade
from conformance_tests.stores.harness import StoreHarness
from conformance_tests.stores.items.empty import EmptyMeaningClauses
from conformance_tests.stores.search.unembedded import UnembeddedClauses

AT = ("n",)
CLOSE = 1e-5


@clauses_of(Capability.STORE_MEANING)
class MeaningClauses(EmptyMeaningClauses, UnembeddedClauses):
    """Clauses about vector search."""

    @pytest.fixture
    def embed(self) -> Numbers:
        """The embedding function."""
        return Numbers()

    @pytest.fixture
    def indexed(self, reopened: StoreOpener, harness: StoreHarness, embed: Numbers) -> StoreFacade:
        """A store with an index over the field `text`."""
        return reopened(index=index_of(harness, embed))

    def test_meaning_best_first(self, indexed: StoreFacade) -> None:
        """Items are ordered by their score, the cosine similarity, best first."""
        texts = {"same": "2 0 0", "near": "1 1 0", "apart": "0 0 3", "against": "-1 0 0"}
        indexed.batch([PutOp(AT, key, {"text": text}) for key, text in texts.items()])
        found = indexed.search(AT, query="1 0 0")
        assert keys(found) == ["same", "near", "apart", "against"]
        assert [item.score for item in found] == pytest.approx(
            [1, math.sqrt(0.5), 0, -1], abs=CLOSE
        )
        assert found[0].value == {"text": "2 0 0"}

    @pytest.mark.parametrize(
        ("distance", "expected"),
        [
            ("cosine", {"a": 1.0, "b": 0.6, "c": 0.8, "zero": 0.0}),
            ("inner_product", {"a": 2.0, "b": 3.0, "c": 0.4, "zero": 0.0}),
            ("l2", {"a": -1.0, "b": -math.sqrt(20), "c": -math.sqrt(0.45), "zero": -1.0}),
        ],
    )
    def test_meaning_metrics(
        self,
        reopened: StoreOpener,
        harness: StoreHarness,
        distance: str,
        expected: dict[str, float],
    ) -> None:
        """Scores are similarities, higher is better, and equal on all backends."""
        store = reopened(index=index_of(harness, Numbers(), distance_type=distance))
        texts = {"a": "2 0", "b": "3 4", "c": "0.4 0.3", "zero": "0 0"}
        store.batch([PutOp(AT, key, {"text": text}) for key, text in texts.items()])
        found = store.search(AT, query="1 0")
        assert scores(found) == pytest.approx(expected, abs=CLOSE)
        best = sorted(expected, key=lambda key: (-expected[key], key))
        if distance == "l2":  # "a" and "zero" have the same distance
            assert best[1:3] == ["a", "zero"]
        assert keys(found) == best

    def test_meaning_score_threshold(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """Items below the index's `score_threshold` are neither returned nor refreshed. It does not
        apply to searches without a query.
        """
        index = index_of(harness, Numbers(), score_threshold=0.6)
        store = reopened(index=index, ttl={"omit_expired": True, "refresh_on_read": True})
        texts = {"same": "1 0 0", "limit": "3 4 0", "below": "1 2 0", "apart": "0 1 0"}
        store.batch([PutOp(AT, key, {"text": text}, ttl=10) for key, text in texts.items()])
        assert keys(store.search(AT, query="1 0 0", refresh_ttl=False)) == ["same", "limit"]
        assert keys(store.search(AT, query="1 0 0", offset=1, refresh_ttl=False)) == ["limit"]
        assert store.search(AT, query="1 0 0", offset=2) == []
        assert len(store.search(AT, refresh_ttl=False)) == 4
        harness.advance(300)
        store.search(AT, query="1 0 0")
        harness.advance(400)
        assert sorted(keys(store.search(AT))) == ["limit", "same"]

    @pytest.mark.parametrize("bad", ["high", True, float("nan")], ids=repr)
    def test_meaning_score_threshold_that_is_none(
        self, reopened: StoreOpener, harness: StoreHarness, bad: Any
    ) -> None:
        """An invalid `score_threshold` is rejected when the store is opened."""
        with pytest.raises(InvalidArgumentError, match="score_threshold"):
            reopened(index=index_of(harness, Numbers(), score_threshold=bad))

    def test_meaning_ties_and_pages(self, indexed: StoreFacade) -> None:
        """Ties are ordered by namespace and key, so that pages neither repeat nor lose an item."""
        indexed.batch(
            [
                PutOp((f"n{n % 3}",), f"{n:03}", {"text": f"{1 + n % 2} {n % 4} 0 # {n}"})
                for n in range(120)
            ]
        )
        whole = names(indexed.search((), query="1 1 0", limit=500))
        assert len(set(whole)) == len(whole) == 120
        by_score = [item.score for item in indexed.search((), query="1 1 0", limit=500)]
        assert by_score == sorted(by_score, reverse=True)  # type: ignore[type-var]  # no None
        for size in (1, 7, 50):
            pages = []
            for offset in range(0, 130, size):
                pages += names(indexed.search((), query="1 1 0", limit=size, offset=offset))
            assert pages == whole
        assert whole[:3] == sorted(whole[:3])

    def test_meaning_many_of_one_score(self, indexed: StoreFacade) -> None:
        """Many items with equal texts are paged in the order of their keys."""
        there = [f"{n:03}" for n in range(300)]
        indexed.batch([PutOp(AT, key, {"text": "1 1 0"}) for key in reversed(there)])
        found = []
        for offset in range(0, 300, 30):
            found += keys(indexed.search(AT, query="1 0 0", limit=30, offset=offset))
        assert found == there

    def test_meaning_namespaces_come_first(self, indexed: StoreFacade) -> None:
        """The best items of a namespace are found, although another namespace has many better
        ones."""
        indexed.batch([PutOp(("u", "10"), f"{n}", {"text": "1 0 0"}) for n in range(300)])
        indexed.batch([PutOp(("u", "1"), f"{n}", {"text": f"0 {n} 1"}) for n in range(15)])
        found = indexed.search(("u", "1"), query="1 0 0")
        assert len(found) == 10
        assert {item.namespace for item in found} == {("u", "1")}
        assert len(indexed.search(("u",), query="1 0 0", limit=400)) == 315
        assert indexed.search(("u", "2"), query="1 0 0") == []

    def test_meaning_filters_come_first(self, indexed: StoreFacade) -> None:
        """The filter applies before the limit, although a thousand other items have better
        scores."""
        indexed.batch(
            [
                PutOp(AT, f"{n}", {"text": f"1 0 {n / 1000}", "rare": n % 100 == 99, "n": n})
                for n in range(1500)
            ]
        )
        found = indexed.search(AT, query="1 0 0", filter={"rare": True}, limit=15)
        assert keys(found) == [f"{n}" for n in range(99, 1500, 100)]
        some = indexed.search(AT, query="1 0 0", filter={"rare": True}, limit=4, offset=13)
        assert keys(some) == ["1399", "1499"]
        some = indexed.search(AT, query="1 0 0", filter={"n": {"$gt": 3}}, limit=3, offset=1)
        assert keys(some) == ["5", "6", "7"]
        assert indexed.search(AT, query="1 0 0", filter={"n": "3"}) == []

    def test_meaning_an_item_counts_once(self, indexed: StoreFacade) -> None:
        """An item with several vectors is returned once, with the score of the best one."""
        for key, texts in {
            "a": ["0 1 0", "1 1 0", "0 0 1"],
            "b": ["1 0.5 0"],
            "c": ["0 1 1"],
        }.items():
            indexed.put(AT, key, {"list": texts}, index=["list[*]"])
        found = indexed.search(AT, query="1 0 0")
        assert keys(found) == ["b", "a", "c"]
        assert scores(found)["a"] == pytest.approx(math.sqrt(0.5), abs=CLOSE)
        many = [PutOp(AT, f"{n}", {"list": ["1 0 0"] * 50}, ["list[*]"]) for n in range(20)]
        indexed.batch(many)
        found = indexed.search(AT, query="1 0 0", limit=22)
        assert len(set(keys(found))) == len(found) == 22
        assert keys(found)[20:] == ["b", "a"]

    def test_meaning_an_update_leaves_no_stale_vector(
        self, indexed: StoreFacade, harness: StoreHarness
    ) -> None:
        """An update leaves no stale vector: with a changed text, a shorter array, `index=False`, or
        without a text."""
        indexed.put(AT, "a", {"list": ["1 0 0", "0 1 0", "0 0 1"]}, index=["list[*]"])
        assert dict(harness.rows()) == {"items": 1, "vectors": 3}
        indexed.put(AT, "a", {"list": ["0 0 1"]}, index=["list[*]"])
        assert scores(indexed.search(AT, query="1 0 0"))["a"] == pytest.approx(0, abs=CLOSE)
        assert dict(harness.rows()) == {"items": 1, "vectors": 1}
        indexed.put(AT, "a", {"text": "1 0 0"}, index=False)
        assert indexed.search(AT, query="1 0 0") == []
        assert dict(harness.rows()) == {"items": 1, "vectors": 0}
        indexed.put(AT, "a", {"text": "1 0 0"})
        assert keys(indexed.search(AT, query="1 0 0")) == ["a"]
        indexed.put(AT, "a", {"other": 1})
        assert indexed.search(AT, query="1 0 0") == []
        assert keys(indexed.search(AT)) == ["a"]
        assert dict(harness.rows()) == {"items": 1, "vectors": 0}

    def test_meaning_a_store_without_index_leaves_none_either(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """An update by a store without an index deletes the item's stale vectors."""
        store, plain = reopened(index=index_of(harness, Numbers())), reopened()
        store.batch([PutOp(AT, key, {"text": "1 0 0"}) for key in "abc"])
        assert len(store.search(AT, query="1 0 0")) == 3
        plain.put(AT, "a", {"text": "0 1 0"})
        plain.delete(AT, "b")
        assert keys(store.search(AT, query="1 0 0")) == ["c"]
        assert dict(harness.rows()) == {"items": 2, "vectors": 1}

    def test_meaning_a_delete_leaves_nothing(
        self, indexed: StoreFacade, harness: StoreHarness
    ) -> None:
        """A deleted item leaves no vector, and is not found by a vector search."""
        indexed.batch([PutOp(AT, f"{n}", {"text": f"1 {n} 0"}) for n in range(20)])
        assert len(indexed.search(AT, query="1 0 0", limit=50)) == 20
        indexed.batch([PutOp(AT, f"{n}", None) for n in range(15)])
        assert keys(indexed.search(AT, query="1 0 0")) == ["15", "16", "17", "18", "19"]
        assert dict(harness.rows()) == {"items": 5, "vectors": 5}

    def test_meaning_two_stores_see_each_other(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """A store finds at once what another store wrote, although vectors may be cached."""
        one, two = (reopened(index=index_of(harness, Numbers())) for _ in range(2))
        for step in range(6):
            one.put(AT, f"one {step}", {"text": f"1 {step} 0"})
            assert f"one {step}" in keys(two.search(AT, query="1 0 0", limit=50))
            two.put(AT, f"two {step}", {"text": f"1 {step} 1"})
            assert f"two {step}" in keys(one.search(AT, query="1 0 0", limit=50))
            one.put(AT, f"two {step}", {"text": f"-1 {step} 1"})
            assert keys(two.search(AT, query="-1 0 0", limit=1))[0].startswith("two")
            two.delete(AT, f"one {step}")
            assert f"one {step}" not in keys(one.search(AT, query="1 0 0", limit=50))

    def test_meaning_fields_and_paths(
        self, reopened: StoreOpener, harness: StoreHarness, embed: Numbers
    ) -> None:
        """The fields to embed are those of the put, or else of the store; a missing text has no
        vector."""
        fields = ["a", "b.c", "l[0]", "l[-1].x", "m[*]", "none"]
        store = reopened(index=index_of(harness, embed, fields=fields))
        value = {
            "a": "1 1 0",
            "b": {"c": "0 1 0"},
            "l": ["0 0 1", {"x": "1 0 1"}],
            "m": ["2 0 0", "0 2 0"],
            "other": "9 9 9",
        }
        store.put(AT, "usual", value)
        assert embed.calls == [["1 1 0", "0 1 0", "0 0 1", "1 0 1", "2 0 0", "0 2 0"]]
        assert harness.rows()["vectors"] == 6
        store.put(AT, "own", value, index=["other"])
        assert embed.calls[1:] == [["9 9 9"]]
        store.put(AT, "none", value, index=[])
        store.put(AT, "false", value, index=False)
        assert embed.calls[2:] == []
        assert sorted(keys(store.search(AT, query="1 0 0"))) == ["own", "usual"]

    @pytest.mark.parametrize(
        "named", [{"fields": ["text"]}, {"fields": "text"}, {"text_fields": ["text"]}], ids=str
    )
    def test_meaning_names_of_fields(
        self, reopened: StoreOpener, harness: StoreHarness, embed: Numbers, named: dict[str, Any]
    ) -> None:
        """The index's fields may be named `fields` or `text_fields`, as in LangGraph's SQLite
        store."""
        index = index_of(harness, embed)
        del index["fields"]
        reopened(index={**index, **named}).put(AT, "a", {"text": "1 0 0", "other": "2"})
        assert embed.calls == [["1 0 0"]]

    def test_meaning_the_whole_value(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """The path `$`, the default, embeds the whole value as JSON."""
        embed = Numbers()
        embed.vector = lambda text: [1.0, float("curry" in text), 0.0]  # type: ignore[method-assign]
        index = index_of(harness, embed)
        del index["fields"]
        store = reopened(index=index)
        store.put(AT, "a", {"b": 1, "a": "curry"})
        store.put(AT, "b", {"b": 1}, index=["$"])
        assert embed.calls == [['{"a": "curry", "b": 1}'], ['{"b": 1}']]
        assert keys(store.search(AT, query="curry")) == ["a", "b"]

    def test_meaning_without_a_query(self, indexed: StoreFacade, embed: Numbers) -> None:
        """A search without a query embeds nothing, and finds items without vectors, too."""
        indexed.put(AT, "a", {"text": "1 0 0"}, index=False)
        indexed.put(AT, "b", {"other": 1})
        assert sorted(keys(indexed.search(AT))) == ["a", "b"]
        assert sorted(keys(indexed.search(AT, query=""))) == ["a", "b"]
        assert embed.calls == []
        assert indexed.search(AT, query="1 0 0") == []

    @pytest.mark.parametrize("distance", ["cosine", "l2", "inner_product"])
    def test_meaning_vectors_of_another_length(
        self, reopened: StoreOpener, harness: StoreHarness, distance: str
    ) -> None:
        """Items that were put with other `dims` count as items without vectors, and do not break
        searches.
        """
        two, three, four = (
            reopened(index=index_of(harness, Numbers(n), n, distance_type=distance))
            for n in (2, 3, 4)
        )
        two.put(AT, "two", {"text": "7 1"})  # with the 4 of "four", as many as 2 vectors of 3
        four.put(AT, "four", {"text": "1 2 2 4"})
        assert three.search(AT, query="1 0 0") == []
        three.batch([PutOp(AT, f"{n}", {"text": f"{n} 1 0"}) for n in range(3)])
        four.put(("n", "below"), "list", {"l": ["1 0 0 0", "0 1 0 0"]}, index=["l[*]"])
        expected = scores(three.search(AT, query="1 0 0"))
        assert set(expected) == {"0", "1", "2"}
        found = four.search(AT, query="1 2 2 4")
        assert sorted(keys(found)) == ["four", "list"]
        exact = {"cosine": 1.0, "l2": 0.0, "inner_product": 25.0}
        assert scores(found)["four"] == pytest.approx(exact[distance], abs=CLOSE)
        assert keys(two.search(AT, query="1 0")) == ["two"]
        assert len(three.search(AT)) == 6
        # put again by a store with other dims: the vectors are replaced
        four.put(AT, "1", {"text": "9 9 9 9"})
        three.put(AT, "four", {"text": "1 1 1"})
        assert set(scores(three.search(AT, query="1 0 0"))) == {"0", "2", "four"}
        assert set(scores(four.search(AT, query="1 2 2 4"))) == {"1", "list"}
        three.put(AT, "1", {"text": "1 1 0"})
        three.delete(AT, "four")
        assert scores(three.search(AT, query="1 0 0")) == pytest.approx(expected, abs=CLOSE)
        assert keys(four.search(AT, query="1 2 2 4")) == ["list"]
        assert dict(harness.rows()) == {"items": 5, "vectors": 6}

    def test_meaning_items_put_again_with_another_length(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """Items can be put again one by one with other `dims` while others search; in the end, all
        are found."""
        old = reopened(index=index_of(harness, Numbers(2), 2))
        texts = {f"{n:03}": f"1 {n}" for n in range(120)}
        old.batch([PutOp(AT, key, {"text": text}) for key, text in texts.items()])
        new = reopened(index=index_of(harness, Numbers(3), 3))
        for first in range(0, 120, 40):
            part = sorted(texts)[first : first + 40]
            new.batch([PutOp(AT, key, {"text": texts[key]}) for key in part])
            done = first + 40
            assert keys(new.search(AT, query="1 0 0", limit=3)) == ["000", "001", "002"]
            assert len(new.search(AT, query="1 0 0", limit=200)) == done
            left = sorted(texts)[done:]
            assert keys(old.search(AT, query="1 0", limit=200)) == left
        again = reopened(index=index_of(harness, Numbers(3), 3))
        assert keys(again.search(AT, query="1 0 0", limit=200)) == sorted(texts)
        assert dict(harness.rows()) == {"items": 120, "vectors": 120}
