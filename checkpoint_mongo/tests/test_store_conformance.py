"""Both MongoDB stores under the contract of all stores: sync is one, async the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from checkpoint_mongo.tests.store_harness import (
    MongoStoreHarness,
    WithoutCache,
)
from conformance_tests import StoreConformance
from conformance_tests.stores.graphs import StoreGraphConformance
from conformance_tests.stores.search.meaning import MeaningClauses
from conformance_tests.stores.search.sentences import SentenceClauses


@pytest.fixture
def store_harness(mongo_server: str) -> Iterator[MongoStoreHarness]:
    with closing(MongoStoreHarness(mongo_server)) as harness:
        yield harness


class TestMongoDBStore(StoreConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, store_harness: MongoStoreHarness) -> MongoStoreHarness:
        return store_harness


class TestMongoDBSentences(SentenceClauses):
    @pytest.fixture
    def harness(self, store_harness: MongoStoreHarness) -> MongoStoreHarness:
        return store_harness


class TestMongoDBStoreGraphs(StoreGraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, store_harness: MongoStoreHarness) -> MongoStoreHarness:
        return store_harness


class TestMongoDBStoreWithoutCache(MeaningClauses):
    @pytest.fixture
    def harness(self, mongo_server: str) -> Iterator[MongoStoreHarness]:
        with closing(WithoutCache(mongo_server)) as harness:
            yield harness
