"""Several processes on one database, as servers with workers run it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from langgraph.store.base import PutOp

from conformance_tests.capabilities import Capability, clauses_of
from conformance_tests.facade import GIVE_UP_AFTER, Flavour
from conformance_tests.savers.processes import _start as barriers
from conformance_tests.savers.processes import take_barriers
from conformance_tests.stores.base import Numbers, StoreClauses, index_of, keys, value_of
from conformance_tests.stores.facade import opened
from conformance_tests.stores.harness import StoreHarness

PROCESSES = 4
STEPS = 10


def put_and_search(kind: type[StoreHarness], at: str, flavour: Flavour, n: int) -> int:
    """In a worker: open the store together with all others, fill it, search what all have put."""
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
    """In a worker: put an item, change one and delete one that others may have in memory."""
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


Work = Callable[[type[StoreHarness], str, Flavour, int], int]


@clauses_of(Capability.STORE_PROCESSES)
class StoreProcessClauses(StoreClauses):
    """Clauses about processes that reach the database by `harness.reopen(location)`."""

    @pytest.fixture(scope="class")
    @classmethod
    def workers(cls) -> Iterator[ProcessPoolExecutor]:
        """New processes, started once: importing LangGraph takes each of them a second."""
        spawn = multiprocessing.get_context("spawn")
        together = {PROCESSES: spawn.Barrier(PROCESSES)}
        with ProcessPoolExecutor(PROCESSES, spawn, take_barriers, (together,)) as pool:
            yield pool

    def test_processes_put_and_search(
        self, harness: StoreHarness, flavour: Flavour, workers: ProcessPoolExecutor
    ) -> None:
        """All set up at once; nothing is lost or mixed."""
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
        """What another process wrote counts in the very next search."""
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
