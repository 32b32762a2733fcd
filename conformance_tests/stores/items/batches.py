"""Clauses about batches: reads see the state before the batch's puts; results are in order."""

from __future__ import annotations

import pytest
from langgraph.store.base import GetOp, ListNamespacesOp, MatchCondition, PutOp, SearchOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.stores.base import StoreClauses, keys, value_of
from conformance_tests.stores.facade import StoreFacade
from conformance_tests.stores.harness import StoreHarness

A, B = ("a",), ("b",)


@clauses_of(Capability.STORE_BATCH)
class BatchClauses(StoreClauses):
    """Clauses about several operations at once."""

    def test_batch_results_in_order(self, store: StoreFacade) -> None:
        """Results of mixed operations are in the order of the operations."""
        store.put(A, "1", {"n": 1})
        store.put(B, "2", {"n": 2})
        results = store.batch(
            [
                SearchOp(B),
                GetOp(A, "1"),
                PutOp(A, "3", {"n": 3}),
                GetOp(A, "none"),
                ListNamespacesOp(),
                SearchOp(A, filter={"n": 7}),
                GetOp(B, "2"),
            ]
        )
        found, one, put, none, spaces, nothing, two = results
        assert isinstance(found, list)
        assert [item.key for item in found if not isinstance(item, tuple)] == ["2"]
        assert value_of(one) == {"n": 1}  # type: ignore[arg-type]  # a union of all results
        assert value_of(two) == {"n": 2}  # type: ignore[arg-type]  # a union of all results
        assert (put, none, spaces, nothing) == (None, None, [A, B], [])

    def test_batch_reads_see_the_state_before(self, store: StoreFacade) -> None:
        """Reads see the state before the batch, at any position among its puts."""
        store.put(A, "old", {"n": 1})
        results = store.batch(
            [
                PutOp(A, "old", {"n": 2}),
                PutOp(A, "new", {"n": 2}),
                PutOp(B, "other", {"n": 2}),
                GetOp(A, "old"),
                GetOp(A, "new"),
                SearchOp(()),
                ListNamespacesOp(),
                PutOp(A, "old", None),
            ]
        )
        _, _, _, old, new, found, spaces, _ = results
        assert value_of(old) == {"n": 1}  # type: ignore[arg-type]  # a union of all results
        assert new is None
        assert isinstance(found, list)
        assert len(found) == 1
        assert spaces == [A]
        assert sorted(keys(store.search(()))) == ["new", "other"]

    def test_batch_the_last_put_wins(self, store: StoreFacade) -> None:
        """Of several puts and deletes of one key, the last one counts."""
        store.batch(
            [
                PutOp(A, "x", {"n": 1}),
                PutOp(A, "y", {"n": 1}),
                PutOp(A, "y", None),
                PutOp(A, "x", {"n": 2}),
                PutOp(A, "z", None),
                PutOp(A, "z", {"n": 3}),
                PutOp(B, "x", {"n": 4}),
            ]
        )
        assert {(item.namespace, item.key): item.value["n"] for item in store.search(())} == {
            (A, "x"): 2,
            (A, "z"): 3,
            (B, "x"): 4,
        }

    def test_batch_the_same_read_twice(self, store: StoreFacade) -> None:
        """Two reads of one item both have results, with separate copies of the value."""
        store.put(A, "x", {"list": [1]})
        one, two, three = store.batch([GetOp(A, "x"), GetOp(A, "x"), GetOp(A, "none")])
        assert value_of(one) == value_of(two) == {"list": [1]}  # type: ignore[arg-type]
        assert value_of(one) is not value_of(two)  # type: ignore[arg-type]
        assert three is None

    def test_batch_large(self, store: StoreFacade) -> None:
        """A batch may have more operations than a statement has parameters, in many namespaces."""
        count = 3000
        store.batch([PutOp(("n", str(n % 7)), f"{n}", {"n": n}) for n in range(count)])
        results = store.batch([GetOp(("n", str(n % 7)), f"{n}") for n in range(count)])
        assert [value_of(item)["n"] for item in results] == list(range(count))  # type: ignore[arg-type]
        store.batch([PutOp(("n", str(n % 7)), f"{n}", None) for n in range(count)])
        assert store.search(()) == []

    def test_batch_empty(self, store: StoreFacade) -> None:
        """An empty batch is a no-op."""
        assert store.batch([]) == []

    def test_batch_whole_or_not_at_all(self, store: StoreFacade, harness: StoreHarness) -> None:
        """A batch is atomic: if one operation is invalid, no operation is run."""
        for bad in (
            PutOp(A, "y", {"n": {1, 2}}),
            PutOp(A, "n\0", {"n": 1}),
            PutOp((), "y", {"n": 1}),
            GetOp((), "y"),
            SearchOp(A, filter={"n": {"$regex": "x"}}),
            SearchOp(A, limit=-1),
            SearchOp(A, offset=-1),
            ListNamespacesOp(max_depth=0),
            ListNamespacesOp(offset=-1),
            ListNamespacesOp(limit=-1),
            SearchOp(A, limit=1.5),  # type: ignore[arg-type]  # on purpose
            ListNamespacesOp((MatchCondition("infix", A),)),  # type: ignore[arg-type]  # on purpose
        ):
            with pytest.raises(ValueError, match=r"."):
                store.batch([PutOp(A, "x", {"n": 1}), bad])
        assert harness.rows()["items"] == 0
