"""Clauses about a store without items, newly set up or emptied. Agents read before they write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from langgraph.store.base import (
    GetOp,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchOp,
)

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.stores.base import Numbers, StoreClauses, StoreOpener, index_of
from conformance_tests.stores.facade import StoreFacade
from conformance_tests.stores.harness import StoreHarness

AT: Final = ("users", "ann")
FILTERS: Final[tuple[dict[str, Any], ...]] = (
    {"n": 1},
    {"text": "1 0 0"},
    {"n": {"$gt": 0, "$lte": 2}},
    {"n": {"$ne": 1}},
    {"n": {"$in": [1, 2]}},
    {"$or": [{"n": 1}, {"$not": {"n": 2}}]},
    {"at": {"deep": None}},
    {},
)
SEARCHES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"limit": 1},
    {"offset": 3},
    {"limit": 500, "offset": 1},
    {"refresh_ttl": True},
)
LISTS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"prefix": ("users",)},
    {"prefix": ("*", "ann")},
    {"suffix": ("ann",)},
    {"suffix": ("*",)},
    {"prefix": ("users",), "suffix": ("ann",)},
    {"max_depth": 1},
    {"prefix": ("users",), "max_depth": 2},
    {"limit": 1, "offset": 2},
)
READS: Final[tuple[Op, ...]] = (
    GetOp(AT, "k"),
    SearchOp(()),
    SearchOp(AT, offset=1),
    ListNamespacesOp(),
    ListNamespacesOp((MatchCondition("prefix", ("users",)), MatchCondition("suffix", ("ann",)))),
)

Query = Callable[[dict[str, Any]], list[Any]]


class EmptyStoreClauses(StoreClauses):
    """Base class, with a fixture for stores that are empty in different ways."""

    @pytest.fixture(params=["just set up", "emptied"])
    def empty(
        self, request: pytest.FixtureRequest, reopened: StoreOpener, harness: StoreHarness
    ) -> StoreFacade:
        """A store without items, with an index if the backend supports one."""
        options: dict[str, Any] = {}
        if Capability.STORE_MEANING not in harness.gaps and harness.takes("index"):
            options["index"] = index_of(harness, Numbers())
        store = reopened(**options)
        if request.param == "emptied":
            there = [(AT, "k"), (AT, "l"), (("users",), "k"), (("other",), "k")]
            texts = ("1 0 0", "0 1 0", "0 0 1", "1 1 0")
            store.batch(
                [
                    PutOp(at, key, {"text": text, "n": 1})
                    for (at, key), text in zip(there, texts, strict=True)
                ]
            )
            store.search((), filter={"n": 1})
            store.batch([PutOp(at, key, None) for at, key in there])
        return store


@clauses_of(Capability.STORE_ITEMS)
class EmptyItemClauses(EmptyStoreClauses):
    """Clauses about absent items."""

    def test_items_on_an_empty_store(self, empty: StoreFacade) -> None:
        """In an empty store, no item is found, and deleting an absent item is not an error."""
        assert empty.get(AT, "k") is None
        assert empty.get(AT, "k", refresh_ttl=True) is None
        empty.delete(AT, "k")
        assert empty.get(AT, "k") is None


@clauses_of(Capability.STORE_BATCH)
class EmptyBatchClauses(EmptyStoreClauses):
    """Clauses about batches on an empty store."""

    def test_batch_on_an_empty_store(self, empty: StoreFacade) -> None:
        """All kinds of operations work on an empty store, alone and in one batch."""
        nothing: list[Result] = [None, [], [], [], []]
        assert empty.batch([]) == []
        assert empty.batch([PutOp(AT, "k", None)]) == [None]
        for read, expected in zip(READS, nothing, strict=True):
            assert empty.batch([read]) == [expected]
        assert empty.batch([*READS, PutOp(AT, "k", None)]) == [*nothing, None]
        assert empty.batch([*READS, PutOp(AT, "k", {"n": 1})]) == [*nothing, None]
        assert empty.get(AT, "k") is not None


@clauses_of(Capability.STORE_SEARCH)
class EmptySearchClauses(EmptyStoreClauses):
    """Clauses about searches without a query on an empty store."""

    def test_search_on_an_empty_store(self, empty: StoreFacade) -> None:
        """A search on an empty store is empty, with any namespace, page and TTL option."""
        for asked in SEARCHES:
            assert empty.search((), **asked) == []
            assert empty.search(AT, **asked) == []


@clauses_of(Capability.STORE_FILTER)
class EmptyFilterClauses(EmptyStoreClauses):
    """Clauses about filters on an empty store."""

    def test_filter_on_an_empty_store(self, empty: StoreFacade) -> None:
        """A search on an empty store is empty, with any filter."""
        for condition in FILTERS:
            for asked in SEARCHES:
                assert empty.search((), filter=condition, **asked) == []
                assert empty.search(AT, filter=condition, **asked) == []


@clauses_of(Capability.STORE_NAMESPACES)
class EmptyNamespaceClauses(EmptyStoreClauses):
    """Clauses about lists of namespaces on an empty store."""

    def test_namespaces_on_an_empty_store(self, empty: StoreFacade) -> None:
        """An empty store has no namespaces, with any prefix, suffix, depth and page."""
        for asked in LISTS:
            assert empty.list_namespaces(**asked) == []


@clauses_of(Capability.STORE_MEANING)
class EmptyMeaningClauses(EmptyStoreClauses):
    """Clauses about vector search on an empty store."""

    def test_meaning_on_an_empty_store(self, empty: StoreFacade) -> None:
        """A vector search on an empty store is empty: memory tools search on the first turn."""
        for query in ("1 0 0", "0 0 0"):
            for asked in SEARCHES:
                assert empty.search((), query=query, **asked) == []
                assert empty.search(AT, query=query, **asked) == []
                for condition in FILTERS:
                    assert empty.search(AT, query=query, filter=condition, **asked) == []
        asked_for = SearchOp(AT, query="1 0 0")
        assert empty.batch([asked_for, *READS, asked_for]) == [[], None, [], [], [], [], []]
        assert empty.batch([asked_for, PutOp(AT, "k", {"text": "1 0 0"})]) == [[], None]
        (item,) = empty.search(AT, query="1 0 0")
        assert item.key == "k"


@clauses_of(Capability.STORE_TTL)
class EmptyTTLClauses(EmptyStoreClauses):
    """Clauses about TTL on an empty store."""

    def test_ttl_on_an_empty_store(self, empty: StoreFacade) -> None:
        """A sweep of an empty store removes 0 items."""
        assert empty.sweep_ttl() == 0
        assert empty.get(AT, "k") is None


@clauses_of(Capability.STORE_LIFE)
class EmptyLifeClauses(EmptyStoreClauses):
    """Clauses about setup and statistics of an empty store."""

    def test_life_on_an_empty_store(self, empty: StoreFacade) -> None:
        """An empty store has 0 items and 0 vectors, also after another `setup`."""
        for _ in range(2):
            stats = empty.call("stats")
            assert (stats.items, stats.vectors) == (0, 0)
            empty.call("setup")
