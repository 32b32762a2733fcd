"""A standalone server: the same commands without transactions, so not all promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import FunctionType
from typing import Any, ClassVar

import pytest

from checkpoint_base import Retention
from checkpoint_base.errors import CorruptValueError
from checkpoint_base.plan import Atomic, run
from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_mongo import MongoDBSaver
from checkpoint_mongo.connection.requests import Find, Op, ThreadTransaction, Write
from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests import SaverConformance
from conformance_tests.samples.build import large, on, values
from conformance_tests.savers.faults.hostile_input import HostileInputClauses
from conformance_tests.savers.reading.filters import FilterClauses
from conformance_tests.savers.setup import BridgeClauses
from conformance_tests.savers.threads.ttl_of_runs import RunTTLClauses
from conformance_tests.savers.upstream import UpstreamClauses
from conformance_tests.savers.values.allowlist import AllowlistClauses
from conformance_tests.savers.values.encryption import EncryptionClauses, OwnEncryptionClauses
from conformance_tests.savers.values.fidelity import FidelityClauses
from conformance_tests.savers.values.records import RecordIdentityClauses, RecordIntegrityClauses


def race(clause: Any) -> Any:
    """A clause of its own that is a declared gap: it fails if two calls meet at the wrong moment.
    Otherwise it holds by luck, so that it is not run; tests below have the calls meet.
    """
    own = FunctionType(
        clause.__code__, clause.__globals__, clause.__name__, closure=clause.__closure__
    )
    own.__doc__, own.__annotations__ = clause.__doc__, clause.__annotations__
    own.__dict__.update({**clause.__dict__, "pytestmark": list(getattr(clause, "pytestmark", ()))})
    reason = "declared gap: a standalone server has no transactions; not run, it may hold by luck"
    return pytest.mark.xfail(run=False, reason=reason)(own)


class StandaloneHarness(MongoHarness):
    """A database on a server without transactions."""

    name = "mongo-standalone"
    # looks at the thread, at a checkpoint of that id and at its values; then the thread, the rest
    budgets: ClassVar[Mapping[str, int]] = {
        **MongoHarness.budgets,
        "put": 5,
        "put_writes": 3,
    }


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
`TestMongoDBSaver` runs them on a replica set; here they hold as well. All others write, remove,
read while others write, or lose their server.
"""


class TestStandalone(SaverConformance):
    profile = "suite"
    left_to_others = NEEDS_NO_TRANSACTION

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
    test_retention_beside_writers = race(SaverConformance.test_retention_beside_writers)
    # a put after a deletion: the thread that another process made since has another salt
    test_processes_delete_what_others_put = race(
        SaverConformance.test_processes_delete_what_others_put
    )


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


def test_a_read_that_meets_a_prune_is_an_error(alone: MongoHarness) -> None:
    """Never a checkpoint without its values."""
    with alone.open() as saver:
        for step in (1, 2):
            saver.put(*arguments("t", step, log=large(step)))

        def meeting(request: Any) -> Any:
            if type(request) is Find and "key" in request.where and not met:
                met.append(request)
                reply = saver._driver.perform(request)
                saver.prune(["t"])
                return reply
            return saver._driver.perform(request)

        met: list[Any] = []
        read = saver._planner.get_tuple(saver._codec, on("t", "", "00000001"))
        with pytest.raises(CorruptValueError):
            run(read, partial(_inside, meeting))
        assert values(saver.get_tuple(on("t")))["log"] == large(2)


@pytest.mark.parametrize("remove", [["t"], Retention(keep_last=1)], ids=["prune", "retention"])
def test_a_put_that_meets_a_removal_may_lose_its_value(alone: MongoHarness, remove: Any) -> None:
    """Why history is removed only while no graph runs. The loss is an error, not an absence."""
    with alone.open() as saver:
        for step in (1, 2):
            saver.put(*arguments("t", step, log=large(step)))

        def meeting(request: Any) -> Any:
            if type(request) is not Write or not request.guarded:
                return saver._driver.perform(request)
            first = saver._driver.perform(Write(request.ops[:-1]))
            saver.prune(remove)
            return first.then(saver._driver.perform(Write(request.ops[-1:])))

        put = saver._planner.put(saver._codec, *arguments("t", 3, log=large(3)))
        run(put, partial(_inside, meeting))
        with pytest.raises(CorruptValueError, match="gone"):
            saver.get_tuple(on("t"))


def test_a_put_that_meets_a_deletion_leaves_what_is_of_no_thread(alone: MongoHarness) -> None:
    with alone.open() as saver:
        saver.put(*arguments("t", 1, log=large(1)))

        def meeting(request: Any) -> Any:
            if type(request) is not Write or not request.guarded:
                return saver._driver.perform(request)
            first = saver._driver.perform(Write(request.ops[:1]))
            saver.delete_thread("t")
            return first.then(saver._driver.perform(Write(request.ops[1:])))

        put = saver._planner.put(saver._codec, *arguments("t", 2, log=large(2)))
        run(put, partial(_inside, meeting))
        assert saver.get_tuple(on("t")) is None
        assert list(saver.list(None)) == []
        assert alone.rows()["checkpoints"] == 1
        saver.delete_thread("t")
        assert sum(alone.rows().values()) == 0


def _inside(perform: Any, request: Any) -> Any:
    """Perform a request, and what is one transaction elsewhere one by one."""
    return run(request.make(), perform) if isinstance(request, Atomic) else perform(request)


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
