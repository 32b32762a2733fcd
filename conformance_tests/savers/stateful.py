"""A Hypothesis state machine, which compares random sequences of calls with MemorySaver.

Two savers are open on the database under test; each call goes to one of them and to a MemorySaver.
At the end, all readable data is compared, everything is deleted, and no row may be left.
`CONFORMANCE_EXAMPLES` sets the number of sequences (default 30), which are the same in each run
unless `CONFORMANCE_RANDOM` is set. Failures are not shrunk, unless `CONFORMANCE_SHRINK` is set:
that can take minutes.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from checkpoint_base.memory.saver import MemorySaver
from checkpoint_base.saver.ttl.retention import Retention
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import checkpoint, large, metadata, on, version
from conformance_tests.samples.compare import assert_same, plain
from conformance_tests.samples.driver_adapter import Facade, Flavour, SyncFacade, opened
from conformance_tests.savers.base import SaverClauses, row_count

CHANNELS = ("a", "b", "log")
THREADS = st.sampled_from(["t1", "t2", "t3"])
NAMESPACES = st.sampled_from(["", "sub:1"])
RUNS = st.sampled_from(["r1", "r2", "r3"])
CHANGES = st.sampled_from(["copy", "keep_latest", "run", "reopen", "thread", "delete", "nothing"])
WHO = st.integers(0, 1)
POLICIES = st.builds(
    Retention,
    keep_last=st.integers(1, 4),
    namespaces=st.sampled_from(["all", "root"]),
    where=st.none() | st.builds(lambda run: {"run_id": run}, RUNS),
)
BACK = st.integers(0, 4)  # number of checkpoints back from the newest one

SMALL = st.none() | st.integers(-9, 9) | st.text("ab\0é", max_size=3)
LARGE = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(
    lambda parts: [large(part, 1500 + 400 * part) for part in parts]
)
VALUES = SMALL | LARGE
WRITES = st.lists(
    st.tuples(st.sampled_from([*CHANNELS, ERROR, INTERRUPT, RESUME]), VALUES), max_size=4
)


class Known(NamedTuple):
    """A checkpoint that was put earlier; it may have been deleted since."""

    id: str
    parent: str | None
    values: dict[str, Any]
    versions: dict[str, Any]


class SaverMachine(RuleBasedStateMachine):
    """Makes the same calls on the savers under test and on the reference."""

    def __init__(self, harness: SaverHarness, flavour: Flavour) -> None:
        super().__init__()
        self.harness = harness
        self.flavour: Flavour = flavour
        self.stack = ExitStack()
        self.savers: list[Facade] = []
        self.model: Facade = SyncFacade(MemorySaver())
        self.known: dict[tuple[str, str], list[Known]] = {}
        self.puts = 0
        self.open()

    def open(self) -> None:
        """Open both savers on the same database."""
        self.savers = [
            self.stack.enter_context(opened(self.harness, self.flavour)) for _ in range(2)
        ]

    def both(self, who: int, name: str, *args: Any, **kwargs: Any) -> None:
        """Make a call on a saver under test and on the reference; both or neither must fail."""
        outcomes = []
        for saver in (self.savers[who], self.model):
            try:
                saver.call(name, *args, **kwargs)
                outcomes.append("done")
            except ValueError as error:
                outcomes.append(type(error).__name__)
        assert outcomes[0] == outcomes[1], f"{name}: {outcomes[0]}, but model: {outcomes[1]}"

    # ------------------------------------------------------------------ rules

    @rule(
        who=WHO,
        thread=THREADS,
        ns=NAMESPACES,
        back=BACK,
        changed=st.dictionaries(st.sampled_from(CHANNELS), VALUES, max_size=2),
        empty=st.sets(st.sampled_from(CHANNELS), max_size=1),
        drop=st.sets(st.sampled_from(CHANNELS), max_size=1),
        run=RUNS,
        delta=st.booleans(),
    )
    def put(
        self,
        who: int,
        thread: str,
        ns: str,
        back: int,
        changed: dict[str, Any],
        empty: set[str],
        drop: set[str],
        run: str,
        delta: bool,
    ) -> None:
        """Put a child of the newest checkpoint, or of an earlier one as a fork."""
        there = self.known.setdefault((thread, ns), [])
        parent = there[-1 - back] if back < len(there) else None
        self.puts += 1
        changed = {name: value for name, value in changed.items() if name not in empty | drop}
        fresh = {name: version(self.puts) for name in [*changed, *sorted(empty - drop)]}
        values = {**(parent.values if parent else {}), **changed}
        versions = {**(parent.versions if parent else {}), **fresh}
        known = Known(
            f"{self.puts:08}",
            parent and parent.id,
            {name: value for name, value in values.items() if name not in empty | drop},
            {name: value for name, value in versions.items() if name not in drop},
        )
        there.append(known)
        extra = {"counters_since_delta_snapshot": {"log": [1, 1]}} if delta else {}
        self.store(who, thread, ns, known, fresh, run_id=run, **extra)

    @rule(
        who=WHO,
        thread=THREADS,
        ns=NAMESPACES,
        back=BACK,
        value=VALUES,
        run=RUNS,
        same=st.booleans(),
    )
    def put_again(
        self, who: int, thread: str, ns: str, back: int, value: Any, run: str, same: bool
    ) -> None:
        """Put an earlier checkpoint again, changed or not, perhaps with the same versions."""
        there = self.known.get((thread, ns), [])
        if back >= len(there):
            return
        known = there[-1 - back]
        name = "a"
        old = known.versions.get(name, version(1))
        fresh = {name: old if same else version(int(old[:32]) + 1)}
        again = known._replace(
            values={**known.values, name: value}, versions={**known.versions, **fresh}
        )
        there[-1 - back] = again
        self.store(who, thread, ns, again, fresh, run_id=run)

    def store(
        self, who: int, thread: str, ns: str, known: Known, fresh: dict[str, Any], **extra: Any
    ) -> None:
        """Put a checkpoint on both sides."""
        body = checkpoint(known.values, known.versions, id=known.id, ts="then")
        config = on(thread, ns, known.parent)
        self.both(who, "put", config, body, metadata(step=int(known.id), **extra), fresh)

    @rule(
        who=WHO,
        thread=THREADS,
        ns=NAMESPACES,
        back=st.integers(-1, 2),
        writes=WRITES,
        task=st.sampled_from(["task 1", "task 2"]),
        path=st.sampled_from(["", "~path"]),
    )
    def write(
        self, who: int, thread: str, ns: str, back: int, writes: Any, task: str, path: str
    ) -> None:
        """Put writes of a task, at times before their checkpoint exists."""
        there = self.known.get((thread, ns), [])
        early = f"{self.puts + 1:08}"
        name = early if back < 0 or back >= len(there) else there[-1 - back].id
        self.both(who, "put_writes", on(thread, ns, name), writes, task, path)

    @rule(thread=THREADS, ns=NAMESPACES, runs=st.lists(RUNS, min_size=2, max_size=5), value=LARGE)
    def steps(self, thread: str, ns: str, runs: list[str], value: list[str]) -> None:
        """Make a few super-steps as a graph does, alternating between the two savers."""
        for n, run in enumerate(runs):
            log = [("log", n), ("log", value)]
            self.write(n % 2, thread, ns, 0, log, "task 1", "~path")
            self.put(n % 2, thread, ns, 0, {"a": [*value, n]}, {"log"}, set(), run, delta=True)

    # A single rule, so that puts are more frequent than removals.
    @rule(who=WHO, what=CHANGES, thread=THREADS, other=THREADS, run=RUNS)
    def change(self, who: int, what: str, thread: str, other: str, run: str) -> None:
        """Copy, delete or prune threads, or reopen both savers."""
        if what == "copy":
            self.copy(who, thread, other)
        elif what == "thread":
            self.both(who, "delete_thread", thread)
        elif what == "run":
            self.both(who, "delete_for_runs", [run])
        elif what == "reopen":
            self.stack.close()
            self.open()
        elif what == "nothing":
            self.both(who, "delete_for_runs", [])
            self.both(who, "prune", [])
        else:
            self.both(who, "prune", [thread, other], strategy=what)

    @rule(who=WHO, policy=POLICIES, dry_run=st.sampled_from([False, False, True]))
    def retain(self, who: int, policy: Retention, dry_run: bool) -> None:
        """Apply a retention policy; both sides must report the same."""
        saver = self.savers[who]
        if saver.retains:
            expected, found = (each.retain(policy, dry_run=dry_run) for each in (self.model, saver))
            counts = ("threads", "threads_pruned", "checkpoints_removed", "unreadable")
            for name in counts:
                assert getattr(found, name) == getattr(expected, name), f"{found} != {expected}"

    def copy(self, who: int, source: str, to: str) -> None:
        """Copy a thread, if the target does not exist."""
        self.both(who, "copy_thread", source, to)
        if next(self.model.list(on(to, ns=None), limit=1), None) is not None:
            for ns in ("", "sub:1"):
                self.known.setdefault((to, ns), []).extend(self.known.get((source, ns), []))

    @rule(who=WHO)
    def look(self, who: int) -> None:
        """Compare all readable data, and the numbers of rows."""
        saver = self.savers[who]
        assert_same(everything(self.model), everything(saver), "everything")
        assert_same(threads(self.model), threads(saver), "threads")
        told, rows = self.model.stats(), self.harness.rows()
        for name in ("threads", "checkpoints", "writes"):
            assert rows[name] == told[name], f"{rows[name]} {name}, but model: {told[name]}"
        # may be fewer: the model keeps replaced values until a prune, and embeds no values
        assert rows["values"] <= told["values"], f"{rows['values']}, but model: {told['values']}"
        for thread, ns in {place[:2] for place in everything(self.model)}:
            for found, expected in zip(
                readings(saver, thread, ns), readings(self.model, thread, ns), strict=True
            ):
                assert_same(expected, found, f"thread {thread}, namespace {ns!r}")

    def teardown(self) -> None:
        """Compare, delete everything, and check that no row is left."""
        try:
            for who in (0, 1):
                self.look(who)
            self.both(0, "prune", ["t1", "t2", "t3"])
            self.look(1)
            for thread in ("t1", "t2", "t3"):
                self.savers[0].delete_thread(thread)
            assert row_count(self.harness) == 0, dict(self.harness.rows())
        finally:
            for thread in ("t1", "t2", "t3"):
                self.savers[1].delete_thread(thread)
            self.stack.close()


def everything(saver: Facade) -> dict[tuple[str, str, str], Any]:
    """All checkpoints by place, since the order of checkpoints with equal ids is undefined."""
    return {place(found): plain(found) for found in saver.list(None)}


def place(found: CheckpointTuple) -> tuple[str, str, str]:
    """The thread, the namespace and the id of a checkpoint."""
    named = plain(found)["config"]
    return named["thread_id"], named["checkpoint_ns"], named["checkpoint_id"]


def threads(saver: Facade) -> list[str]:
    """The ids of all threads."""
    return sorted(info.thread_id for info in saver.list_threads().threads)


def readings(saver: Facade, thread: str, ns: str) -> list[Any]:
    """What a run that continues in this namespace would read."""
    found = saver.get_tuple(on(thread, ns))
    history = saver.get_delta_channel_history(config=on(thread, ns), channels=list(CHANNELS))
    return [found and plain(found), {name: dict(entry) for name, entry in history.items()}]


@clauses_of(Capability.MODEL)
class ModelClauses(SaverClauses):
    """Clauses about sequences of calls."""

    def test_model_random_sequences_end_as_in_the_model(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """Random sequences of put, fork, put again, write, prune, prune by a policy, copy, delete,
        delete by run and reopen on two savers give the same results as MemorySaver, and leave no
        orphaned row."""
        budget = settings(
            max_examples=int(os.environ.get("CONFORMANCE_EXAMPLES", "30")),
            stateful_step_count=25,
            derandomize="CONFORMANCE_RANDOM" not in os.environ,
            phases=list(Phase) if "CONFORMANCE_SHRINK" in os.environ else [Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        machine: Any = lambda: SaverMachine(harness, flavour)  # noqa: E731 (their type is wrong)
        run_state_machine_as_test(machine, settings=budget)
