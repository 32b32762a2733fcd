"""Clauses with real sentences and a real embedding model.

The model is the fixture `sentence_embeddings` of the test run: the suite has no such dependency.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from langgraph.store.base import PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.stores.base import StoreClauses, StoreOpener, index_of, keys, scores
from conformance_tests.stores.facade import StoreFacade
from conformance_tests.stores.harness import StoreHarness

AT = ("memories", "ada")
MEMORIES = {
    "peanuts": "Ada is allergic to peanuts.",
    "job": "She works as a nurse in a children's hospital.",
    "dog": "Her dog is called Biscuit and is afraid of thunder.",
    "sister": "Her younger sister lives in Lisbon.",
    "train": "She takes the train to work because she dislikes driving.",
    "piano": "As a child she played the piano for ten years.",
    "marathon": "She is preparing for a marathon in October.",
    "coffee": "Without a strong espresso in the morning she cannot start the day.",
    "books": "Ada mostly reads detective novels.",
    "rent": "Her landlord raised the rent last month.",
    "garden": "On the balcony she grows tomatoes and basil.",
    "cinema": "She fell asleep during the last film they saw together.",
}
QUESTIONS = {
    "Can she eat nuts?": "peanuts",
    "What does she do for a living?": "job",
    "What is the name of her pet?": "dog",
    "Where does her sibling live?": "sister",
    "How does she commute?": "train",
    "Can she play a musical instrument?": "piano",
    "Is she training for a race?": "marathon",
    "What does she like to drink after getting up?": "coffee",
    "Which kind of literature does she enjoy?": "books",
    "Which vegetables does she plant at home?": "garden",
}


@clauses_of(Capability.STORE_SENTENCES)
class SentenceClauses(StoreClauses):
    """Clauses that need a sentence-embedding model."""

    @pytest.fixture
    def dims(self, sentence_embeddings: Any) -> int:
        """The model's number of dimensions."""
        return len(sentence_embeddings.embed_query("how long?"))

    @pytest.fixture
    def filled(
        self, reopened: StoreOpener, harness: StoreHarness, sentence_embeddings: Any, dims: int
    ) -> StoreFacade:
        """A store with all sample memories."""
        store = reopened(index=index_of(harness, sentence_embeddings, dims))
        store.batch([PutOp(AT, key, {"text": text}) for key, text in MEMORIES.items()])
        return store

    def test_sentences_a_paraphrase_is_first(self, filled: StoreFacade) -> None:
        """The best result of a paraphrased question is the memory that answers it."""
        found = {query: keys(filled.search(AT, query=query))[0] for query in QUESTIONS}
        assert found == QUESTIONS

    def test_sentences_in_the_same_order_everywhere(
        self, filled: StoreFacade, sentence_embeddings: Any
    ) -> None:
        """Order and scores are those of a brute-force search in float64."""
        rows = np.array(sentence_embeddings.embed_documents(list(MEMORIES.values())), np.float32)
        for query in QUESTIONS:
            vector = np.array(sentence_embeddings.embed_query(query), np.float32)
            left, right = rows.astype(np.float64), vector.astype(np.float64)
            cosines = left @ right / np.linalg.norm(left, axis=1) / np.linalg.norm(right)
            expected = dict(zip(MEMORIES, cosines, strict=True))
            found = filled.search(AT, query=query, limit=20)
            assert keys(found) == sorted(expected, key=lambda key: -expected[key])
            assert scores(found) == pytest.approx(expected, abs=1e-5)
