"""Clauses about delete_thread, which deletes a whole thread and nothing else."""

from __future__ import annotations

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    ids,
    large,
    metadata,
    new_id,
    new_thread,
    on,
    values,
    writes,
)
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses, row_count, rows_if_seen


def filled_thread(saver: Facade, thread: str | None = None) -> Chain:
    """Put a thread with forks, namespaces, writes and large values."""
    chain = Chain(saver, thread)
    chain.put({"text": large(1), "n": 0})
    chain.write(("n", 1), ("text", large(2)))
    other = chain.fork()
    chain.put({"text": large(1) + "and more", "n": 1}, run_id="run")
    other.put({"n": 2}, empty=["text"])
    sub = Chain(saver, chain.thread_id, "sub:1")
    sub.put({"n": large(3)})
    sub.write(("n", 4), task="t9")
    saver.put_writes(on(chain.thread_id, "sub:2", new_id()), [("a", "early")], "task")
    return chain


@clauses_of(Capability.DELETE_THREAD)
class DeleteThreadClauses(SaverClauses):
    """Clauses of `delete_thread`."""

    def test_delete_thread_nothing_is_left(self, saver: Facade, harness: SaverHarness) -> None:
        """Checkpoints of all namespaces, values, segments and writes are deleted: no row is
        left."""
        chain = filled_thread(saver)
        saver.delete_thread(chain.thread_id)
        assert saver.get_tuple(chain.head) is None
        assert saver.get_tuple(on(chain.thread_id, "sub:1")) is None
        assert list(saver.list(on(chain.thread_id, ns=None))) == []
        assert list(saver.list(None)) == []
        assert row_count(harness) == 0, dict(harness.rows())

    def test_delete_thread_other_threads_stay(self, saver: Facade) -> None:
        """Other threads are kept, also if their id has the deleted id as a prefix, or their values
        are equal."""
        gone = filled_thread(saver, "thread-1")
        kept = [filled_thread(saver, name) for name in ("thread-10", "thread-", "Thread-1")]
        before = [list(saver.list(on(chain.thread_id, ns=None))) for chain in kept]
        saver.delete_thread(gone.thread_id)
        assert [list(saver.list(on(chain.thread_id, ns=None))) for chain in kept] == before
        assert [len(found) for found in before] == [4, 4, 4]

    def test_delete_thread_unknown_thread_and_twice(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Idempotent: a retried deletion is no error."""
        kept = Chain(saver)
        kept.put({"a": 1})
        rows = rows_if_seen(harness)
        saver.delete_thread(new_thread())
        gone = filled_thread(saver)
        saver.delete_thread(gone.thread_id)
        saver.delete_thread(gone.thread_id)
        assert saver.get_tuple(gone.head) is None
        assert values(saver.get_tuple(kept.head)) == {"a": 1}
        assert rows_if_seen(harness) == rows

    def test_delete_thread_of_writes_only(self, saver: Facade, harness: SaverHarness) -> None:
        """Writes whose checkpoint was never stored are deleted, too."""
        early = on(new_thread(), checkpoint_id=new_id())
        saver.put_writes(early, [("a", large())], "task")
        if harness.looks("rows"):
            assert row_count(harness) > 0
        saver.delete_thread(early["configurable"]["thread_id"])
        assert sum(rows_if_seen(harness).values()) == 0
        thread, name = (early["configurable"][key] for key in ("thread_id", "checkpoint_id"))
        stored = saver.put(on(thread), checkpoint({}, id=name), metadata(), {})
        assert writes(saver.get_tuple(stored)) == []

    def test_delete_thread_begins_anew(self, saver: Facade) -> None:
        """A thread id can be used again, and nothing of the old thread reappears."""
        chain = filled_thread(saver)
        saver.delete_thread(chain.thread_id)
        again = Chain(saver, chain.thread_id)
        again.put({"text": large(1)}, id=chain.head["configurable"]["checkpoint_id"])
        assert values(saver.get_tuple(again.head)) == {"text": large(1)}
        assert writes(saver.get_tuple(again.head)) == []
        assert len(ids(saver.list(on(chain.thread_id, ns=None)))) == 1

    @pytest.mark.parametrize("first", ["put", "put_writes", "another run"])
    def test_delete_thread_a_run_under_way_puts_whole_checkpoints(
        self, reopened: Opener, first: str
    ) -> None:
        """While a run is active, another process deletes its thread. The run passes all values of
        a checkpoint to `put`, so none may be lost, whichever saver recreates the thread."""
        saver, other = reopened(), reopened()
        chain = Chain(saver)
        chain.put({"a": 1, "text": large(), "b": 1})
        saver.get_tuple(chain.head)
        other.delete_thread(chain.thread_id)
        if first == "put_writes":
            chain.write(("a", 2))
        elif first == "another run":
            Chain(other, chain.thread_id).put({"b": 2})
        for n in (2, 3):
            chain.put({"a": n})
            assert values(saver.get_tuple(chain.head)) == {"a": n, "text": large(), "b": 1}
