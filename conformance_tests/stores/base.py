"""Fixtures of the clauses about stores, a sample embedding model, and accessors of items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from langgraph.store.base import Item, SearchItem

from conformance_tests.contract.clauses import Clauses
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.stores.facade import StoreFacade, opened
from conformance_tests.stores.harness import StoreHarness


class StoreOpener(Protocol):
    """Opens another store on the harness's database, until the clause ends."""

    def __call__(self, **options: Any) -> StoreFacade:
        """A facade of the flavour under test; options are the store's `index` and `ttl`."""


class StoreClauses(Clauses):
    """Base class of the mixins, with the fixtures that open stores."""

    contract = "store"

    @pytest.fixture
    def harness(self) -> StoreHarness:
        """The backend under test, empty. Each backend's test class overrides this fixture."""
        raise NotImplementedError("override the fixture `harness` in your test class")

    @pytest.fixture
    def reopened(self, harness: StoreHarness, flavour: Flavour) -> Iterator[StoreOpener]:
        """A function that opens stores; they are closed after the clause."""
        with ExitStack() as stack:

            def open_again(**options: Any) -> StoreFacade:
                return stack.enter_context(opened(harness, flavour, **options))

            yield open_again

    @pytest.fixture
    def store(self, reopened: StoreOpener) -> StoreFacade:
        """The store under test, without options."""
        return reopened()


class Numbers:
    """An embedding function whose vector is the numbers at the start of a text, such as `"1 0 0"`.

    Attributes:
        calls: The texts of each call.
    """

    def __init__(self, dims: int = 3) -> None:
        self.dims = dims
        self.calls: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls.append(list(texts))
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> list[float]:
        """The vector of a text; `"broken"` raises EmbeddingError."""
        if "broken" in text:
            raise EmbeddingError(text)
        numbers = [float(word) for word in text.partition(" #")[0].split()]
        return numbers + [0.0] * (self.dims - len(numbers))


class EmbeddingError(ConnectionError):
    """An error of the embedding provider, which must not be reported as one of the database."""


def index_of(harness: StoreHarness, embed: Any, dims: int = 3, **more: Any) -> dict[str, Any]:
    """The `index` option for the field `text`, with the harness's engine."""
    return {"dims": dims, "embed": embed, "fields": ["text"], **harness.engine, **more}


def keys(items: Iterable[Item]) -> list[str]:
    """The keys of items, in order."""
    return [item.key for item in items]


def names(items: Iterable[Item]) -> list[tuple[tuple[str, ...], str]]:
    """The (namespace, key) of items, in order."""
    return [(item.namespace, item.key) for item in items]


def scores(items: Iterable[SearchItem]) -> Mapping[str, float | None]:
    """Key -> score of items."""
    return {item.key: item.score for item in items}


def item_of(item: Item | None) -> Item:
    """Assert that the item exists, and return it."""
    assert item is not None, "expected the item that was put, got None: no such item"
    return item


def value_of(item: Item | None) -> dict[str, Any]:
    """The value of an item, which must exist."""
    return item_of(item).value
