"""Clauses about copy_thread, which copies a thread with its whole history."""

from __future__ import annotations

import pytest
from langgraph.checkpoint.base import CheckpointTuple

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    checkpoint_id,
    large,
    metadata,
    new_id,
    new_thread,
    on,
    values,
    writes,
)
from conformance_tests.samples.compare import assert_same, plain
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import SaverClauses, row_count
from conformance_tests.savers.threads.delete_thread import filled_thread


def without_thread(found: CheckpointTuple) -> dict[str, object]:
    """A checkpoint tuple as a dict, without the thread id."""
    told = plain(found)
    for entry in ("config", "parent_config"):
        if told[entry] is not None:
            told[entry].pop("thread_id")
    return told


def everything(saver: Facade, thread: str) -> list[dict[str, object]]:
    """All checkpoints of a thread, comparable with those of another thread."""
    found = [without_thread(each) for each in saver.list(on(thread, ns=None))]
    return sorted(found, key=lambda each: str(each["config"]))


@clauses_of(Capability.COPY_THREAD)
class CopyThreadClauses(SaverClauses):
    """Clauses of `copy_thread`."""

    def test_copy_thread_everything_is_copied(self, saver: Facade) -> None:
        """All checkpoints are copied, with parents, namespaces, values, metadata and writes: delta
        channels of the copy are rebuilt from the whole chain."""
        source, target = filled_thread(saver), new_thread()
        before = everything(saver, source.thread_id)
        saver.copy_thread(source.thread_id, target)
        assert len(before) == 4
        assert_same(before, everything(saver, target), "copy")
        assert_same(before, everything(saver, source.thread_id), "source")

    def test_copy_thread_copy_and_source_are_independent(self, saver: Facade) -> None:
        """Changes of the copy do not affect the source, and the copy outlives its source."""
        source, target = filled_thread(saver), new_thread()
        saver.copy_thread(source.thread_id, target)
        before = everything(saver, target)
        source.write(("n", "a write of the source only"), task="later")
        source.put({"n": "source only"})
        assert_same(before, everything(saver, target), "copy")
        if saver.offers("delete_thread"):
            saver.delete_thread(source.thread_id)
            assert_same(before, everything(saver, target), "copy")
        chain = Chain(saver, target)
        chain.put({"text": large(1) + "and more and more"})
        assert values(saver.get_tuple(on(target))) == {"text": large(1) + "and more and more"}

    def test_copy_thread_takes_early_writes_along(self, saver: Facade) -> None:
        """Writes whose checkpoint does not exist yet are copied, too."""
        source, target = Chain(saver), new_thread()
        source.put({"a": 1})
        saver.put_writes(on(source.thread_id, "sub:2", "f-id"), [("a", "early")], "task")
        saver.copy_thread(source.thread_id, target)
        sub = Chain(saver, target, "sub:2")
        sub.put({"a": 1}, id="f-id")
        found = saver.get_tuple(sub.head)
        assert found is not None
        assert found.pending_writes == [("task", "a", "early")]

    def test_copy_thread_twice(self, saver: Facade, harness: SaverHarness) -> None:
        """A retried copy is idempotent, and adds what the source got since."""
        source, target = filled_thread(saver), new_thread()
        saver.copy_thread(source.thread_id, target)
        rows, before = harness.rows(), everything(saver, target)
        saver.copy_thread(source.thread_id, target)
        assert harness.rows() == rows
        assert_same(before, everything(saver, target), "copy")
        source.put({"n": "later"})
        source.write(("n", "later"))
        saver.copy_thread(source.thread_id, target)
        assert_same(everything(saver, source.thread_id), everything(saver, target), "copy")

    def test_copy_thread_target_that_holds_something_else(self, saver: Facade) -> None:
        """If the target has other checkpoints, the copy is rejected and changes nothing, so that
        two histories are not mixed."""
        source, target = filled_thread(saver), filled_thread(saver)
        before = everything(saver, target.thread_id)
        with pytest.raises(ValueError, match="target"):
            saver.copy_thread(source.thread_id, target.thread_id)
        assert_same(before, everything(saver, target.thread_id), "target")

    def test_copy_thread_target_that_holds_early_writes(self, saver: Facade) -> None:
        """If the target has writes without a checkpoint, the copy is rejected: a run is active."""
        source, target = filled_thread(saver), new_thread()
        early = on(target, checkpoint_id=new_id())
        saver.put_writes(early, [("a", 1)], "task")
        with pytest.raises(ValueError, match="target"):
            saver.copy_thread(source.thread_id, target)
        saver.put(on(target), checkpoint(id=checkpoint_id(early)), metadata(), {})
        assert writes(saver.get_tuple(early)) == [("task", "a", 1)]

    def test_copy_thread_absent_source(self, saver: Facade, harness: SaverHarness) -> None:
        """Copying an absent thread is a no-op, whatever the target contains."""
        saver.copy_thread(new_thread(), new_thread())
        assert row_count(harness) == 0
        target = filled_thread(saver)
        before = everything(saver, target.thread_id)
        saver.copy_thread(new_thread(), target.thread_id)
        assert_same(before, everything(saver, target.thread_id), "target")

    def test_copy_thread_onto_itself(self, saver: Facade) -> None:
        """Copying a thread onto itself is a no-op."""
        source = filled_thread(saver)
        before = everything(saver, source.thread_id)
        saver.copy_thread(source.thread_id, source.thread_id)
        assert_same(before, everything(saver, source.thread_id), "thread")

    def test_copy_thread_delta_history_of_the_copy(self, saver: Facade) -> None:
        """The delta history of the copy reaches back to the seed."""
        source, target = Chain(saver), new_thread()
        source.put({"log": ["seed"]})
        for n in range(5):
            source.write(("log", n))
            source.put({"other": n}, drop=["log"])
        saver.copy_thread(source.thread_id, target)
        asked = {
            thread: saver.get_delta_channel_history(config=on(thread), channels=["log"])
            for thread in (source.thread_id, target)
        }
        assert asked[target] == asked[source.thread_id]
        assert [value for _, _, value in asked[target]["log"]["writes"]] == [0, 1, 2, 3, 4]
        assert asked[target]["log"]["seed"] == ["seed"]

    def test_copy_thread_deleting_both_leaves_nothing(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """When source and copy are deleted, no row is left."""
        source, target = filled_thread(saver), new_thread()
        saver.copy_thread(source.thread_id, target)
        saver.delete_thread(target)
        assert len(everything(saver, source.thread_id)) == 4
        saver.delete_thread(source.thread_id)
        assert row_count(harness) == 0, dict(harness.rows())
