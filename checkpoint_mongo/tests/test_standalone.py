"""A standalone server has no transactions: marks on threads, and what those leave that died."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_mongo import MongoDBSaver
from checkpoint_mongo.planner import MongoPlanner
from checkpoint_mongo.requests import Pause, Write
from checkpoint_mongo.tests.harness import MongoHarness, short_lived
from conformance_tests.build import large, on, values


def test_setup_says_which_it_is(alone: MongoHarness, database: MongoHarness) -> None:
    with alone.open() as saver:
        assert saver.stats()["server"].endswith(", standalone")
    with database.open() as saver:
        assert saver.stats()["server"].endswith(", replica set")


@pytest.mark.parametrize("kept", range(1, 5))
def test_a_put_that_ends_anywhere_leaves_the_checkpoint_before(
    alone: MongoHarness, kept: int
) -> None:
    """What is left of a crash is removed by the next sweep."""
    with alone.open() as saver:
        saver.put(*arguments("t", 1, log=large(1)))
        before = dict(alone.rows())
        planner = short_lived(saver)
        put = planner.put(saver._codec, *arguments("t", 2, log=large(2), more=large(3)))
        _perform_first(saver, put, kept)
        assert steps_of(saver, "t") in ([1], [2, 1])
        assert (len(steps_of(saver, "t")) == 2) == (kept == 4)
        assert values(list(saver.list(on("t")))[-1])["log"] == large(1)
        saver.sweep_ttl()
        if kept < 4:
            assert alone.rows() == before
        assert "open_at" not in alone.records.find_one({"key": ""})
        saver.put(*arguments("t", 3, log=large(1) + large(2)))
        assert values(saver.get_tuple(on("t")))["log"] == large(1) + large(2)


def test_of_a_first_put_that_died_nothing_is_left_by_the_next_sweep(alone: MongoHarness) -> None:
    with alone.open() as saver:
        saver.put(*arguments("other", 1))
        before = dict(alone.rows())
        planner = short_lived(saver)
        first = _first_write(saver, planner.put(saver._codec, *arguments("t", 1, log=large(1))))
        saver._driver.perform(first._replace(ops=first.ops[:2]))
        assert alone.rows() != before
        saver.sweep_ttl()
        assert alone.rows() == before


def _perform_first(saver: MongoDBSaver, plan: Any, kept: int) -> None:
    """Drive a put, but send only the first of its changes."""
    request = _first_write(saver, plan)
    assert len(request.ops) == 5  # the thread, two segments, the checkpoint, the end
    saver._driver.perform(request._replace(ops=request.ops[:kept]))
    plan.close()


@pytest.mark.parametrize("healing", ["sweep", "put", "put_writes", "prune"])
def test_a_prune_that_died_is_not_waited_for_again(alone: MongoHarness, healing: str) -> None:
    """It held the thread, and reads wait for who does."""
    with alone.open() as saver:
        for step in (1, 2):
            saver.put(*arguments("t", step, log=large(1)))
        planner = short_lived(saver)
        saver._driver.perform(
            _first_write(saver, planner.prune(saver._codec, ["t"], "keep_latest"))
        )
        assert "held_at" in alone.records.find_one({"key": ""})
        head = on("t", "", f"{2:08}")
        if healing == "sweep":
            saver.sweep_ttl()
        elif healing == "put":
            saver.put(*arguments("t", 3, log=large(1)))
        elif healing == "put_writes":
            saver.put_writes(head, [("log", large(2))], "task")
        else:
            saver.prune(["t"])
        assert "held_at" not in alone.records.find_one({"key": ""})
        assert Pause not in _requests(saver, planner.get_tuple(saver._codec, head))
        assert steps_of(saver, "t") == {"put": [3, 2, 1], "prune": [2]}.get(healing, [2, 1])
        tag = alone.records.find_one({"key": ""}).get("tag")
        assert tag is None


def _first_write(saver: MongoDBSaver, plan: Any) -> Any:
    """Drive a plan up to its first change."""
    request = next(plan)
    while type(request) is not Write:
        request = plan.send(saver._driver.perform(request))
    return request


def _requests(saver: MongoDBSaver, plan: Any) -> list[type]:
    """Perform a plan; the kinds of what it asked for."""
    asked: list[type] = []
    with suppress(StopIteration):
        request = next(plan)
        while True:
            asked.append(type(request))
            request = plan.send(saver._driver.perform(request))
    return asked


def test_the_sweep_finds_a_hold_although_somebody_has_read_the_thread(alone: MongoHarness) -> None:
    with alone.open(ttl={"default_ttl": 1, "refresh_on_read": True}) as saver:
        saver.put(*arguments("t", 1, log=large(1)))
        planner = short_lived(saver)
        saver._driver.perform(
            _first_write(saver, planner.prune(saver._codec, ["t"], "keep_latest"))
        )
        saver.get_tuple(on("t"))
        saver.sweep_ttl()
        (thread,) = alone.records.find({"key": ""})
        assert "held_at" not in thread
        assert thread["tag"] == thread["expires_at"]


def test_a_put_shares_nothing_with_what_a_prune_that_died_may_have_removed(
    alone: MongoHarness,
) -> None:
    with alone.open() as saver:
        saver.put(*arguments("t", 1, log=large(1)))
        planner, known = short_lived(saver), saver._planner._logs.known
        saver._driver.perform(
            _first_write(saver, planner.prune(saver._codec, ["t"], "keep_latest"))
        )
        (thread,) = alone.records.find({"key": ""})
        segments = list(alone.records.find({"key": {"$gt": "s", "$lt": "t"}}))
        tables = [(one["start"], one["digests"]) for one in segments]
        known.put("t", thread["epoch"], thread["log_end"], tables)  # seen while it was held
        alone.records.delete_many({"key": {"$gt": "s", "$lt": "t"}})
        saver.put(*arguments("t", 2, log=large(1)))
        assert values(saver.get_tuple(on("t")))["log"] == large(1)
        assert "held_at" not in alone.records.find_one({"key": ""})


def test_a_copy_replaces_a_thread_that_has_expired(alone: MongoHarness) -> None:
    with alone.open(ttl={"default_ttl": 1}) as short, alone.open() as saver:
        short.put(*arguments("target", 1, log=large(1)))
        saver.put(*arguments("source", 2, log=large(2)))
        alone.advance(61)
        saver.copy_thread("source", "target")
        assert steps_of(saver, "target") == [2]


def test_a_thread_that_is_written_to_is_neither_deleted_nor_pruned(alone: MongoHarness) -> None:
    with alone.open() as saver:
        saver.put(*arguments("t", 1, log=large(1)))
        planner = saver._planner
        assert isinstance(planner, MongoPlanner)
        put = planner.put(saver._codec, *arguments("t", 2, log=large(2)))
        request = next(put)
        request = put.send(saver._driver.perform(request))
        saver._driver.perform(request._replace(ops=request.ops[:2]))
        with ThreadPoolExecutor(2) as threads:
            jobs = [threads.submit(saver.delete_thread, "t"), threads.submit(saver.prune, ["t"])]
            time.sleep(0.2)
            assert not [job.exception() for job in jobs if job.done()]
            saver._driver.perform(request._replace(ops=request.ops[2:]))
            for job in jobs:
                job.result(30)
        put.close()
        assert sum(alone.rows().values()) == 0


def test_32_threads_on_a_standalone_server(alone: MongoHarness) -> None:
    with alone.open() as saver:

        def work(n: int) -> None:
            for step in range(4):
                head = saver.put(*arguments(f"own {n}", step, log=large(n)))
                saver.put_writes(head, [("step", step)], "task")
                saver.put(*arguments("shared", n * 10 + step, log=large(n)))
                if n % 8 == 0:
                    saver.prune([f"own {n}"])

        with ThreadPoolExecutor(32) as threads:
            list(threads.map(work, range(32)))
        for n in range(32):
            assert steps_of(saver, f"own {n}") == ([3] if n % 8 == 0 else [3, 2, 1, 0])
        assert len(steps_of(saver, "shared")) == 32 * 4
