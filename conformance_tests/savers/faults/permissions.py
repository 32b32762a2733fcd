"""Clauses about a read-only database user: writes are errors that change nothing, reads work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from checkpoint_base.errors import PermissionDeniedError
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    large,
    metadata,
    new_versions,
    on,
    values,
)
from conformance_tests.samples.driver_adapter import Facade, Flavour, opened
from conformance_tests.savers.base import SaverClauses

_NEXT = checkpoint({"a": large(2)})
WRITES: dict[str, Callable[[Facade, Any], Any]] = {
    "put": lambda s, at: s.put(at, _NEXT, metadata(), new_versions(_NEXT)),
    "put_writes": lambda s, at: s.put_writes(at, [("a", 1)], "task"),
    "delete_thread": lambda s, at: s.delete_thread(at["configurable"]["thread_id"]),
}


@clauses_of(Capability.PERMISSIONS)
class PermissionClauses(SaverClauses):
    """Clauses with a database user that has only read permission."""

    @pytest.mark.parametrize("call", WRITES)
    def test_permissions_a_write_that_is_refused_is_an_error(
        self, harness: SaverHarness, flavour: Flavour, saver: Facade, call: str
    ) -> None:
        """A write without permission raises an error that names the problem, and stores nothing."""
        chain = Chain(saver)
        chain.put({"a": large(1)})
        before = harness.rows()
        with (
            harness.reading_only() as restricted,
            opened(restricted, flavour) as reader,
            pytest.raises(PermissionDeniedError) as caught,
        ):
            WRITES[call](reader, chain.head)
        assert caught.value.__cause__ is not None
        assert harness.rows() == before
        assert values(saver.get_tuple(on(chain.thread_id))) == {"a": large(1)}

    def test_permissions_reading_needs_no_right_to_write(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """Reads work without write permission, also if they would normally refresh a TTL."""
        ttl = {"default_ttl": 10, "refresh_on_read": True}
        with opened(harness, flavour, ttl=ttl) as saver:
            chain = Chain(saver)
            chain.put({"a": large(1)})
            with (
                harness.reading_only() as restricted,
                opened(restricted, flavour, ttl=ttl) as reader,
            ):
                assert values(reader.get_tuple(on(chain.thread_id))) == {"a": large(1)}
                found = [values(one) for one in reader.list(on(chain.thread_id))]
                assert found == [{"a": large(1)}]
