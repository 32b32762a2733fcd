"""Clauses about several processes on one database, as servers with worker processes have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import Chain, ids, on, values, writes
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER, Flavour, opened
from conformance_tests.samples.workers import processes
from conformance_tests.savers.base import SaverClauses, row_count
from conformance_tests.savers.faults.concurrency import assert_whole, told

PROCESSES = 4
SETUPS = 8
STEPS = 6

_start: dict[int, Any] = {}


def take_barriers(barriers: dict[int, Any]) -> None:
    """Initializer of each worker: barriers can be passed only when a process starts."""
    _start.update(barriers)


def put_and_read(kind: type[SaverHarness], at: str, flavour: Flavour, n: int) -> int:
    """In a worker: put to its own thread and to a shared one, and read them."""
    harness = kind.reopen(at)
    with opened(harness, flavour) as saver:
        _start[PROCESSES].wait(GIVE_UP_AFTER)
        own, shared = Chain(saver, f"own {n}"), Chain(saver, "shared")
        for step in range(STEPS):
            own.put(told(n, step))
            shared.put(told(n, step))
            shared.write(("a", [n, step]), task=f"task {n}")
            saver.put_writes(on("shared", "", "meeting"), [("who", n), (f"{n}", n)], f"task {n}")
            saver.put_writes(on("shared", "", "meeting"), [("first", n)], "contested")
            for thread in ("shared", f"own {(n + 1) % PROCESSES}"):
                if (found := saver.get_tuple(on(thread))) is not None:
                    assert_whole(values(found))
    return STEPS


def set_up_and_put(kind: type[SaverHarness], at: str, flavour: Flavour, n: int) -> int:
    """In a worker: set up the empty database at the same time as the others, and use it."""
    _start[SETUPS].wait(GIVE_UP_AFTER)
    with opened(kind.reopen(at), flavour) as saver:
        saver.setup()
        Chain(saver, f"own {n}").put(told(n, 0))
        assert_whole(values(saver.get_tuple(on(f"own {n}"))))
    return n


def delete_and_put(kind: type[SaverHarness], at: str, flavour: Flavour, n: int) -> int:
    """In a worker: put and delete the same threads as the others."""
    with opened(kind.reopen(at), flavour) as saver:
        _start[PROCESSES].wait(GIVE_UP_AFTER)
        for step in range(STEPS):
            thread = f"thread {(n + step) % 3}"
            chain = Chain(saver, thread)
            chain.put(told(0, step))
            chain.put({"more": told(0, step)["b"]})
            if step % 2:
                saver.delete_thread(thread)
            else:
                saver.prune([thread])
    return n


Work = Callable[[type[SaverHarness], str, Flavour, int], int]


@clauses_of(Capability.PROCESSES)
class ProcessClauses(SaverClauses):
    """Clauses about processes that reach the database by `harness.reopen(location)`."""

    @pytest.fixture(scope="class")
    @classmethod
    def workers(cls) -> Iterator[ProcessPoolExecutor]:
        """A pool of worker processes, for all clauses."""
        made = processes()
        barriers = {count: made.Barrier(count) for count in (PROCESSES, SETUPS)}
        with ProcessPoolExecutor(SETUPS, made, take_barriers, (barriers,)) as pool:
            yield pool

    @staticmethod
    def run(
        pool: ProcessPoolExecutor, count: int, work: Work, harness: SaverHarness, flavour: Flavour
    ) -> list[int]:
        """Run `work` in `count` processes at once."""
        place = type(harness), harness.location(), flavour
        jobs = [pool.submit(work, *place, n) for n in range(count)]
        return [job.result(GIVE_UP_AFTER) for job in jobs]

    def test_processes_four_processes_write(
        self, harness: SaverHarness, flavour: Flavour, workers: ProcessPoolExecutor
    ) -> None:
        """Four processes write to their own threads and to a shared one: nothing is lost or mixed
        up, and every checkpoint is whole."""
        with opened(harness, flavour) as saver:
            self.run(workers, PROCESSES, put_and_read, harness, flavour)
            for n in range(PROCESSES):
                found = [values(each) for each in saver.list(on(f"own {n}"))]
                assert found == [told(n, step) for step in range(STEPS - 1, -1, -1)]
            shared = list(saver.list(on("shared")))
            assert len(set(ids(shared))) == PROCESSES * STEPS
            for each in shared:
                assert_whole(values(each))
            assert [len(writes(each)) for each in shared] == [1] * len(shared)
            meeting = Chain(saver, "shared")
            got = writes(saver.get_tuple(meeting.put({}, id="meeting")))
            assert [each for each in got if each[0] != "contested"] == [
                (f"task {n}", channel, n) for n in range(PROCESSES) for channel in ("who", f"{n}")
            ]
            assert [channel for task, channel, _ in got if task == "contested"] == ["first"]

    def test_processes_eight_processes_set_up(
        self, harness: SaverHarness, flavour: Flavour, workers: ProcessPoolExecutor
    ) -> None:
        """A deployment starts eight workers at once on an empty database: all set it up safely."""
        done = self.run(workers, SETUPS, set_up_and_put, harness, flavour)
        assert sorted(done) == list(range(SETUPS))
        with opened(harness, flavour) as saver:
            assert len(ids(saver.list(None))) == SETUPS

    def test_processes_delete_what_others_put(
        self, harness: SaverHarness, flavour: Flavour, workers: ProcessPoolExecutor
    ) -> None:
        """Processes delete each other's threads: every checkpoint that is left is whole."""
        with opened(harness, flavour) as saver:
            self.run(workers, PROCESSES, delete_and_put, harness, flavour)
            for found in saver.list(None):
                state = values(found)
                if "a" in state:
                    assert_whole({name: state[name] for name in "abc"})
            for n in range(3):
                saver.delete_thread(f"thread {n}")
            assert row_count(harness) == 0, dict(harness.rows())

    def test_processes_another_process_sees_it_at_once(
        self, harness: SaverHarness, flavour: Flavour, workers: ProcessPoolExecutor
    ) -> None:
        """What one process stores, another reads at once: the next request may reach it."""
        with opened(harness, flavour) as saver:
            chain = Chain(saver, "own 0")
            chain.put(told(0, 0))
            chain.write(("a", "pending"))
            place = type(harness), harness.location(), flavour
            state, pending = workers.submit(read_all, *place, "own 0").result(GIVE_UP_AFTER)
            assert state == told(0, 0)
            assert pending == [("task-1", "a", "pending")]


def read_all(kind: type[SaverHarness], at: str, flavour: Flavour, thread: str) -> Any:
    """In a worker: read all checkpoints of a thread."""
    with opened(kind.reopen(at), flavour) as saver:
        found = saver.get_tuple(on(thread))
        return values(found), writes(found)
