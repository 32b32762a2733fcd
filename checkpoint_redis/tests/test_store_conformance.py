"""Both Redis stores under the contract of all stores: sync is one, async the other."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest

from checkpoint_redis.tests.store_harness import (
    QueryEngineHarness,
    RedisStoreHarness,
    VectorSetHarness,
    WithoutCache,
)
from conformance_tests import StoreConformance
from conformance_tests.stores.conformance import WITHOUT_INDEX
from conformance_tests.stores.graphs import StoreGraphConformance
from conformance_tests.stores.search.embedding import EmbeddingClauses
from conformance_tests.stores.search.meaning import MeaningClauses
from conformance_tests.stores.search.sentences import SentenceClauses


@pytest.fixture
def store_harness(redis_url: str) -> Iterator[RedisStoreHarness]:
    with closing(RedisStoreHarness(redis_url, f"store-{secrets.token_hex(6)}")) as harness:
        yield harness


class TestRedisStore(StoreConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, store_harness: RedisStoreHarness) -> RedisStoreHarness:
        return store_harness


class TestRedisVectorSet(StoreConformance):
    profile = "suite"
    left_to_others = WITHOUT_INDEX

    @pytest.fixture
    def harness(self, redis_url: str) -> Iterator[RedisStoreHarness]:
        with closing(VectorSetHarness(redis_url, f"store-{secrets.token_hex(6)}")) as harness:
            yield harness


class TestRedisQueryEngine(StoreConformance):
    profile = "suite"
    left_to_others = WITHOUT_INDEX

    @pytest.fixture
    def harness(self, redis_query_url: str) -> Iterator[RedisStoreHarness]:
        name = f"store-{secrets.token_hex(6)}"
        with closing(QueryEngineHarness(redis_query_url, name)) as harness:
            yield harness


class TestRedisQueryEngineSentences(SentenceClauses):
    @pytest.fixture
    def harness(self, redis_query_url: str) -> Iterator[RedisStoreHarness]:
        name = f"store-{secrets.token_hex(6)}"
        with closing(QueryEngineHarness(redis_query_url, name)) as harness:
            yield harness


class TestRedisVectorSetSentences(SentenceClauses):
    @pytest.fixture
    def harness(self, redis_url: str) -> Iterator[RedisStoreHarness]:
        with closing(VectorSetHarness(redis_url, f"store-{secrets.token_hex(6)}")) as harness:
            yield harness


class TestRedisSentences(SentenceClauses):
    @pytest.fixture
    def harness(self, store_harness: RedisStoreHarness) -> RedisStoreHarness:
        return store_harness


class TestRedisStoreGraphs(StoreGraphConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, store_harness: RedisStoreHarness) -> RedisStoreHarness:
        return store_harness


class TestRedisStoreWithoutCache(MeaningClauses, EmbeddingClauses):
    @pytest.fixture
    def harness(self, redis_url: str) -> Iterator[RedisStoreHarness]:
        with closing(WithoutCache(redis_url, f"store-{secrets.token_hex(6)}")) as harness:
            yield harness
