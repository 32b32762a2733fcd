"""Clauses about search without a query: by namespace, newest first, in pages."""

from __future__ import annotations

import pytest
from langgraph.store.base import PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.stores.base import StoreClauses, keys, names
from conformance_tests.stores.facade import StoreFacade
from conformance_tests.stores.harness import StoreHarness


@clauses_of(Capability.STORE_SEARCH)
class SearchClauses(StoreClauses):
    """Clauses about the selection and order of items."""

    def test_search_prefixes_match_whole_labels(self, store: StoreFacade) -> None:
        """A prefix matches whole labels: `("users", "1")` does not match `("users", "10")`."""
        for namespace in [
            ("users",),
            ("users", "1"),
            ("users", "10"),
            ("users", "1", "prefs"),
            ("users", "1!"),
            ("users1",),
            ("1", "users"),
        ]:
            store.put(namespace, "key", {"n": 1})
        found = {item.namespace for item in store.search(("users", "1"))}
        assert found == {("users", "1"), ("users", "1", "prefs")}
        assert len(store.search(("users",))) == 5
        assert store.search(("user",)) == []
        assert len(store.search(())) == 7

    def test_search_newest_first(self, store: StoreFacade, harness: StoreHarness) -> None:
        """Items are ordered by their last put, newest first; ties by namespace and key."""
        for key in ("b", "a", "c"):
            store.put(("n",), key, {"n": 1})
            harness.advance(1)
        store.put(("n",), "b", {"n": 2})
        assert keys(store.search(())) == ["b", "c", "a"]
        harness.advance(1)
        store.batch([PutOp(("m", label), "k", {"n": 1}) for label in ("z", "y", "x")])
        assert [item.namespace[-1] for item in store.search(("m",))] == ["x", "y", "z"]

    def test_search_reading_does_not_move_items(
        self, store: StoreFacade, harness: StoreHarness
    ) -> None:
        """Reads do not change the order of items; only puts do."""
        for key in ("a", "b"):
            store.put(("n",), key, {"n": 1}, ttl=10)
            harness.advance(1)
        store.get(("n",), "a")
        store.search((), filter={"n": 1}, limit=1, offset=1)
        assert keys(store.search(())) == ["b", "a"]

    def test_search_default_limit(self, store: StoreFacade) -> None:
        """The default limit is 10, as in LangGraph."""
        store.batch([PutOp(("n",), f"{n:03}", {"n": n}) for n in range(30)])
        assert len(store.search(())) == 10

    def test_search_pages_make_up_the_whole(self, store: StoreFacade) -> None:
        """Pages of a search contain each item exactly once."""
        wanted = [f"{n:02}" for n in range(23)]
        for key in wanted:
            store.put(("n",), key, {"n": 1})
        pages = [keys(store.search(("n",), limit=5, offset=offset)) for offset in range(0, 30, 5)]
        assert [len(page) for page in pages] == [5, 5, 5, 5, 3, 0]
        assert sorted(key for page in pages for key in page) == wanted

    @pytest.mark.parametrize("filtered", [False, True])
    def test_search_pages_neither_repeat_nor_lose(
        self, store: StoreFacade, harness: StoreHarness, filtered: bool
    ) -> None:
        """Pages of any size neither repeat nor lose an item, although many have the same time."""
        for part in range(4):
            store.batch(
                [PutOp((f"n{n % 3}",), f"{n}", {"n": n}) for n in range(part * 60, part * 60 + 60)]
            )
            harness.advance(1)
        wanted = {"n": {"$lt": 200}} if filtered else None
        whole = names(store.search((), filter=wanted, limit=1000))
        assert len(set(whole)) == len(whole) == (200 if filtered else 240)
        for size in (7, 50, 199):
            pages = []
            for offset in range(0, 260, size):
                found = store.search((), filter=wanted, limit=size, offset=offset)
                pages += names(found)
            assert pages == whole

    def test_search_limits(self, store: StoreFacade) -> None:
        """A limit of 0 finds nothing; limits and offsets may exceed the number of items."""
        store.batch([PutOp(("n",), f"{n}", {"n": n}) for n in range(5)])
        assert store.search((), limit=0) == []
        assert len(store.search((), limit=1000)) == 5
        assert len(store.search((), limit=10**30)) == 5
        assert store.search((), limit=10**30, offset=10**30, filter={"n": 1}) == []
        assert store.list_namespaces(limit=10**30) == [("n",)]
        assert store.search((), offset=5) == []
        assert store.search((), offset=5000, filter={"n": 1}) == []
        assert len(store.search((), offset=3)) == 2

    def test_search_have_no_score(self, store: StoreFacade) -> None:
        """Without a query, the score is None."""
        store.put(("n",), "a", {"n": 1})
        assert [item.score for item in store.search(())] == [None]

    def test_search_a_query_without_an_index(self, store: StoreFacade) -> None:
        """Without an index, the query is ignored, as in LangGraph's own stores."""
        store.put(("n",), "a", {"text": "hello"}, index=["text"])
        assert keys(store.search((), query="hello")) == ["a"]
