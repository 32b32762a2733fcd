"""A standalone server: the same commands without transactions, so not all promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any, ClassVar

import pytest

from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_mongo import MongoDBSaver
from checkpoint_mongo.requests import Op, ThreadTransaction, Write
from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests import SaverConformance
from conformance_tests.build import large, on, values
from conformance_tests.savers.allowlist import AllowlistClauses
from conformance_tests.savers.encryption import EncryptionClauses, OwnEncryptionClauses
from conformance_tests.savers.fidelity import FidelityClauses
from conformance_tests.savers.filters import FilterClauses
from conformance_tests.savers.hostile_input import HostileInputClauses
from conformance_tests.savers.records import RecordIdentityClauses, RecordIntegrityClauses
from conformance_tests.savers.setup import BridgeClauses
from conformance_tests.savers.ttl_of_runs import RunTTLClauses
from conformance_tests.upstream import UpstreamClauses


def race(clause: Any) -> Any:
    """A clause of its own that fails if two calls meet in the wrong moment: a declared gap."""
    own = FunctionType(
        clause.__code__, clause.__globals__, clause.__name__, closure=clause.__closure__
    )
    own.__doc__, own.__annotations__ = clause.__doc__, clause.__annotations__
    own.__dict__.update({**clause.__dict__, "pytestmark": list(getattr(clause, "pytestmark", ()))})
    reason = "declared gap: a standalone server has no transactions"
    return pytest.mark.xfail(strict=False, reason=reason)(own)


class StandaloneHarness(MongoHarness):
    """A database on a server without transactions."""

    name = "mongo-standalone"
    # looks at the thread, at a checkpoint of that id and at its values; then the thread, the rest
    budgets: ClassVar[Mapping[str, int]] = {
        **MongoHarness.budgets,
        "put": 5,
        "put_writes": 3,
    }


class TestStandalone(SaverConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, standalone: str) -> Iterator[MongoHarness]:
        harness = StandaloneHarness(standalone)
        yield harness
        harness.close()

    test_concurrency_deletion_against_puts = race(
        SaverConformance.test_concurrency_deletion_against_puts
    )
    test_concurrency_pruning_against_puts = race(
        SaverConformance.test_concurrency_pruning_against_puts
    )
    test_concurrency_pruning_against_readers = race(
        SaverConformance.test_concurrency_pruning_against_readers
    )
    # a put after a deletion: the thread that another process made since has another salt
    test_processes_delete_what_others_put = race(
        SaverConformance.test_processes_delete_what_others_put
    )


NEEDS_NO_TRANSACTION = (
    AllowlistClauses,
    BridgeClauses,
    EncryptionClauses,
    FidelityClauses,
    FilterClauses,
    HostileInputClauses,
    OwnEncryptionClauses,
    RecordIdentityClauses,
    RecordIntegrityClauses,
    RunTTLClauses,
    UpstreamClauses,
)
"""What they judge (values, names, arguments, filters, checksums) is the same code on every server.
`TestMongoDBSaver` runs them on a replica set. All others write, remove, read while others write, or
lose their server.
"""
for clauses in NEEDS_NO_TRANSACTION:
    for name in vars(clauses):
        if name.startswith("test_"):
            setattr(TestStandalone, name, None)  # which pytest does not collect


@pytest.mark.parametrize("count", range(6))
def test_a_put_that_ends_anywhere_leaves_the_checkpoint_before(
    alone: MongoHarness, count: int
) -> None:
    """Of the documents of a put, the checkpoint comes last."""
    with alone.open() as saver:
        saver.put(*arguments("t", 1, log=large(1)))
        put = saver._planner.put(saver._codec, *arguments("t", 2, log=large(2), more=large(3)))
        ops = _last_write(saver, put)
        assert len(ops) == 6  # the thread, two segments, two values, the checkpoint
        saver._driver.perform(Write(ops[:count]))
        assert steps_of(saver, "t") == [1]
        assert values(saver.get_tuple(on("t")))["log"] == large(1)
        saver.put(*arguments("t", 3, log=large(1) + large(2)))
        assert values(saver.get_tuple(on("t")))["log"] == large(1) + large(2)


def _last_write(saver: MongoDBSaver, plan: Any) -> Sequence[Op]:
    """The changes that a plan makes at last, on which it is not told anything."""
    request, inner = next(plan), None
    while True:
        if isinstance(request, ThreadTransaction):
            inner = request.make()
            request = next(inner)
        if type(request) is Write and request.guarded:
            return request.ops
        reply = saver._driver.perform(request)
        request = (inner or plan).send(reply)
