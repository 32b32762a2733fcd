"""Clauses about prune, which deletes history but not the state that a run continues from."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import RESUME, TASKS
from langgraph.types import Send

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    checkpoint_id,
    ids,
    large,
    metadata,
    new_id,
    new_thread,
    new_versions,
    on,
    the,
    values,
    writes,
)
from conformance_tests.samples.compare import assert_same, plain
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses, rows_if_seen
from conformance_tests.savers.threads.delete_thread import filled_thread


class DeltaThread:
    """Puts a thread with delta channels, as LangGraph's loop does.

    A delta channel has a version at each checkpoint, but a stored value only at snapshots. The
    metadata `counters_since_delta_snapshot` names the channels without one.
    """

    def __init__(self, saver: Facade, *channels: str) -> None:
        self.saver = saver
        self.channels = channels
        self.counts: dict[str, tuple[int, int]] = {}
        self.chain = Chain(saver)
        self.chain.put({})

    def step(self, *snapshots: str, **written: Any) -> None:
        """Put writes of these channels, then a checkpoint with snapshots of the named channels."""
        self.chain.write(*written.items(), task=f"task {new_id()}")
        for name in self.channels:
            updates, steps = self.counts.get(name, (0, 0))
            self.counts[name] = (updates + (name in written), steps + 1)
        self.counts.update(dict.fromkeys(snapshots, (0, 0)))
        told = {name: count for name, count in self.counts.items() if count != (0, 0)}
        extra: dict[str, Any] = {"counters_since_delta_snapshot": told} if told else {}
        rest = [name for name in self.channels if name not in snapshots]
        changed = {name: f"snapshot {self.chain.step}" + large() for name in snapshots}
        self.chain.put({**changed, "step": self.chain.step}, empty=rest, **extra)

    def state(self) -> dict[str, Any]:
        """The data from which LangGraph rebuilds each channel: its value, or else its history."""
        names = list(self.channels)
        stored = values(self.saver.get_tuple(self.chain.head))
        history = self.saver.get_delta_channel_history(config=self.chain.head, channels=names)
        return {name: stored.get(name, history[name]) for name in names}

    def replayed(self, name: str) -> list[Any]:
        """The writes from which a channel is rebuilt."""
        return [value for _, _, value in self.state()[name]["writes"]]

    def fork(self) -> DeltaThread:
        """Another branch from the newest checkpoint."""
        other = copy.copy(self)
        other.chain, other.counts = self.chain.fork(), dict(self.counts)
        return other


@clauses_of(Capability.PRUNE)
class PruneClauses(SaverClauses):
    """Clauses of `prune`."""

    def test_prune_keep_latest_keeps_the_newest_of_each_namespace(self, saver: Facade) -> None:
        """The newest checkpoint of each namespace is kept: a subgraph with memory continues from
        its own."""
        thread, kept = new_thread(), {}
        for ns in ("", "sub:1", "sub:2|deep:1"):
            chain = Chain(saver, thread, ns)
            for n in range(4):
                chain.put({"n": n, "same": ns + large()})
                chain.write(("n", f"{ns} {n}"))
            kept[ns] = the(saver.get_tuple(chain.head))
        saver.prune([thread], strategy="keep_latest")
        assert len(ids(saver.list(on(thread, ns=None)))) == 3
        for ns, before in kept.items():
            found = the(saver.get_tuple(on(thread, ns)))
            assert found.checkpoint == before.checkpoint
            assert found.metadata == before.metadata
            assert found.pending_writes == before.pending_writes

    def test_prune_keep_latest_is_the_default(self, saver: Facade) -> None:
        """The default strategy is `keep_latest`: `prune(ids)` must not delete threads."""
        chain = filled_thread(saver)
        saver.prune([chain.thread_id])
        assert len(ids(saver.list(on(chain.thread_id, ns=None)))) == 2

    def test_prune_keep_latest_leaves_nothing_unreferenced(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Values that only deleted checkpoints needed are deleted; shared ones are kept."""
        chain = Chain(saver)
        chain.put({"n": 0, "same": large(9), "old": large(8)})
        for n in range(1, 6):
            chain.put({"n": n, "grown": [large(i) for i in range(n)]}, drop=["old"])
            chain.write(("n", large(n)))
        before = values(saver.get_tuple(chain.head))
        saver.prune([chain.thread_id])
        rows = harness.rows()
        assert values(saver.get_tuple(chain.head)) == before
        assert rows["checkpoints"] == 1
        assert rows["values"] <= 3  # small values may be embedded in the checkpoint's row
        assert rows["writes"] == 1
        again = Chain(saver, chain.thread_id)
        again.put({"grown": [large(i) for i in range(7)]})
        assert values(saver.get_tuple(again.head)) == {"grown": [large(i) for i in range(7)]}

    def test_prune_keep_latest_collects_what_puts_over_a_checkpoint_left(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """If a checkpoint was put again, a prune deletes the replaced values and their segments."""
        chain = Chain(saver)
        stored = chain.put({"a": large(1, 60_000)})
        rows = harness.rows()
        for n in range(2, 5):
            body = checkpoint({"a": large(n, 60_000)}, id=stored["configurable"]["checkpoint_id"])
            saver.put(on(chain.thread_id), body, metadata(), new_versions(body))
        saver.prune([chain.thread_id])
        assert values(saver.get_tuple(stored)) == {"a": large(4, 60_000)}
        assert harness.rows() == rows

    def test_prune_keep_latest_collects_what_writes_replaced(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """If a special write was replaced several times, a prune leaves only the last one."""
        chain = Chain(saver)
        chain.put({"a": 1})
        chain.write((RESUME, large(1, 40_000)))
        rows = harness.rows()
        for n in range(2, 5):
            chain.write((RESUME, large(n, 40_000)))
        saver.prune([chain.thread_id])
        assert writes(saver.get_tuple(chain.head)) == [("task-1", RESUME, large(4, 40_000))]
        assert harness.rows() == rows

    def test_prune_delete_removes_the_threads(self, saver: Facade, harness: SaverHarness) -> None:
        """Strategy "delete" deletes the named threads whole, and no others."""
        kept = filled_thread(saver)
        rows = rows_if_seen(harness)
        gone = [filled_thread(saver) for _ in range(3)]
        saver.prune([chain.thread_id for chain in gone], strategy="delete")
        assert rows_if_seen(harness) == rows
        assert [list(saver.list(on(chain.thread_id, ns=None))) for chain in gone] == [[], [], []]
        assert len(ids(saver.list(on(kept.thread_id, ns=None)))) == 4

    def test_prune_other_threads_stay(self, saver: Facade) -> None:
        """Threads that are not named are not pruned."""
        pruned, kept = filled_thread(saver, "thread-1"), filled_thread(saver, "thread-10")
        before = list(saver.list(on(kept.thread_id, ns=None)))
        saver.prune([pruned.thread_id])
        assert list(saver.list(on(kept.thread_id, ns=None))) == before

    @pytest.mark.parametrize("strategy", ["keep_latest", "delete"])
    def test_prune_nothing_to_prune(
        self, saver: Facade, harness: SaverHarness, strategy: str
    ) -> None:
        """Unknown ids, an empty list, and a repeated prune are no-ops."""
        chain = filled_thread(saver)
        rows, before = rows_if_seen(harness), ids(saver.list(on(chain.thread_id, ns=None)))
        saver.prune([], strategy=strategy)
        saver.prune([new_thread(), new_thread()], strategy=strategy)
        assert ids(saver.list(on(chain.thread_id, ns=None))) == before
        assert rows_if_seen(harness) == rows
        saver.prune([chain.thread_id, chain.thread_id], strategy=strategy)
        rows, before = rows_if_seen(harness), ids(saver.list(on(chain.thread_id, ns=None)))
        saver.prune([chain.thread_id], strategy=strategy)
        assert ids(saver.list(on(chain.thread_id, ns=None))) == before
        assert rows_if_seen(harness) == rows

    @pytest.mark.parametrize("strategy", ["", "all", "keep-latest", "DELETE"])
    def test_prune_unknown_strategy(self, saver: Facade, strategy: str) -> None:
        """An unknown strategy is rejected, and deletes nothing."""
        chain = filled_thread(saver)
        with pytest.raises(ValueError, match="strategy"):
            saver.prune([chain.thread_id], strategy=strategy)
        assert len(ids(saver.list(on(chain.thread_id, ns=None)))) == 4

    @pytest.mark.parametrize("strategy", ["keep_latest", "delete"])
    def test_prune_one_id_is_no_list_of_ids(self, saver: Facade, strategy: str) -> None:
        """A string instead of a list is rejected, since each of its letters might be a thread."""
        chains = [filled_thread(saver, thread) for thread in ("ann", "a", "n")]
        with pytest.raises((TypeError, ValueError)):
            saver.prune("ann", strategy=strategy)
        for chain in chains:
            assert len(ids(saver.list(on(chain.thread_id, ns=None)))) == 4

    def test_prune_forks_keep_the_newest_only(self, saver: Facade) -> None:
        """Only the checkpoint with the highest id is kept; other branches are history."""
        chain = Chain(saver)
        chain.put({"a": 0, "text": large()})
        branches = [chain.fork() for _ in range(3)]
        for n, branch in enumerate(branches):
            branch.put({"a": f"branch {n}"})
        saver.prune([chain.thread_id])
        assert ids(saver.list(on(chain.thread_id))) == [checkpoint_id(branches[-1].head)]
        assert values(saver.get_tuple(on(chain.thread_id))) == {"a": "branch 2", "text": large()}

    def test_prune_writes_of_a_checkpoint_to_come_survive(self, saver: Facade) -> None:
        """Writes whose checkpoint does not exist yet are kept: an active run may have stored
        them."""
        chain, coming = Chain(saver), None
        for n in range(3):
            chain.put({"n": n})
        coming = new_id()
        early = on(chain.thread_id, "", coming)
        saver.put_writes(early, [("n", "early")], "task")
        saver.put_writes(on(chain.thread_id, "sub:1", coming), [("n", "early")], "task")
        saver.prune([chain.thread_id])
        chain.put({"n": 3}, id=coming)
        assert writes(saver.get_tuple(early)) == [("task", "n", "early")]
        sub = Chain(saver, chain.thread_id, "sub:1")
        assert writes(saver.get_tuple(sub.put({"n": 0}, id=coming))) == [("task", "n", "early")]

    def test_prune_pending_sends_of_an_old_head_survive(self, saver: Facade) -> None:
        """The newest checkpoint reads the same after a prune, also in an old format that takes
        pending sends from its parent."""
        chain = Chain(saver)
        chain.put({"a": 0}, v=3)
        chain.put({"a": 1}, v=3)
        chain.write((TASKS, Send("node", 1)))
        chain.put({"a": 2}, v=3)
        before = values(saver.get_tuple(chain.head))
        assert before[TASKS] == [Send("node", 1)]
        saver.prune([chain.thread_id])
        assert values(saver.get_tuple(on(chain.thread_id))) == before

    def test_prune_of_the_parent_of_a_run_under_way(self, reopened: Opener) -> None:
        """A run continues from an old checkpoint, which is pruned meanwhile. The run passes all
        values to `put`, so its checkpoints are whole, although unchanged values were deleted."""
        saver, other = reopened(), reopened()
        chain = Chain(saver)
        chain.put({"a": 1, "text": large(), "b": 1})
        branch = chain.fork()
        chain.put({"a": 2, "text": large(2), "b": 2})
        saver.get_tuple(branch.head)
        other.prune([chain.thread_id])
        branch.write(("a", 3))
        for n in (3, 4):
            branch.put({"a": n})
            assert values(saver.get_tuple(branch.head)) == {"a": n, "text": large(), "b": 1}
        assert values(saver.get_tuple(chain.head)) == {"a": 2, "text": large(2), "b": 2}

    def test_prune_run_goes_on_after_pruning(self, saver: Facade) -> None:
        """After a prune, a run can continue from the kept checkpoint with its unchanged values."""
        chain = Chain(saver)
        for n in range(5):
            chain.put({"n": n, "text": large(n)})
        saver.prune([chain.thread_id])
        head = chain.head
        chain.put({"n": 5})
        assert values(saver.get_tuple(chain.head)) == {"n": 5, "text": large(4)}
        parent = the(saver.get_tuple(chain.head)).parent_config
        assert parent is not None
        assert checkpoint_id(parent) == checkpoint_id(head)


@clauses_of(Capability.PRUNE)
class PruneDeltaClauses(SaverClauses):
    """Clauses of `prune` for threads with a DeltaChannel, which is rebuilt from its history."""

    def test_prune_history_back_to_the_seed_stays(self, saver: Facade) -> None:
        """The history of a delta channel is kept back to its seed, so that it can be rebuilt;
        older history is deleted."""
        thread = DeltaThread(saver, "log")
        for n in range(4):
            thread.step(log=n)
        thread.step("log", log=4)
        for n in range(5, 9):
            thread.step(log=n)
        before, count = thread.state(), len(ids(saver.list(on(thread.chain.thread_id))))
        assert thread.replayed("log") == [5, 6, 7, 8]
        assert before["log"]["seed"].startswith("snapshot")
        saver.prune([thread.chain.thread_id])
        assert thread.state() == before
        assert count == 10
        assert len(ids(saver.list(on(thread.chain.thread_id)))) == 5

    def test_prune_history_without_a_seed_stays_whole(self, saver: Facade) -> None:
        """Without a snapshot, the history is kept back to the root."""
        thread = DeltaThread(saver, "log")
        for n in range(6):
            thread.step(log=n)
        before = thread.state()
        saver.prune([thread.chain.thread_id])
        assert thread.state() == before
        assert thread.replayed("log") == [0, 1, 2, 3, 4, 5]
        assert "seed" not in before["log"]

    def test_prune_each_channel_back_to_its_own_seed(self, saver: Facade) -> None:
        """The chain is kept back to the oldest seed of all channels."""
        thread = DeltaThread(saver, "a", "b", "c")
        thread.step(a=0, b=0, c=0)
        thread.step("a", a=1, b=1)
        thread.step("b", a=2, b=2, c=2)
        thread.step("c", b=3, c=3)
        thread.step(a=4, b=4)
        before = thread.state()
        saver.prune([thread.chain.thread_id])
        assert thread.state() == before
        assert len(ids(saver.list(on(thread.chain.thread_id)))) == 4
        thread.step(a=5, c=5)
        assert [thread.replayed(name) for name in "abc"] == [[2, 4, 5], [3, 4], [5]]

    def test_prune_snapshot_in_the_head_frees_the_rest(self, saver: Facade) -> None:
        """If the newest checkpoint has a snapshot, the history is deleted."""
        thread = DeltaThread(saver, "log")
        for n in range(4):
            thread.step(log=n)
        thread.step("log", log=4)
        before = thread.state()
        saver.prune([thread.chain.thread_id])
        assert ids(saver.list(on(thread.chain.thread_id))) == [checkpoint_id(thread.chain.head)]
        assert thread.state() == before

    def test_prune_other_branches_go(self, saver: Facade) -> None:
        """Other branches are deleted: only ancestors of the newest checkpoint are its history."""
        thread = DeltaThread(saver, "log")
        thread.step(log=0)
        thread.step(log=1)
        other = thread.fork()
        other.step(log="other 1")
        other.step(log="other 2")
        thread.step(log=2)
        thread.step(log=3)
        before = thread.state()
        saver.prune([thread.chain.thread_id])
        assert thread.state() == before
        kept = ids(saver.list(on(thread.chain.thread_id)))
        assert checkpoint_id(other.chain.head) not in kept
        assert len(kept) == 5

    def test_prune_values_of_mere_ancestors_stay_readable(self, saver: Facade) -> None:
        """An ancestor that is kept for its writes can still be read, with all its values."""
        thread = DeltaThread(saver, "log")
        for n in range(3):
            thread.step(log=n)
        before = [plain(found) for found in saver.list(on(thread.chain.thread_id))]
        saver.prune([thread.chain.thread_id])
        after = [plain(found) for found in saver.list(on(thread.chain.thread_id))]
        assert_same(before, after, "history")

    def test_prune_twice_and_going_on(self, saver: Facade, harness: SaverHarness) -> None:
        """Repeated prunes between runs do not change the rebuilt values."""
        thread, expected = DeltaThread(saver, "log"), []
        for n in range(10):
            snapshot = n % 4 == 3
            thread.step(*(["log"] if snapshot else []), log=n)
            before = thread.state()
            saver.prune([thread.chain.thread_id])
            rows = harness.rows()
            saver.prune([thread.chain.thread_id])
            assert harness.rows() == rows
            assert thread.state() == before
            expected.append("snapshot" if snapshot else thread.replayed("log"))
        assert expected == [
            *([0], [0, 1], [0, 1, 2], "snapshot"),
            *([4], [4, 5], [4, 5, 6], "snapshot"),
            *([8], [8, 9]),
        ]

    def test_prune_delete_removes_delta_threads_too(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Strategy "delete" deletes threads with delta channels whole, too."""
        thread = DeltaThread(saver, "log")
        for n in range(3):
            thread.step(log=n)
        saver.prune([thread.chain.thread_id], strategy="delete")
        assert list(saver.list(on(thread.chain.thread_id, ns=None))) == []
        assert sum(rows_if_seen(harness).values()) == 0
