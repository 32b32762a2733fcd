"""Clauses about retention policies, which `prune` applies to all threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.base.id import UUID
from langgraph.checkpoint.serde.types import INTERRUPT, TASKS
from langgraph.types import Interrupt, Send

from checkpoint_base.saver.ttl.retention import Retention
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint_id,
    ids,
    large,
    new_id,
    new_thread,
    on,
    the,
    values,
    writes,
)
from conformance_tests.samples.compare import assert_same, plain
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER, Facade
from conformance_tests.savers.base import Opener, SaverClauses, rows_if_seen
from conformance_tests.savers.threads.prune import DeltaThread

DAY = 86_400.0
MANY = 430
"""More checkpoints than a backend may remove in one step."""


def chain_of(
    saver: Facade, count: int, thread: str | None = None, ns: str = "", **extra: Any
) -> Chain:
    """A chain of checkpoints, each with a large value and a write."""
    chain = Chain(saver, thread, ns)
    for n in range(count):
        chain.put({"n": n, "text": [large(n, 4_000)]}, **extra)
        chain.write(("n", f"{ns} {n}"))
    return chain


def stored(saver: Facade, thread: str, ns: str | None = None) -> dict[str, Any]:
    """All checkpoints of a thread by id, as they can be compared."""
    return {found.checkpoint["id"]: plain(found) for found in saver.list(on(thread, ns=ns))}


def listed(saver: Facade, thread: str) -> list[CheckpointTuple]:
    """All checkpoints of a thread."""
    return list(saver.list(on(thread, ns=None)))


def newest(before: dict[str, Any], count: int) -> dict[str, Any]:
    """The newest of these checkpoints."""
    return {name: before[name] for name in sorted(before)[-count:]}


def id_at(seconds: float) -> str:
    """A checkpoint id as LangGraph makes them at this time, in epoch seconds."""
    ticks = int(seconds * 10_000_000) + 0x01B21DD213814000
    high, low = ticks >> 12, ticks & 0xFFF
    return str(UUID(int=high << 80 | 6 << 76 | low << 64 | 2 << 62 | 1))


def time_of(saver: Facade, thread: str) -> float:
    """When a thread was last written, in epoch seconds."""
    (info,) = saver.list_threads(prefix=thread).threads
    return float(info.updated_at.timestamp())


def question(chain: Chain) -> None:
    """Store an interrupt that waits for an answer."""
    chain.write((INTERRUPT, [Interrupt(value="go on?", id="1")]), task="asks")


@clauses_of(Capability.RETENTION)
class RetentionClauses(SaverClauses):
    """Clauses of `prune` with a policy."""

    def test_retention_keep_last_keeps_the_newest_of_each_namespace(self, saver: Facade) -> None:
        """`keep_last` counts in each namespace: a subgraph with memory keeps as many checkpoints
        as the root, and a kept checkpoint keeps its values, metadata and writes."""
        thread, kept = new_thread(), {}
        for ns in ("", "sub:1", "sub:1|deep:2"):
            chain_of(saver, 6, thread, ns)
            kept[ns] = newest(stored(saver, thread, ns), 2)
        report = saver.retain(Retention(keep_last=2))
        for ns, before in kept.items():
            assert_same(before, stored(saver, thread, ns), f"namespace {ns!r}")
        assert (report.threads_pruned, report.checkpoints_removed) == (1, 12)

    def test_retention_namespaces_root_spares_subgraphs(self, saver: Facade) -> None:
        """With `namespaces="root"` only the history of the root graph is limited."""
        thread = new_thread()
        chain_of(saver, 4, thread)
        chain_of(saver, 4, thread, "sub:1")
        root, sub = stored(saver, thread, ""), stored(saver, thread, "sub:1")
        saver.retain(Retention(keep_last=1, namespaces="root"))
        assert_same(newest(root, 1), stored(saver, thread, ""), "the root")
        assert_same(sub, stored(saver, thread, "sub:1"), "the subgraph")

    def test_retention_calls_go_with_their_root_checkpoints(self, saver: Facade) -> None:
        """Each call of a subgraph without memory has a namespace of its own, with the id of its
        task. It goes with the root checkpoint that has made the call, or their number would grow
        for ever. The namespace of a subgraph with memory stays."""
        thread = new_thread()
        root, memory = Chain(saver, thread), Chain(saver, thread, "memory")
        memory.put({"n": 0})
        for n in range(6):
            root.put({"n": n})
            for ns in (f"sub:{n}", f"sub:{n}|deep"):
                chain_of(saver, 2, thread, ns)
        question(root)
        saver.retain(Retention(keep_last=2))
        left = {found.config["configurable"]["checkpoint_ns"] for found in listed(saver, thread)}
        assert left == {"", "memory", "sub:4", "sub:4|deep", "sub:5", "sub:5|deep"}
        assert len(listed(saver, thread)) == 2 + 1 + 4 * 2
        saver.retain(Retention(keep_last=1, namespaces="root"))
        assert len(listed(saver, thread)) == 1 + 1 + 4 * 2

    def test_retention_max_age_is_the_age_of_each_checkpoint(self, saver: Facade) -> None:
        """`max_age` removes checkpoints by the time in their ids. The newest stays, however old
        it is, and a checkpoint whose id has no time is not old."""
        chain = Chain(saver)
        chain.put({"n": 0})
        now = time_of(saver, chain.thread_id)
        aged = Chain(saver)
        for days in (40, 31, 29, 1):
            aged.put({"n": days, "text": large(days)}, id=id_at(now - days * DAY))
        before = stored(saver, aged.thread_id)
        old = Chain(saver)
        for days in (50, 40):
            old.put({"n": days}, id=id_at(now - days * DAY))
        named = Chain(saver)
        for name in ("00001", "00002"):
            named.put({"n": name}, id=name)
        saver.retain(Retention(max_age="30d"))
        assert_same(newest(before, 2), stored(saver, aged.thread_id), "history")
        assert ids(saver.list(on(old.thread_id))) == [checkpoint_id(old.head)]
        assert ids(saver.list(on(named.thread_id))) == ["00002", "00001"]

    def test_retention_each_limit_applies_by_itself(self, saver: Facade) -> None:
        """With two limits a checkpoint stays only if both let it stay."""
        chain = Chain(saver)
        chain.put({"n": 0})
        now = time_of(saver, chain.thread_id)
        aged = Chain(saver)
        for days in (40, 3, 2, 1):
            aged.put({"n": days}, id=id_at(now - days * DAY))
        before = stored(saver, aged.thread_id)
        saver.retain(Retention(keep_last=4, max_age=timedelta(days=2.5)))
        assert_same(newest(before, 2), stored(saver, aged.thread_id), "by age")
        saver.retain(Retention(keep_last=1, max_age="30d"))
        assert_same(newest(before, 1), stored(saver, aged.thread_id), "by number")

    def test_retention_idle_threads_are_deleted_whole(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """A thread whose last write is longer ago than `idle` is deleted with everything that
        belongs to it; one that was written since keeps its whole history."""
        idle = chain_of(saver, 3)
        chain_of(saver, 2, idle.thread_id, "sub:1")
        active = chain_of(saver, 1)
        harness.advance(2 * DAY)
        active.put({"n": 2})
        report = saver.retain(Retention(idle="1d"))
        assert list(saver.list(on(idle.thread_id, ns=None))) == []
        assert len(ids(saver.list(on(active.thread_id)))) == 2
        assert [info.thread_id for info in saver.list_threads().threads] == [active.thread_id]
        assert (report.threads_removed, report.checkpoints_removed) == (1, 5)
        assert report.bytes_after == 0
        saver.delete_thread(active.thread_id)
        assert sum(rows_if_seen(harness).values()) == 0

    def test_retention_idle_thread_that_waits_for_an_answer_stays(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """An idle thread with a pending interrupt loses its history, but keeps its newest
        checkpoint and the question: a person may answer after a holiday."""
        asking = chain_of(saver, 3)
        question(asking)
        sub = chain_of(saver, 2, asking.thread_id, "sub:1")
        before = {ns: the(saver.get_tuple(on(asking.thread_id, ns))) for ns in ("", "sub:1")}
        harness.advance(2 * DAY)
        report = saver.retain(Retention(idle="1d"))
        assert (report.threads_removed, report.checkpoints_removed) == (0, 3)
        for ns, found in before.items():
            after = the(saver.get_tuple(on(asking.thread_id, ns)))
            assert_same(plain(found), plain(after), f"namespace {ns!r}")
        assert len(ids(saver.list(on(asking.thread_id, ns=None)))) == 2
        assert checkpoint_id(sub.head) == before["sub:1"].checkpoint["id"]

    def test_retention_history_of_a_thread_that_waits_is_limited(self, saver: Facade) -> None:
        """A pending interrupt does not spare the older checkpoints of a thread."""
        asking = chain_of(saver, 4)
        question(asking)
        before = plain(the(saver.get_tuple(asking.head)))
        saver.retain(Retention(keep_last=1))
        assert ids(saver.list(on(asking.thread_id))) == [checkpoint_id(asking.head)]
        assert_same(before, plain(the(saver.get_tuple(asking.head))), "the newest checkpoint")

    def test_retention_where_is_about_the_newest_root_checkpoint(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """`where` compares the metadata of a thread's newest root checkpoint: a user who pays
        since the last step is spared, whatever older checkpoints and subgraphs say."""
        free, paying, changed = (Chain(saver) for _ in range(3))
        for n in range(3):
            free.put({"n": n}, user_tier="free")
            paying.put({"n": n}, user_tier="paid")
            changed.put({"n": n}, user_tier="paid" if n == 2 else "free")
        chain_of(saver, 2, changed.thread_id, "sub:1", user_tier="free")
        rootless = chain_of(saver, 2, ns="sub:1", user_tier="free")
        policy = Retention(keep_last=1, where={"user_tier": "free"})
        saver.retain(policy)
        left = [len(stored(saver, each.thread_id)) for each in (free, paying, changed, rootless)]
        assert left == [1, 3, 5, 2]
        harness.advance(2 * DAY)
        saver.retain(replace(policy, idle="1d"))
        left = [len(stored(saver, each.thread_id)) for each in (free, paying, changed, rootless)]
        assert left == [0, 3, 5, 2]

    def test_retention_dry_run_counts_and_removes_nothing(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """A dry run reports the same numbers as the run after it, and changes nothing."""
        idle = chain_of(saver, 3)
        harness.advance(2 * DAY)
        pruned, untouched = chain_of(saver, 5), chain_of(saver, 2)
        rows, policy = rows_if_seen(harness), Retention(keep_last=2, idle="1d")
        before = {chain.thread_id: stored(saver, chain.thread_id) for chain in (idle, pruned)}
        counted = saver.retain(policy, dry_run=True)
        assert rows_if_seen(harness) == rows
        for thread, history in before.items():
            assert_same(history, stored(saver, thread), f"thread {thread}")
        assert (counted.dry_run, counted.bytes_after) == (True, None)
        done = saver.retain(policy)
        assert replace(counted, dry_run=False, bytes_after=done.bytes_after) == done
        assert (done.threads, done.threads_removed, done.threads_pruned) == (3, 1, 1)
        assert done.checkpoints_removed == 6
        assert len(stored(saver, untouched.thread_id)) == 2

    def test_retention_report_has_the_bytes_of_changed_threads(self, saver: Facade) -> None:
        """`bytes_before` and `bytes_after` are what `stats` says about the threads that were
        pruned, not about others."""
        pruned = chain_of(saver, 5)
        chain_of(saver, 1)
        before = saver.stats(pruned.thread_id)["bytes"]
        report = saver.retain(Retention(keep_last=1))
        after = saver.stats(pruned.thread_id)["bytes"]
        assert (report.bytes_before, report.bytes_after) == (before, after)
        assert after < before

    def test_retention_leaves_nothing_unreferenced(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Values, segments and writes that only removed checkpoints needed are deleted; a run
        continues from the kept checkpoints with the values that they share."""
        chain = Chain(saver)
        chain.put({"same": large(9), "old": large(8)})
        for n in range(1, 6):
            chain.put({"n": n, "grown": [large(i) for i in range(n)]}, drop=["old"])
            chain.write(("n", large(n)))
        before = stored(saver, chain.thread_id)
        saver.retain(Retention(keep_last=1))
        rows = harness.rows()
        assert_same(newest(before, 1), stored(saver, chain.thread_id), "the newest checkpoint")
        assert rows["checkpoints"] == rows["writes"] == 1
        assert rows["values"] <= 3  # small values may be embedded in the checkpoint's row
        saver.prune([chain.thread_id])
        assert harness.rows() == rows
        chain.put({"grown": [large(i) for i in range(7)]})
        found = values(saver.get_tuple(chain.head))
        assert found["same"] == large(9)
        assert found["grown"] == [large(i) for i in range(7)]

    def test_retention_of_a_long_thread(self, saver: Facade, harness: SaverHarness) -> None:
        """A thread with more checkpoints than one step removes is pruned completely."""
        chain = Chain(saver)
        for n in range(MANY):
            chain.put({"n": n, "text": [large(n, 2_500)] if n % 10 == 0 else "short"})
        before = stored(saver, chain.thread_id)
        report = saver.retain(Retention(keep_last=3))
        assert report.checkpoints_removed == MANY - 3
        assert_same(newest(before, 3), stored(saver, chain.thread_id), "history")
        rows = harness.rows()
        saver.prune([chain.thread_id])
        assert harness.rows()["values"] <= rows["values"] <= 6

    def test_retention_twice_changes_nothing(self, saver: Facade, harness: SaverHarness) -> None:
        """A policy that was applied has nothing left to do."""
        chain_of(saver, 5)
        saver.retain(Retention(keep_last=2))
        rows = harness.rows()
        report = saver.retain(Retention(keep_last=2))
        assert (report.threads, report.threads_pruned, report.checkpoints_removed) == (1, 0, 0)
        assert (report.bytes_before, report.bytes_after) == (0, 0)
        assert harness.rows() == rows

    def test_retention_ancestors_of_delta_channels_stay(self, saver: Facade) -> None:
        """Each kept checkpoint keeps the ancestors from which its DeltaChannels are rebuilt, back
        to the last snapshot; older ones go."""
        thread = DeltaThread(saver, "log")
        for n in range(3):
            thread.step(log=n)
        thread.step("log", log=3)
        for n in range(4, 8):
            thread.step(log=n)
        name = thread.chain.thread_id
        heads = [on(name, "", each) for each in ids(saver.list(on(name)))[:2]]
        before = [rebuilt(saver, head) for head in heads]
        saver.retain(Retention(keep_last=2))
        assert [rebuilt(saver, head) for head in heads] == before
        assert before[0] == ["snapshot", 4, 5, 6, 7]
        assert len(ids(saver.list(on(name)))) == 5

    def test_retention_branches_keep_what_they_need(self, saver: Facade) -> None:
        """The kept checkpoints of every branch of a thread are rebuilt as before, also those that
        share ancestors with a branch that is removed."""
        thread = DeltaThread(saver, "log")
        for n in range(2):
            thread.step(log=n)
        gone, kept = thread.fork(), thread.fork()
        gone.step(log="gone")
        thread.step(log=2)
        kept.step(log="kept 1")
        kept.step(log="kept 2")
        thread.step(log=3)
        name = thread.chain.thread_id
        heads = [thread.chain.head, kept.chain.head]
        before = [rebuilt(saver, head) for head in heads]
        saver.retain(Retention(keep_last=2))
        assert [rebuilt(saver, head) for head in heads] == before
        assert [(path[0], path[-1]) for path in before] == [(0, 3), (0, "kept 2")]
        assert saver.get_tuple(gone.chain.head) is None
        assert len(ids(saver.list(on(name)))) == 7

    def test_retention_pending_sends_of_an_old_checkpoint_survive(self, saver: Facade) -> None:
        """A kept checkpoint in an old format keeps its parent, which has its pending sends."""
        chain = Chain(saver)
        chain.put({"a": 0}, v=3)
        chain.put({"a": 1}, v=3)
        chain.write((TASKS, Send("node", 1)))
        chain.put({"a": 2}, v=3)
        before = values(saver.get_tuple(chain.head))
        assert before[TASKS] == [Send("node", 1)]
        saver.retain(Retention(keep_last=1))
        assert values(saver.get_tuple(on(chain.thread_id))) == before
        assert len(ids(saver.list(on(chain.thread_id)))) == 2

    def test_retention_writes_of_a_checkpoint_to_come_survive(self, saver: Facade) -> None:
        """Writes whose checkpoint does not exist yet are kept: an active run may have stored
        them."""
        chain = chain_of(saver, 4)
        coming = new_id()
        early = on(chain.thread_id, "", coming)
        saver.put_writes(early, [("n", "early")], "task")
        saver.retain(Retention(keep_last=1))
        chain.put({"n": 3}, id=coming)
        assert writes(saver.get_tuple(early)) == [("task", "n", "early")]

    def test_retention_beside_writers(self, reopened: Opener) -> None:
        """While runs go on and fork, a policy is applied again and again. Each checkpoint that is
        listed can be read whole, and no run loses its newest checkpoint."""
        pruner, writer = reopened(), reopened()
        chain = Chain(writer)
        chain.put({"n": 0, "text": [large(0)]})

        def run() -> None:
            for n in range(1, 60):
                if n % 7 == 0:
                    branch = chain.fork()
                    branch.put({"n": -n, "text": [large(n)]})
                chain.put({"n": n, "text": [large(i) for i in range(n % 5)]})
                chain.write(("n", large(n, 3_000)))

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run)
            while not running.done():
                pruner.retain(Retention(keep_last=3))
                for found in pruner.list(on(chain.thread_id)):
                    check_whole(found)
            running.result(GIVE_UP_AFTER)
        pruner.retain(Retention(keep_last=3))
        left = list(pruner.list(on(chain.thread_id)))
        for found in left:
            check_whole(found)
        assert len(left) == 3
        assert left[0].checkpoint["id"] == checkpoint_id(chain.head)


def rebuilt(saver: Facade, head: Any) -> list[Any]:
    """The value of the delta channel `log` at a checkpoint."""
    history = saver.get_delta_channel_history(config=head, channels=["log"])["log"]
    found = values(saver.get_tuple(head))
    if "log" in found:
        return ["snapshot"]
    seed = ["snapshot"] if "seed" in history else []
    return [*seed, *(value for _, _, value in history["writes"])]


def check_whole(found: CheckpointTuple) -> None:
    """Assert that a checkpoint of `test_retention_beside_writers` has all of its values."""
    n = values(found)["n"]
    expected = [large(-n)] if n < 0 else [large(i) for i in range(n % 5)]
    assert values(found)["text"] == (expected if n else [large(0)]), f"checkpoint {n}"
