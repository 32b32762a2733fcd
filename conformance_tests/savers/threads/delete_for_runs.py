"""Clauses about delete_for_runs, which deletes what runs have stored and no others need."""

from __future__ import annotations

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint_id,
    ids,
    large,
    new_thread,
    on,
    values,
    writes,
)
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses, row_count


@clauses_of(Capability.DELETE_FOR_RUNS)
class DeleteForRunsClauses(SaverClauses):
    """Clauses of `delete_for_runs`."""

    def test_delete_for_runs_the_runs_checkpoints_and_writes_go(self, saver: Facade) -> None:
        """Checkpoints and writes of the run are deleted: it is rolled back."""
        chain = Chain(saver)
        kept = chain.put({"a": 1}, run_id="kept")
        chain.write(("a", "kept"))
        gone = [chain.put({"a": n}, run_id="gone") for n in (2, 3)]
        chain.write(("a", "gone"))
        saver.delete_for_runs(["gone"])
        assert [saver.get_tuple(config) for config in gone] == [None, None]
        assert ids(saver.list(on(chain.thread_id))) == [checkpoint_id(kept)]
        assert values(saver.get_tuple(on(chain.thread_id))) == {"a": 1}
        assert writes(saver.get_tuple(kept)) == [("task-1", "a", "kept")]

    def test_delete_for_runs_across_threads_and_namespaces(self, saver: Facade) -> None:
        """The run's checkpoints are deleted in all threads and namespaces."""
        thread = new_thread()
        chains = [Chain(saver, thread), Chain(saver, thread, "sub:1"), Chain(saver)]
        kept = [checkpoint_id(chain.put({"a": 1}, run_id="one")) for chain in chains]
        for chain in chains:
            chain.put({"a": 2}, run_id="two")
            chain.put({"a": 3}, run_id="three")
        saver.delete_for_runs(["two", "three", "never was"])
        assert ids(saver.list(None)) == kept[::-1]

    def test_delete_for_runs_values_that_others_need_stay(self, saver: Facade) -> None:
        """Values that the run stored and later checkpoints of other runs need are kept."""
        chain = Chain(saver)
        chain.put({"a": 1, "text": large()}, run_id="gone")
        chain.put({"a": 2}, run_id="kept")
        chain.put({"text": large() + "more"}, run_id="kept")
        saver.delete_for_runs(["gone"])
        found = [values(each) for each in saver.list(on(chain.thread_id))]
        assert found == [{"a": 2, "text": large() + "more"}, {"a": 2, "text": large()}]

    def test_delete_for_runs_nothing_unreferenced_is_left(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Values, segments and writes that only the run's checkpoints needed are deleted."""
        chain = Chain(saver)
        chain.put({"a": large(1)}, run_id="one")
        rows = harness.rows()
        chain.put({"a": large(2), "b": large(3)}, run_id="two")
        chain.write(("a", large(4)))
        saver.delete_for_runs(["two"])
        assert harness.rows() == rows
        assert values(saver.get_tuple(on(chain.thread_id))) == {"a": large(1)}
        saver.delete_for_runs(["one"])
        assert row_count(harness) == 0, dict(harness.rows())

    def test_delete_for_runs_no_runs_and_unknown_runs(self, saver: Facade) -> None:
        """An empty list and unknown runs are no-ops: they do not mean all runs."""
        chain = Chain(saver)
        chain.put({"a": 1}, run_id="run")
        chain.put({"a": 2})
        for runs in ([], ["unknown"], [""], ["run "], ["Run"], ["None"]):
            saver.delete_for_runs(runs)
        assert len(ids(saver.list(on(chain.thread_id)))) == 2

    def test_delete_for_runs_one_id_is_no_list_of_ids(self, saver: Facade) -> None:
        """A string instead of a list is rejected, since each of its letters might be a run."""
        chain = Chain(saver)
        for run in ("abc", "a", "b", "c"):
            chain.put({"run": run}, run_id=run)
        with pytest.raises((TypeError, ValueError)):
            saver.delete_for_runs("abc")
        assert len(ids(saver.list(on(chain.thread_id)))) == 4

    def test_delete_for_runs_twice(self, saver: Facade) -> None:
        """A retried deletion is idempotent, not an error."""
        chain = Chain(saver)
        chain.put({"a": 1}, run_id="kept")
        chain.put({"a": 2}, run_id="gone")
        for _ in range(2):
            saver.delete_for_runs(["gone", "gone"])
        assert values(saver.get_tuple(on(chain.thread_id))) == {"a": 1}

    def test_delete_for_runs_put_again_moves_a_checkpoint_to_its_new_run(
        self, saver: Facade
    ) -> None:
        """A checkpoint belongs to the run of its last put."""
        chain = Chain(saver)
        first = chain.put({"a": 1}, run_id="old")
        again = Chain(saver, chain.thread_id)
        again.put({"a": 2}, id=checkpoint_id(first), run_id="new")
        saver.delete_for_runs(["old"])
        assert values(saver.get_tuple(first)) == {"a": 2}
        saver.delete_for_runs(["new"])
        assert saver.get_tuple(first) is None

    def test_delete_for_runs_many_runs(self, saver: Facade) -> None:
        """More runs can be deleted at once than a statement has parameters."""
        chain = Chain(saver)
        chain.put({"a": 1}, run_id="run 0")
        kept = chain.put({"a": 2}, run_id="run -1")
        saver.delete_for_runs([f"run {n}" for n in range(5000)])
        assert ids(saver.list(on(chain.thread_id))) == [checkpoint_id(kept)]

    @pytest.mark.parametrize("whole", [True, False])
    def test_delete_for_runs_of_the_parent_of_a_run_under_way(
        self, reopened: Opener, whole: bool
    ) -> None:
        """While a run is active, its parent's run is deleted, with the values that the active run
        has not changed: the checkpoints that it puts are whole."""
        saver, other = reopened(), reopened()
        chain = Chain(saver)
        if not whole:
            Chain(saver, chain.thread_id, "sub:1").put({"a": 1}, run_id="kept")
        chain.put({"a": 1, "text": large(), "b": 1}, run_id="gone")
        saver.get_tuple(chain.head)
        other.delete_for_runs(["gone"])
        chain.write(("a", 2))
        for n in (2, 3):
            chain.put({"a": n}, run_id="kept")
            assert values(saver.get_tuple(chain.head)) == {"a": n, "text": large(), "b": 1}
