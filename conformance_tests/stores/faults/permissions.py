"""Clauses about a read-only database user: writes are errors that change nothing, reads work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from checkpoint_base.errors import PermissionDeniedError
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.stores.base import Numbers, StoreClauses, StoreOpener, index_of
from conformance_tests.stores.facade import StoreFacade, opened
from conformance_tests.stores.harness import StoreHarness

AT = ("a",)
WRITES: dict[str, Callable[[StoreFacade], Any]] = {
    "put": lambda s: s.put(AT, "k", {"text": "2"}),
    "put without embedding": lambda s: s.put(AT, "k", {"n": 2}, index=False),
    "delete": lambda s: s.delete(AT, "k"),
}


@clauses_of(Capability.STORE_PERMISSIONS)
class StorePermissionClauses(StoreClauses):
    """Clauses with a database user that has only read permission."""

    @pytest.mark.parametrize("call", WRITES)
    def test_permissions_a_write_that_is_refused_is_an_error(
        self, harness: StoreHarness, flavour: Flavour, reopened: StoreOpener, call: str
    ) -> None:
        """A write without permission raises an error that names the problem, and stores nothing."""
        index = index_of(harness, Numbers())
        store = reopened(index=index)
        store.put(AT, "k", {"text": "1"})
        before = harness.rows()
        with (
            harness.reading_only() as restricted,
            opened(restricted, flavour, index=index) as reader,
            pytest.raises(PermissionDeniedError) as caught,
        ):
            WRITES[call](reader)
        assert caught.value.__cause__ is not None
        assert harness.rows() == before
        found = store.get(AT, "k")
        assert found is not None
        assert found.value == {"text": "1"}

    def test_permissions_reading_needs_no_right_to_write(
        self, harness: StoreHarness, flavour: Flavour, reopened: StoreOpener
    ) -> None:
        """Reads work without write permission, also if they would normally refresh a TTL."""
        options = {
            "index": index_of(harness, Numbers()),
            "ttl": {"default_ttl": 10, "refresh_on_read": True},
        }
        reopened(**options).put(AT, "k", {"text": "1"})
        with harness.reading_only() as restricted, opened(restricted, flavour, **options) as reader:
            assert [one.key for one in reader.search(AT)] == ["k"]
            assert [one.key for one in reader.search(AT, query="1")] == ["k"]
            assert reader.get(AT, "k") is not None
            assert reader.list_namespaces() == [AT]
