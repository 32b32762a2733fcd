"""Clauses about several processes on one database, as servers with worker processes have."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from langgraph.store.base import PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER, Flavour
from conformance_tests.samples.workers import processes, run_and_kill
from conformance_tests.savers.faults.processes import _start as barriers
from conformance_tests.savers.faults.processes import take_barriers
from conformance_tests.stores.base import Numbers, StoreClauses, index_of, keys, scores, value_of
from conformance_tests.stores.facade import opened
from conformance_tests.stores.harness import StoreHarness

PROCESSES = 4
STEPS = 10


def put_and_search(kind: type[StoreHarness], at: str, flavour: Flavour, n: int) -> int:
    """In a worker: open the store at the same time as the others, put items, and search all."""
    barriers[PROCESSES].wait(GIVE_UP_AFTER)
    harness = kind.reopen(at)
    with opened(harness, flavour, index=index_of(harness, Numbers())) as store:
        for step in range(STEPS):
            text = f"{n + 1} {step} 0"
            store.put(("own", f"{n}"), f"{step}", {"text": text, "n": n})
            store.put(("shared",), "it", {"text": text, "all": [n, step]})
            found = store.search(("own", f"{n}"), query="1 0 0", limit=50)
            assert sorted(keys(found)) == [f"{number}" for number in range(step + 1)]
            assert len(keys(store.search(("shared",), query=text))) == 1
    return n


def put_one(kind: type[StoreHarness], at: str, flavour: Flavour, n: int) -> int:
    """In a worker: put, change and delete items that other processes may have cached."""
    harness = kind.reopen(at)
    with opened(harness, flavour, index=index_of(harness, Numbers())) as store:
        store.batch(
            [
                PutOp(("m",), f"new {n}", {"text": "0 1 0"}),
                PutOp(("m",), "changed", {"text": f"0 1 {n}"}),
                PutOp(("m",), f"{n}", None),
            ]
        )
    return n


def put_for_ever(kind: type[StoreHarness], at: str, flavour: Flavour) -> None:
    """In a process that is killed: repeat batches that change all items."""
    harness = kind.reopen(at)
    with opened(harness, flavour, index=index_of(harness, Numbers())) as store:
        for n in itertools.count(1):
            store.batch([PutOp(("m",), f"{key}", {"text": f"{n} 1 0", "n": n}) for key in range(9)])


Work = Callable[[type[StoreHarness], str, Flavour, int], int]


@clauses_of(Capability.STORE_PROCESSES)
class StoreProcessClauses(StoreClauses):
    """Clauses about processes that reach the database by `harness.reopen(location)`."""

    @pytest.fixture(scope="class")
    @classmethod
    def workers(cls) -> Iterator[ProcessPoolExecutor]:
        """A pool of worker processes, for all clauses."""
        made = processes()
        together = {PROCESSES: made.Barrier(PROCESSES)}
        with ProcessPoolExecutor(PROCESSES, made, take_barriers, (together,)) as pool:
            yield pool

    def test_processes_put_and_search(
        self, harness: StoreHarness, flavour: Flavour, workers: ProcessPoolExecutor
    ) -> None:
        """Processes set up the store at the same time and put items: nothing is lost or mixed
        up."""
        place = type(harness), harness.location(), flavour
        jobs = [workers.submit(put_and_search, *place, n) for n in range(PROCESSES)]
        assert [job.result(GIVE_UP_AFTER) for job in jobs] == list(range(PROCESSES))
        with opened(harness, flavour, index=index_of(harness, Numbers())) as store:
            assert len(store.search(("own",), query="1 1 0", limit=500)) == PROCESSES * STEPS
            assert value_of(store.get(("shared",), "it"))["all"][1] == STEPS - 1
            assert len(store.list_namespaces()) == PROCESSES + 1
        count = PROCESSES * STEPS + 1
        assert dict(harness.rows()) == {"items": count, "vectors": count}

    def test_processes_vectors_in_memory_follow(
        self, harness: StoreHarness, flavour: Flavour, workers: ProcessPoolExecutor
    ) -> None:
        """The next search sees what another process wrote, although vectors may be cached."""
        place = type(harness), harness.location(), flavour
        with opened(harness, flavour, index=index_of(harness, Numbers())) as store:
            store.batch([PutOp(("m",), f"{n}", {"text": f"1 0 {n}"}) for n in range(5)])
            store.put(("m",), "changed", {"text": "1 0 0"})
            for n in range(4):
                before = keys(store.search((), query="1 0 0", limit=50))
                assert f"{n}" in before
                workers.submit(put_one, *place, n).result(GIVE_UP_AFTER)
                after = keys(store.search((), query="0 1 0", limit=50))
                assert set(after) == (set(before) - {f"{n}"}) | {f"new {n}"}
                found = store.search((), query=f"0 1 {n}", limit=n + 2)
                assert "changed" in keys(found)

    def test_processes_one_that_is_killed_leaves_whole_batches(
        self, harness: StoreHarness, flavour: Flavour
    ) -> None:
        """If a worker is killed by SIGKILL, its batches are stored whole or not at all, and other
        processes continue."""
        place = type(harness), harness.location(), flavour
        with opened(harness, flavour, index=index_of(harness, Numbers())) as store:

            def wait(process: Any) -> None:
                give_up = time.monotonic() + GIVE_UP_AFTER
                while process.is_alive() and time.monotonic() < give_up:
                    found = store.get(("m",), "0")
                    if found is not None and found.value["n"] > 5:
                        return

            run_and_kill(put_for_ever, place, wait)
            harness.end_what_is_left()
            found = store.search(("m",), query="1 0 0", limit=50)
            numbers = {item.value["n"] for item in found}
            assert len(numbers) == 1
            n = numbers.pop()
            assert scores(found) == pytest.approx(
                {f"{key}": n / (n * n + 1) ** 0.5 for key in range(9)}, abs=1e-3
            )
            store.put(("m",), "0", {"text": "0 1 0"})
            assert keys(store.search(("m",), query="0 1 0", limit=1)) == ["0"]
        assert harness.rows() == {"items": 9, "vectors": 9}
