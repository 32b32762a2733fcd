"""Clauses about deleting a namespace with the vectors of its items."""

from __future__ import annotations

from langgraph.store.base import PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.stores.base import Numbers, StoreClauses, StoreOpener, index_of, keys
from conformance_tests.stores.harness import StoreHarness


@clauses_of(Capability.STORE_NAMESPACES)
class WholeNamespaceClauses(StoreClauses):
    """Clauses about `delete_namespace` that need an index."""

    def test_namespaces_deleted_with_more_than_a_page(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """`delete_namespace` deletes more items than its batch size, with vectors and expired
        items."""
        ttl = {"omit_expired": True}
        store = reopened(index=index_of(harness, Numbers()), ttl=ttl)
        items = [PutOp(("u", f"{n % 3}"), f"{n}", {"text": "1 0 0"}) for n in range(1200)]
        store.batch([*items, PutOp(("u", "0"), "old", {"text": "1 0 0"}, ttl=1)])
        store.put(("v",), "stays", {"text": "1 0 0"})
        harness.advance(120)
        assert store.call("delete_namespace", ("u",), dry_run=True) == 1201
        assert store.call("delete_namespace", ("u",)) == 1201
        assert dict(harness.rows()) == {"items": 1, "vectors": 1}
        assert keys(store.search((), query="1 0 0")) == ["stays"]
