"""Clauses about put_writes, which stores the writes of tasks, in order, each once."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, SCHEDULED

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    large,
    metadata,
    new_id,
    new_thread,
    new_versions,
    on,
    writes,
)
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses, row_count
from conformance_tests.savers.values.put_again import POISON, FailingSerializer

SPECIAL = (ERROR, SCHEDULED, INTERRUPT, RESUME)


@clauses_of(Capability.PUT_WRITES)
class WriteOrderClauses(SaverClauses):
    """Clauses of `put_writes` about order, and about repeated writes."""

    def test_put_writes_order_is_path_then_task_then_index(self, saver: Facade) -> None:
        """Writes are ordered by path, task and index, as in the live run, not by arrival."""
        chain = Chain(saver)
        chain.put({"a": 0})
        arrival = [("~p, b", "t1"), ("", "t2"), ("~p, a", "t9"), ("~p, a", "t3"), ("", "t0")]
        for path, task in arrival:
            chain.write(("c", f"{task}-0"), ("a", f"{task}-1"), task=task, path=path)
        assert writes(saver.get_tuple(chain.head)) == [
            (task, channel, f"{task}-{index}")
            for _, task in sorted(arrival)
            for index, channel in enumerate(["c", "a"])
        ]

    def test_put_writes_indexes_sort_as_numbers(self, saver: Facade) -> None:
        """Indexes sort as numbers: write 10 comes after write 9, not after write 1."""
        chain = Chain(saver)
        chain.put({"a": 0})
        chain.write(*[("a", n) for n in range(25)])
        assert [value for _, _, value in writes(saver.get_tuple(chain.head))] == list(range(25))

    def test_put_writes_special_writes_come_first_in_their_order(self, saver: Facade) -> None:
        """Special writes come first, by their indexes: RESUME -4, INTERRUPT -3, SCHEDULED -2, ERROR
        -1."""
        chain = Chain(saver)
        chain.put({"a": 0})
        chain.write(("a", 1), *[(channel, channel) for channel in SPECIAL], ("b", 2))
        expected = sorted(SPECIAL, key=lambda channel: WRITES_IDX_MAP[channel])
        assert [c for _, c, _ in writes(saver.get_tuple(chain.head))] == [*expected, "a", "b"]

    def test_put_writes_regular_writes_the_first_wins(self, saver: Facade) -> None:
        """A repeated regular write is ignored: a retried task must not change what others have
        read."""
        chain = Chain(saver)
        chain.put({"a": 0})
        chain.write(("a", "first"), ("b", "first"))
        chain.write(("a", "second"), ("b", "second"))
        assert [v for _, _, v in writes(saver.get_tuple(chain.head))] == ["first", "first"]

    def test_put_writes_the_first_wins_by_index_whatever_the_channel(self, saver: Facade) -> None:
        """A write is identified by (task, index): another channel at the same index is ignored."""
        chain = Chain(saver)
        chain.put({"a": 0})
        chain.write(("a", 1), ("b", 2))
        chain.write(("other", 3), ("another", 4), ("third", 5))
        got = [(c, v) for _, c, v in writes(saver.get_tuple(chain.head))]
        assert got == [("a", 1), ("b", 2), ("third", 5)]

    @pytest.mark.parametrize("channel", SPECIAL)
    def test_put_writes_special_writes_the_last_wins(self, saver: Facade, channel: str) -> None:
        """A repeated special write (interrupt, answer, error) of a task replaces the first."""
        chain = Chain(saver)
        chain.put({"a": 0})
        for value in ("first", "second", ["third"]):
            chain.write((channel, value))
        assert writes(saver.get_tuple(chain.head)) == [("task-1", channel, ["third"])]

    def test_put_writes_mixed_batch_is_judged_write_by_write(self, saver: Facade) -> None:
        """In a batch of both kinds, special writes replace, and regular writes do not."""
        chain = Chain(saver)
        chain.put({"a": 0})
        chain.write(("a", "first"), (INTERRUPT, "first"), ("b", "first"), (RESUME, "first"))
        chain.write(("a", "second"), (INTERRUPT, "second"), ("b", "second"), (RESUME, "second"))
        assert [(c, v) for _, c, v in writes(saver.get_tuple(chain.head))] == [
            (RESUME, "second"),
            (INTERRUPT, "second"),
            ("a", "first"),
            ("b", "first"),
        ]

    def test_put_writes_special_writes_use_up_no_index(self, saver: Facade) -> None:
        """A regular write's index is its position in the batch, counting special writes, whose
        positions stay free."""
        chain = Chain(saver)
        chain.put({"a": 0})
        chain.write(("a", 1), (ERROR, "e"), ("b", 2))
        chain.write(("a", 10), ("late", 11), ("b", 12))
        got = [(c, v) for _, c, v in writes(saver.get_tuple(chain.head))]
        assert got == [(ERROR, "e"), ("a", 1), ("late", 11), ("b", 2)]

    def test_put_writes_the_same_special_channel_twice_in_a_batch(self, saver: Facade) -> None:
        """Two writes to one special channel have the same index, so the last one wins."""
        chain = Chain(saver)
        chain.put({"a": 0})
        chain.write((INTERRUPT, "one"), (INTERRUPT, "two"), ("a", 1))
        got = [(c, v) for _, c, v in writes(saver.get_tuple(chain.head))]
        assert got == [(INTERRUPT, "two"), ("a", 1)]

    def test_put_writes_the_same_channel_twice_in_a_batch(self, saver: Facade) -> None:
        """A task may write to a channel several times, and each write is stored."""
        chain = Chain(saver)
        chain.put({"a": 0})
        chain.write(("a", 1), ("a", 1), ("a", 2))
        assert [v for _, _, v in writes(saver.get_tuple(chain.head))] == [1, 1, 2]

    def test_put_writes_a_longer_batch_adds_what_is_new(self, saver: Facade) -> None:
        """A longer batch of a retried task adds the writes that are new."""
        chain = Chain(saver)
        chain.put({"a": 0})
        chain.write(("a", 1))
        chain.write(("a", "again"), ("b", 2))
        assert [v for _, _, v in writes(saver.get_tuple(chain.head))] == [1, 2]

    def test_put_writes_tasks_do_not_replace_each_other(self, saver: Facade) -> None:
        """Writes of different tasks to the same channel at the same index are separate."""
        chain = Chain(saver)
        chain.put({"a": 0})
        for task in ("t3", "t1", "t2"):
            chain.write(("a", task), (INTERRUPT, task), task=task)
        got = writes(saver.get_tuple(chain.head))
        assert got == [(t, c, t) for t in ("t1", "t2", "t3") for c in (INTERRUPT, "a")]


@clauses_of(Capability.PUT_WRITES)
class PutWritesClauses(SaverClauses):
    """Clauses of `put_writes` about the checkpoint of writes, and atomicity."""

    def test_put_writes_empty_list_is_nothing(self, saver: Facade, harness: SaverHarness) -> None:
        """An empty list of writes stores nothing, not even a thread."""
        thread = new_thread()
        saver.put_writes(on(thread, checkpoint_id=new_id()), [], "task")
        assert saver.get_tuple(on(thread)) is None
        if harness.looks("rows"):
            assert row_count(harness) == 0
        chain = Chain(saver)
        chain.put({"a": 1})
        chain.write()
        assert writes(saver.get_tuple(chain.head)) == []

    def test_put_writes_before_their_checkpoint(self, saver: Facade) -> None:
        """Writes may be stored before their checkpoint, which is saved in the background."""
        thread, body = new_thread(), checkpoint({"a": 1})
        early = on(thread, "", body["id"])
        saver.put_writes(early, [("a", "early"), (INTERRUPT, "?")], "task", "path")
        assert saver.get_tuple(early) is None
        assert saver.get_tuple(on(thread)) is None
        assert list(saver.list(on(thread))) == []
        stored = saver.put(on(thread), body, metadata(), new_versions(body))
        expected = [("task", INTERRUPT, "?"), ("task", "a", "early")]
        assert writes(saver.get_tuple(stored)) == expected

    def test_put_writes_namespace_defaults_to_the_root(self, saver: Facade) -> None:
        """A config written by hand has no `checkpoint_ns`."""
        chain = Chain(saver)
        stored = chain.put({"a": 1})
        name = stored["configurable"]["checkpoint_id"]
        saver.put_writes(on(chain.thread_id, None, name), [("a", 2)], "task")
        assert writes(saver.get_tuple(stored)) == [("task", "a", 2)]

    def test_put_writes_belong_to_one_checkpoint_of_one_namespace(self, saver: Facade) -> None:
        """Writes belong to one checkpoint: a child, a subgraph or another thread does not have
        them."""
        shared, thread = new_id(), new_thread()
        chains = [Chain(saver, thread), Chain(saver, thread, "sub:1"), Chain(saver)]
        for chain in chains:
            chain.put({"a": 1}, id=shared)
        chains[0].write(("a", "root"))
        chains[1].write(("a", "sub"))
        child = chains[0].fork()
        child.put({"a": 2})
        got = [writes(saver.get_tuple(chain.head)) for chain in [*chains, child]]
        assert got == [[("task-1", "a", "root")], [("task-1", "a", "sub")], [], []]

    @pytest.mark.parametrize("value", [None, "", b"", [], 0, False, large(), large().encode()])
    def test_put_writes_values_of_writes(self, saver: Facade, value: Any) -> None:
        """Empty and large values of writes are read back."""
        chain = Chain(saver)
        chain.put({"a": 1})
        chain.write(("a", value), (RESUME, value))
        got = writes(saver.get_tuple(chain.head))
        assert_same([("task-1", RESUME, value), ("task-1", "a", value)], got, "pending_writes")

    def test_put_writes_list_shows_the_same_writes(self, saver: Facade) -> None:
        """`list` returns the same writes as `get_tuple`, for `get_state_history`."""
        chain = Chain(saver)
        for n in range(4):
            chain.put({"a": n})
            for task in range(n):
                chain.write(("a", n), (ERROR, f"of {task}"), task=f"t{task}", path=f"p{9 - task}")
        for found in saver.list(on(chain.thread_id)):
            assert writes(found) == writes(saver.get_tuple(found.config))
            assert len(writes(found)) == 2 * found.metadata["step"]

    def test_put_writes_the_first_wins_across_savers(self, reopened: Opener) -> None:
        """Regular writes stored by another saver are not replaced: another worker may run the task
        again."""
        chain = Chain(reopened())
        stored = chain.put({"a": 1})
        chain.write(("a", "first"), (INTERRUPT, "first"))
        other = reopened()
        other.put_writes(stored, [("a", "second"), (INTERRUPT, "second")], "task-1")
        expected = [("task-1", INTERRUPT, "second"), ("task-1", "a", "first")]
        assert writes(other.get_tuple(stored)) == expected
        assert writes(chain.saver.get_tuple(stored)) == expected

    def test_put_writes_failed_batch_leaves_nothing(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """A batch is atomic: if one write cannot be stored, none is."""
        chain = Chain(reopened(serde=FailingSerializer()))
        chain.put({"a": 1})
        rows = harness.rows()
        with pytest.raises(TypeError, match=POISON):
            chain.write(("a", 1), ("b", large()), ("c", POISON))
        assert harness.rows() == rows
        assert writes(chain.saver.get_tuple(chain.head)) == []

    def test_put_writes_without_checkpoint_id_are_refused(self, saver: Facade) -> None:
        """Writes without a checkpoint id are rejected, not silently lost."""
        with pytest.raises((ValueError, KeyError), match="checkpoint_id"):
            saver.put_writes(on(new_thread()), [("a", 1)], "task")

    def test_put_writes_replaced_writes_leave_nothing(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Replaced large writes leave no row after their thread is deleted."""
        chain = Chain(saver)
        chain.put({"a": 1})
        for n in range(4):
            chain.write((RESUME, large(n, 40_000)))
        assert writes(saver.get_tuple(chain.head)) == [("task-1", RESUME, large(3, 40_000))]
        saver.delete_thread(chain.thread_id)
        assert row_count(harness) == 0, dict(harness.rows())

    def test_put_writes_that_lost_leave_nothing(self, saver: Facade, harness: SaverHarness) -> None:
        """An ignored regular write is not stored, not even in part."""
        chain = Chain(saver)
        chain.put({"a": 1})
        chain.write(("a", large(1, 40_000)), ("b", 2))
        rows, size = harness.rows(), saver.stats(chain.thread_id)["bytes"]
        for n in range(2, 5):
            chain.write(("a", large(n, 40_000)), ("b", large(n, 40_000)))
        assert harness.rows() == rows
        assert saver.stats(chain.thread_id)["bytes"] == size
        expected = [("task-1", "a", large(1, 40_000)), ("task-1", "b", 2)]
        assert writes(saver.get_tuple(chain.head)) == expected
