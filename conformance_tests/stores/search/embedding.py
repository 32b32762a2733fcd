"""Clauses about calls of the embedding model, and invalid results of it."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import Op, PutOp, SearchOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.stores.base import (
    Numbers,
    StoreClauses,
    StoreOpener,
    index_of,
    keys,
    scores,
)
from conformance_tests.stores.harness import StoreHarness

AT = ("n",)
CLOSE = 1e-5


@clauses_of(Capability.STORE_MEANING)
class EmbeddingClauses(StoreClauses):
    """Clauses about embedding texts."""

    def test_embedding_identical_texts_once(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """In a batch, each distinct text is embedded once, and only texts of the last put of a
        key."""
        embed = Numbers()
        store = reopened(index=index_of(harness, embed))
        store.batch(
            [
                PutOp(AT, "a", {"text": "1 0 0"}),
                PutOp(AT, "b", {"text": "1 0 0"}),
                PutOp(AT, "c", {"text": "0 1 0"}),
                PutOp(AT, "c", {"text": "0 0 1"}),
                PutOp(AT, "d", {"text": "1 1 1"}),
                PutOp(AT, "d", None),
            ]
        )
        assert embed.calls == [["1 0 0", "0 0 1"]]
        assert harness.rows()["vectors"] == 3
        embed.calls.clear()
        one, two = store.batch([SearchOp(AT, query="1 0 0"), SearchOp(AT, query="1 0 0", limit=1)])
        assert [len(one), len(two)] == [3, 1]  # type: ignore[arg-type]  # a union of all results
        assert embed.calls == [["1 0 0"]]

    def test_embedding_of_the_wrong_length(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """A vector of the wrong length is rejected by an error with both lengths, in puts and
        searches; nothing is written."""
        store = reopened(index=index_of(harness, Numbers(4), dims=3))
        with pytest.raises(ValueError, match=r"3 .*4"):
            store.batch([PutOp(AT, "a", {"n": 1}), PutOp(AT, "b", {"text": "1 0 0 0"})])
        with pytest.raises(ValueError, match=r"3 .*4"):
            store.search(AT, query="1 0 0 0")
        assert harness.rows()["items"] == 0

    @pytest.mark.parametrize(
        "vectors",
        [
            [],
            [[1.0, 0, 0], [0, 1.0, 0]],
            [[float("nan"), 0, 0]],
            [[float("inf"), 0, 0]],
            None,
            [None],
            [1.0],
            [1.0, 0.0, 0.0],
            ["abc"],
            [["a", "b", "c"]],
        ],
        ids=str,
    )
    def test_embedding_that_is_none(
        self, reopened: StoreOpener, harness: StoreHarness, vectors: Any
    ) -> None:
        """An invalid result of the embedding model is rejected: too few or too many vectors, no
        vectors, NaN or infinity."""
        store = reopened(index=index_of(harness, lambda _: vectors))
        with pytest.raises(ValueError, match="embed"):
            store.put(AT, "a", {"text": "x"})
        with pytest.raises(ValueError, match="embed"):
            store.search(AT, query="x")
        assert harness.rows()["items"] == 0

    def test_embedding_fails(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """If the embedding model fails, the call raises its error and writes nothing; the next call
        works."""
        store = reopened(index=index_of(harness, Numbers()))
        store.put(AT, "a", {"text": "1 0 0"})
        bad: list[list[Op]] = [
            [PutOp(AT, "b", {"text": "0 1 0"}), PutOp(AT, "a", {"text": "broken"})],
            [PutOp(AT, "a", None), SearchOp(AT, query="broken")],
        ]
        for ops in bad:
            with pytest.raises(Exception, match="broken"):
                store.batch(ops)
        assert keys(store.search(AT)) == ["a"]
        assert scores(store.search(AT, query="1 0 0"))["a"] == pytest.approx(1, abs=CLOSE)

    @pytest.mark.parametrize("kind", ["function", "embeddings"])
    def test_embedding_kinds(self, reopened: StoreOpener, harness: StoreHarness, kind: str) -> None:
        """The model may be a function, or LangChain's `Embeddings`, with separate methods for
        queries and documents."""
        from langchain_core.embeddings import Embeddings

        class Asymmetric(Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return [[1.0, 0.0, 0.0] for _ in texts]

            def embed_query(self, text: str) -> list[float]:
                return [0.0, float(len(text)), 1.0]

        def function(texts: Any) -> Any:
            return [(1, 0, 0) for _ in texts]

        embed: Any = Asymmetric() if kind == "embeddings" else function
        store = reopened(index=index_of(harness, embed))
        store.put(AT, "a", {"text": "x"})
        expected = 0 if kind == "embeddings" else 1
        assert scores(store.search(AT, query="q"))["a"] == pytest.approx(expected, abs=CLOSE)

    def test_embedding_async_functions(
        self, reopened: StoreOpener, harness: StoreHarness, flavour: str
    ) -> None:
        """An async embedding function works in async methods; sync methods raise an error that says
        what is missing."""

        async def embed(texts: list[str]) -> list[list[float]]:
            return [[1.0, 0.0, 0.0] for _ in texts]

        store = reopened(index=index_of(harness, embed))
        if flavour == "sync":
            with pytest.raises(ValueError, match="sync"):
                store.put(AT, "a", {"text": "x"})
            return
        store.put(AT, "a", {"text": "x"})
        assert keys(store.search(AT, query="q")) == ["a"]

    @pytest.mark.parametrize(
        "bad",
        [
            {"dims": 0},
            {"dims": "3"},
            {"dims": None},
            {"embed": None},
            {"fields": 7},
            {"fields": [1]},
            {"embed": 5},
            {"embed": ["text"]},
            {"fields": []},
            {"fields": [""]},
            {"fields": ["a["]},
            {"fields": ["a[x].b"]},
            {"fields": ["text", "{a,b"]},
            {"distance_type": "hamming"},
            {"ann_index_config": {"kind": "lsh"}},
            {"ann_index_config": {"m": -1}},
            {"engine": "best"},
            {"dimension": 3},
        ],
        ids=str,
    )
    def test_embedding_invalid_index(
        self, reopened: StoreOpener, harness: StoreHarness, bad: dict[str, Any]
    ) -> None:
        """An invalid `index` option is rejected when the store is opened."""
        with pytest.raises(ValueError, match="index"):
            reopened(index={**index_of(harness, Numbers()), **bad})

    @pytest.mark.parametrize("bad", [True, "text", [1], [""], ["a["], 7, {"text": 1}], ids=repr)
    def test_embedding_invalid_index_of_a_put(
        self, reopened: StoreOpener, harness: StoreHarness, bad: Any
    ) -> None:
        """An invalid `index` argument of a put is rejected, also by a store without an index."""
        for store in (reopened(), reopened(index=index_of(harness, Numbers()))):
            with pytest.raises(ValueError, match="index"):
                store.put(AT, "a", {"text": "1"}, index=bad)
        assert harness.rows()["items"] == 0
