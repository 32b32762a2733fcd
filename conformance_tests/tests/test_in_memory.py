"""LangGraph's own in-memory saver and store hold the profile `langgraph`, or it asks too much."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from conformance_tests import (
    Gap,
    GraphConformance,
    Place,
    SaverConformance,
    SaverHarness,
    StoreConformance,
    StoreGraphConformance,
    StoreHarness,
)
from conformance_tests.contract.gaps import Gaps
from conformance_tests.contract.verdicts import not_looked_at

ISSUES = "https://github.com/langchain-ai/langgraph/issues"


class InMemorySaverHarness(SaverHarness):
    name = "langgraph (InMemorySaver)"
    place = Place.MEMORY

    def __init__(self) -> None:
        self.saver: InMemorySaver = InMemorySaver()

    @contextmanager
    def open(self, *, serde: Any = None) -> Iterator[Any]:
        before = self.saver.serde
        self.saver.serde = serde or before
        yield self.saver
        self.saver.serde = before

    def rows(self) -> dict[str, int]:
        found = self.saver.storage.values()
        return {
            "checkpoints": sum(len(some) for spaces in found for some in spaces.values()),
            "values": len(self.saver.blobs),
            "writes": sum(map(len, self.saver.writes.values())),
        }


class InMemoryStoreHarness(StoreHarness):
    name = "langgraph (InMemoryStore)"
    place = Place.MEMORY
    gaps: ClassVar[Gaps] = {
        "store.items.created_at_survives_an_update": Gap("a put makes it anew", f"{ISSUES}/8340")
    }

    def __init__(self) -> None:
        self.store: InMemoryStore | None = None

    @contextmanager
    def open(self, *, index: Any = None) -> Iterator[InMemoryStore]:
        if self.store is None:
            self.store = InMemoryStore(index=index)
        elif index and self.store.index_config is None:
            not_looked_at("what has no index cannot be opened with one: it is an object")
        yield self.store


class TestInMemorySaver(SaverConformance):
    @pytest.fixture
    def harness(self) -> InMemorySaverHarness:
        return InMemorySaverHarness()


class TestInMemoryGraphs(GraphConformance):
    @pytest.fixture
    def harness(self) -> InMemorySaverHarness:
        return InMemorySaverHarness()


class TestInMemoryStore(StoreConformance):
    @pytest.fixture
    def harness(self) -> InMemoryStoreHarness:
        return InMemoryStoreHarness()


class TestInMemoryStoreGraphs(StoreGraphConformance):
    @pytest.fixture
    def harness(self) -> InMemoryStoreHarness:
        return InMemoryStoreHarness()
