"""Both Postgres stores under the contract of all stores, with each engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from checkpoint_postgres.tests.harness import new_database
from checkpoint_postgres.tests.store_harness import SCHEMA, PostgresStoreHarness
from conformance_tests import Capability, StoreConformance
from conformance_tests.contract.capabilities import capability_of
from conformance_tests.stores.conformance import WITHOUT_INDEX
from conformance_tests.stores.graphs import StoreGraphConformance
from conformance_tests.stores.items.empty import EmptySearchClauses
from conformance_tests.stores.search.embedding import EmbeddingClauses
from conformance_tests.stores.search.meaning import MeaningClauses
from conformance_tests.stores.search.providers import ProviderClauses
from conformance_tests.stores.search.sentences import SentenceClauses
from conformance_tests.stores.stateful import StoreModelClauses


def kind(name: str, **more: Any) -> dict[str, Any]:
    return {"ann_index_config": {"kind": name, **more}}


EXACT = {"engine": "exact"}
NEW = {Capability.STORE_LIFE, Capability.STORE_PROCESSES}
"""A database without tables."""


def opened(one: PostgresStoreHarness, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A harness on tables that are empty, or on none."""
    if capability_of(request.function) in NEW:
        one.remove()
    yield one
    one.close()


class OnEngine:
    engine: dict[str, Any]

    @pytest.fixture
    def harness(
        self, kept_url: str, request: pytest.FixtureRequest
    ) -> Iterator[PostgresStoreHarness]:
        yield from opened(PostgresStoreHarness(kept_url, self.engine), request)


class VectorClauses(
    MeaningClauses, EmbeddingClauses, ProviderClauses, StoreModelClauses, EmptySearchClauses
):
    """The clauses in which vectors take part. Engines differ in the type of the vectors' column and
    of its index; all else is asked of `TestHnsw`, and of `TestWithoutPgvector`.
    """


class TestHnsw(OnEngine, StoreConformance):
    profile = "suite"

    engine = kind("hnsw")


class TestIvfflat(OnEngine, VectorClauses):
    examples = 10
    engine = kind("ivfflat")


class TestFlat(OnEngine, VectorClauses):
    examples = 10
    engine = kind("flat")


class TestHalfvec(OnEngine, VectorClauses):
    examples = 10
    engine = kind("hnsw", vector_type="halfvec")


class TestHalfvecFlat(OnEngine, MeaningClauses, EmbeddingClauses):
    engine = kind("flat", vector_type="halfvec")


class TestExact(OnEngine, MeaningClauses, EmbeddingClauses):
    engine = EXACT


@pytest.fixture(scope="module")
def bare(postgres_server: str) -> tuple[str, str]:
    """A database without the extension, and a role that may not make it."""
    url, role = new_database(postgres_server), f"store_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE ROLE {role} LOGIN; CREATE SCHEMA {SCHEMA} AUTHORIZATION {role}".encode()
        )
    return url, role


class TestWithoutPgvector(StoreConformance):
    """What the extension's absence makes of every engine."""

    profile = "suite"
    left_to_others = WITHOUT_INDEX

    examples = 10

    @pytest.fixture
    def harness(
        self, bare: tuple[str, str], request: pytest.FixtureRequest
    ) -> Iterator[PostgresStoreHarness]:
        url, role = bare
        yield from opened(PostgresStoreHarness(url, {}, role), request)


class TestGraphs(OnEngine, StoreGraphConformance):
    profile = "suite"

    engine = kind("hnsw")


class TestSentences(OnEngine, SentenceClauses):
    engine = kind("hnsw")
