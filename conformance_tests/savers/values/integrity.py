"""Clauses about integrity: every read verifies checksums."""

from __future__ import annotations

from typing import Any

import pytest

from checkpoint_base.errors import CorruptValueError
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import Chain, on, values
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses
from conformance_tests.savers.values.sharing import said


@clauses_of(Capability.INTEGRITY)
class IntegrityClauses(SaverClauses):
    """Clauses about data that was damaged on the disk."""

    @pytest.mark.parametrize("read", ["get_tuple", "list", "delta history"])
    def test_integrity_damage_is_an_error(
        self, saver: Facade, harness: SaverHarness, read: str
    ) -> None:
        """A flipped bit raises an error: it is never read as a wrong value or as "no such
        checkpoint"."""
        chain = Chain(saver)
        first = chain.put({"a": said(1, 30_000)})
        chain.put({}, empty=["a"])
        harness.damage()
        reads: dict[str, Any] = {
            "get_tuple": lambda: saver.get_tuple(first),
            "list": lambda: list(saver.list(on(chain.thread_id))),
            "delta history": lambda: saver.get_delta_channel_history(
                config=chain.head, channels=["a"]
            ),
        }
        with pytest.raises(CorruptValueError):
            reads[read]()

    @pytest.mark.parametrize("read", ["get_tuple", "list"])
    def test_integrity_the_error_names_the_thread(
        self, saver: Facade, harness: SaverHarness, read: str
    ) -> None:
        """The error message names the thread, which the operator has to restore or delete."""
        chain = Chain(saver)
        chain.put({"a": said(1, 30_000)})
        harness.damage()
        reads: dict[str, Any] = {
            "get_tuple": lambda: saver.get_tuple(chain.head),
            "list": lambda: list(saver.list(chain.head)),
        }
        with pytest.raises(CorruptValueError) as raised:
            reads[read]()
        assert repr(chain.thread_id) in str(raised.value)

    def test_integrity_damaged_write_is_an_error(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Large writes are split and verified as values are."""
        chain = Chain(saver)
        chain.put({"a": 1})
        chain.write(("a", said(1, 30_000)))
        harness.damage()
        with pytest.raises(CorruptValueError):
            saver.get_tuple(chain.head)

    def test_integrity_damage_is_found_by_a_new_process(
        self, saver: Facade, reopened: Opener, harness: SaverHarness
    ) -> None:
        """A new saver, whose caches are empty, detects the damage."""
        chain = Chain(saver)
        chain.put({"a": said(1, 30_000)})
        assert values(saver.get_tuple(chain.head))
        harness.damage()
        with pytest.raises(CorruptValueError):
            reopened().get_tuple(chain.head)
