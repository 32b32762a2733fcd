"""Clauses about damaged records: a changed byte, a lost row or swapped rows raise errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from checkpoint_base.errors import CorruptValueError
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    metadata,
    new_id,
    new_thread,
    on,
    version,
)
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses
from conformance_tests.savers.values.sharing import said

CHANGED = ["value", "longer value", "write", "body", "versions", "metadata", "digests"]
"""Kinds of records that `SaverHarness.damage_record` changes."""
SWAPPED = ["value", "write", "checkpoint"]
"""Kinds of records that `SaverHarness.swap_records` exchanges."""


def state(small: Any) -> dict[str, Any]:
    """Channel values of all sizes, some too large to be embedded in a checkpoint's record."""
    longer = {name: said(number, 1500)[:1500] for number, name in enumerate(["one", "two"])}
    return {"small": small, **longer, "large": said(1, 30_000)}


def reads(saver: Facade, chain: Chain) -> dict[str, Callable[[], Any]]:
    """All ways to read the last checkpoint of a chain."""
    return {
        "get_tuple": lambda: saver.get_tuple(chain.head),
        "list": lambda: list(saver.list(on(chain.thread_id))),
    }


@clauses_of(Capability.RECORD_INTEGRITY)
class RecordIntegrityClauses(SaverClauses):
    """Clauses about records of any size that were damaged or lost on the disk."""

    @pytest.mark.parametrize("read", ["get_tuple", "list"])
    @pytest.mark.parametrize("record", CHANGED)
    def test_record_integrity_each_byte_counts(
        self, saver: Facade, reopened: Opener, harness: SaverHarness, record: str, read: str
    ) -> None:
        """A changed byte in a small value, a write or a part of a checkpoint raises an error: it
        is never read as something else or as "no such checkpoint"."""
        chain = Chain(saver)
        chain.put(state("pay 100"), note="a metadata entry")
        chain.write(("small", "pay 200"))
        harness.damage_record(record)
        for each in (saver, reopened()):
            with pytest.raises(CorruptValueError):
                reads(each, chain)[read]()

    @pytest.mark.parametrize("record", CHANGED)
    def test_record_integrity_the_error_names_the_thread(
        self, saver: Facade, harness: SaverHarness, record: str
    ) -> None:
        """The error message names the thread, which the operator has to restore or delete."""
        chain = Chain(saver)
        chain.put(state(1), note="a metadata entry")
        chain.write(("small", 2))
        harness.damage_record(record)
        with pytest.raises(CorruptValueError) as raised:
            saver.get_tuple(chain.head)
        assert repr(chain.thread_id) in str(raised.value)

    @pytest.mark.parametrize("read", ["get_tuple", "list"])
    def test_record_integrity_a_lost_value_is_an_error(
        self, saver: Facade, harness: SaverHarness, read: str
    ) -> None:
        """A lost value raises an error, also for a later checkpoint that shares it; a channel that
        never had a value is still read without one."""
        chain = Chain(saver)
        chain.put({"lost": said(1, 5_000), "emptied": said(2, 5_000)})
        chain.put({"other": 2}, empty=["emptied"])
        harness.lose_value("emptied")
        assert saver.get_tuple(chain.head)
        harness.lose_value("lost")
        with pytest.raises(CorruptValueError):
            reads(saver, chain)[read]()

    def test_record_integrity_a_lost_seed_is_an_error(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """If the nearest stored value is lost, delta history raises an error, and does not use an
        older value."""
        chain = Chain(saver)
        chain.put({"log": ["first", said(1, 5_000)]})
        chain.put({"log": ["second", said(2, 5_000)]})
        chain.put({}, empty=["log"])
        saver.get_delta_channel_history(config=chain.head, channels=["log"])
        harness.lose_value("log")
        with pytest.raises(CorruptValueError):
            saver.get_delta_channel_history(config=chain.head, channels=["log"])

    @pytest.mark.parametrize("record", ["body", "metadata", "versions"])
    def test_record_integrity_prune_follows_no_damaged_checkpoint(
        self, saver: Facade, harness: SaverHarness, record: str
    ) -> None:
        """`prune` does not rely on a damaged checkpoint to decide what can be deleted."""
        chain = Chain(saver)
        chain.put({"a": 1})
        harness.damage_record(record)
        before = len(harness.stored())
        with pytest.raises(CorruptValueError):
            saver.prune([chain.thread_id])
        assert len(harness.stored()) == before

    def test_record_integrity_a_damaged_thread_can_be_deleted(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """A damaged thread can be deleted: `delete_thread` does not read damaged records."""
        chain = Chain(saver)
        chain.put(state(1))
        chain.write(("small", 2))
        for record in CHANGED:
            harness.damage_record(record)
        saver.delete_thread(chain.thread_id)
        assert not any(harness.rows().values())


@clauses_of(Capability.RECORD_IDENTITY)
class RecordIdentityClauses(SaverClauses):
    """Clauses about valid records in the place of others."""

    @pytest.mark.parametrize("read", ["get_tuple", "list"])
    @pytest.mark.parametrize("record", SWAPPED)
    def test_record_identity_swapped_records_are_an_error(
        self, saver: Facade, harness: SaverHarness, record: str, read: str
    ) -> None:
        """If the contents of two records of one kind are exchanged, reads raise errors, although
        neither record is damaged."""
        chain = Chain(saver)
        chain.put({"a": f"for ann: {said(1, 5_000)}", "b": f"for bob: {said(2, 5_000)}"})
        chain.put({})
        chain.write(("a", "one"), ("b", "two"))
        harness.swap_records(record)
        with pytest.raises(CorruptValueError):
            reads(saver, chain)[read]()

    @pytest.mark.parametrize("record", ["value", "checkpoint"])
    def test_record_identity_records_of_another_thread_are_an_error(
        self, saver: Facade, harness: SaverHarness, record: str
    ) -> None:
        """A record of another thread is an error, even if it has the same channel and version, or
        the same checkpoint id."""
        names = {"ann": new_thread(), "bob": new_thread()}
        versions = {"name": version(1)}
        size = 5_000 if record == "value" else 10
        body = checkpoint({}, versions, id=new_id())
        for name, thread_id in names.items():
            body["channel_values"] = {"name": name + said(1, size)}
            saver.put(on(thread_id), body, metadata(), dict(versions))
        harness.swap_records(record)
        for thread_id in names.values():
            with pytest.raises(CorruptValueError):
                saver.get_tuple(on(thread_id))
