"""Whose mark holds a thread, on a server without transactions, and how long it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from checkpoint_base.errors import BackendUnavailableError, InvalidArgumentError
from checkpoint_base.plan import arun, run
from checkpoint_base.planner import Listing
from checkpoint_base.statements.requests import Query
from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_mongo import MongoDBSaver, requests
from checkpoint_mongo.pipelines import bury_thread, hold_thread, release_thread
from checkpoint_mongo.requests import Pause, Write
from checkpoint_mongo.tests.harness import MongoHarness, short_lived
from conformance_tests.build import large, on, values

NOBODYS = 5
"""A mark."""

REMOVING: dict[str, Callable[[MongoDBSaver], Any]] = {
    "prune": lambda saver: saver._planner.prune(saver._codec, ["t"], "keep_latest"),
    "runs": lambda saver: saver._planner.delete_for_runs(["run 1"]),
    "all runs": lambda saver: saver._planner.delete_for_runs(["run 1", "run 2", "run 3"]),
    "copy": lambda saver: saver._planner.copy_thread("t", "u"),
    "copy again": lambda saver: saver._planner.copy_thread("t", "v"),
}
LEFT = {"prune": [3], "runs": [3, 2], "all runs": []}

READING: dict[str, Callable[[MongoDBSaver], Any]] = {
    "get": lambda saver: saver._planner.get_tuple(saver._codec, on("t")),
    "list": lambda saver: saver._planner.list_page(
        saver._codec, Listing("t", "", None, None, None, None)
    ),
    "list of all": lambda saver: saver._planner.list_page(
        saver._codec, Listing(None, None, None, None, None, None)
    ),
    "delta": lambda saver: saver._planner.delta_history(saver._codec, on("t"), ["log"]),
}


def filled(saver: MongoDBSaver) -> None:
    """A thread of three steps, each of a run, and a copy of it."""
    for step in (1, 2, 3):
        config, stored, about, versions = arguments("t", step, log=large(step))
        about["run_id"] = f"run {step}"
        saver.put(config, stored, about, versions)
    saver.copy_thread("t", "v")


class Performing:
    """Performs a plan's requests; what is done `at` its changes comes before them, and no time is
    lost.
    """

    def __init__(self, saver: MongoDBSaver, at: Callable[[int, Write], None] | None = None) -> None:
        self.saver = saver
        self.at = at
        self.changes = 0
        self.pauses = 0

    def __call__(self, request: Any) -> Any:
        if type(request) is Pause:
            self.pauses += 1
            return None
        if type(request) is Write:
            self.changes += 1
            if self.at is not None:
                self.at(self.changes, request)
        return self.saver._driver.perform(request)


def marked(database: MongoHarness) -> list[str]:
    """The threads that somebody holds."""
    return [one["thread_id"] for one in database.records.find({"held_at": {"$exists": True}})]


def hold(saver: MongoDBSaver, thread: str, mark: int = NOBODYS) -> None:
    """Somebody holds a thread, who is not heard of any more."""
    op = hold_thread(saver._planner._guard(thread), mark, 0.0)
    assert saver._driver.perform(Write([op])) is not None


def release(saver: MongoDBSaver, thread: str) -> None:
    op = release_thread(saver._planner._guard(thread), NOBODYS + 1, NOBODYS)
    assert saver._driver.perform(Write([op])) is not None


CHANGES = pytest.mark.parametrize("number", [1, 2, 3, 5, 6, 7])


# ---------------------------------------------------------------- asked twice, failed, cancelled


@CHANGES
@pytest.mark.parametrize("what", REMOVING)
def test_what_was_done_and_is_asked_for_again_costs_no_minute(
    alone: MongoHarness, what: str, number: int
) -> None:
    """As drivers do if a reply is lost."""
    with alone.open() as saver:
        filled(saver)

        def twice(change: int, request: Write) -> None:
            if change == number:
                saver._driver.perform(request)

        performing = Performing(saver, twice)
        run(REMOVING[what](saver), performing)
        is_last = what.startswith("copy") and number == 6
        assert performing.pauses == is_last  # a copy that is there is made again
        assert marked(alone) == []
        assert steps_of(saver, "t") == LEFT.get(what, [3, 2, 1])
        assert steps_of(saver, "u") == ([3, 2, 1] if what == "copy" else [])


@CHANGES
@pytest.mark.parametrize("what", REMOVING)
def test_of_what_fails_no_mark_is_left(alone: MongoHarness, what: str, number: int) -> None:
    with alone.open() as saver:
        filled(saver)

        def fail(change: int, request: Write) -> None:
            if change == number:
                saver._driver.perform(request)
                raise BackendUnavailableError("nobody knows whether it was done")

        with suppress(BackendUnavailableError):
            run(REMOVING[what](saver), Performing(saver, fail))
        assert marked(alone) == []


def test_of_a_task_that_is_cancelled_while_it_takes_hold_no_mark_is_left(
    alone: MongoHarness,
) -> None:
    with alone.open() as saver:
        filled(saver)

    async def main() -> None:
        async with alone.aopen() as saver:
            planner = saver._planner

            async def perform(request: Any) -> Any:
                if type(request) is Write and not marked(alone):
                    task.cancel()
                return await saver._driver.perform(request)

            plan = planner.prune(saver._codec, ["t"], "keep_latest")
            task = asyncio.ensure_future(arun(plan, perform))
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert marked(alone) == []
    with alone.open() as saver:
        assert steps_of(saver, "t") == [3, 2, 1]


# ---------------------------------------------------------------- taken for dead


@pytest.mark.parametrize("what", REMOVING)
def test_who_was_taken_for_dead_neither_goes_on_nor_takes_the_others_mark_away(
    alone: MongoHarness, what: str
) -> None:
    with alone.open() as saver, alone.open() as other:
        filled(saver)
        short_lived(other)
        before = dict(alone.rows())
        takes = len(("t", "v")) if what.startswith("copy") else 1

        def take_over(change: int, request: Write) -> None:
            if change == takes + 1:
                hold(other, "t")
            elif change == takes + 3:  # it has asked for the thread again, in vain
                assert alone.rows() == before
                (thread,) = alone.records.find({"thread_id": "t", "key": ""})
                assert thread["held_by"] == NOBODYS
                release(other, "t")

        performing = Performing(saver, take_over)
        run(REMOVING[what](saver), performing)
        assert performing.pauses
        assert steps_of(saver, "t") == LEFT.get(what, [3, 2, 1])
        assert marked(alone) == []


def test_a_copy_does_not_replace_what_came_after_it_was_taken_for_dead(
    alone: MongoHarness,
) -> None:
    with alone.open() as saver, alone.open() as other:
        filled(saver)
        short_lived(other)

        def take_over(_: int, request: Write) -> None:
            if any("log_end" in (op.what or ()) for op in request.ops):  # the last change
                other.put(*arguments("u", 7, log=large(7)))

        with pytest.raises(InvalidArgumentError, match="00000007"):
            run(REMOVING["copy"](saver), Performing(saver, take_over))
        assert steps_of(saver, "u") == [7]
        assert values(saver.get_tuple(on("u")))["log"] == large(7)
        assert marked(alone) == []


@pytest.mark.parametrize("what", [*LEFT, "copy to it"])
def test_a_deletion_that_died_long_ago_is_in_nobodys_way(alone: MongoHarness, what: str) -> None:
    with alone.open() as saver:
        filled(saver)
        short_lived(saver)
        saver._driver.perform(Write(bury_thread(saver._planner._guard("t"), NOBODYS, None)[:1]))
        performing = Performing(saver)
        to_it = saver._planner.copy_thread("v", "t")
        run(REMOVING[what](saver) if what in LEFT else to_it, performing)
        to_it.close()
        assert not performing.pauses
        assert steps_of(saver, "t") == ([] if what in LEFT else [3, 2, 1])
        saver.sweep_ttl()
        assert alone.records.count_documents({"thread_id": "t"}) == (0 if what in LEFT else 7)


def test_nothing_is_removed_from_a_thread_that_was_not_there(alone: MongoHarness) -> None:
    """Nobody can hold it; somebody may make it meanwhile."""
    with alone.open() as saver, alone.open() as other:

        def perform(request: Any) -> Any:
            reply = saver._driver.perform(request)
            if type(request) is Query:  # it is empty, then
                other.put(*arguments("t", 1, log=large(1)))
            return reply

        run(saver._planner._collect("t"), perform)
        assert steps_of(saver, "t") == [1]


@pytest.mark.parametrize("what", ["prune", "copy"])
def test_who_makes_changes_is_not_taken_for_dead_however_long_it_takes(
    alone: MongoHarness, what: str
) -> None:
    with alone.open() as saver:
        filled(saver)
        ages: list[bool] = []

        def let_time_pass(_: int, request: Write) -> None:
            there = list(alone.records.find({"held_at": {"$exists": True}}))
            ages.extend(one["held_at"] > 1 for one in there if one["thread_id"] == "t")
            alone.records.update_many({"held_at": {"$exists": True}}, {"$set": {"held_at": 1}})

        run(REMOVING[what](saver), Performing(saver, let_time_pass))
        assert len(ages) > 3
        assert all(ages[2:])  # the second change may be the hold of another one


# ---------------------------------------------------------------- reads


@pytest.mark.parametrize("what", READING)
def test_a_read_does_not_wait_for_who_died_long_ago(alone: MongoHarness, what: str) -> None:
    with alone.open() as saver:
        filled(saver)
        short_lived(saver)
        hold(saver, "t")
        performing = Performing(saver)
        run(READING[what](saver), performing)
        assert 0 < performing.pauses < 3
        assert marked(alone) == []
        again = Performing(saver)
        run(READING[what](saver), again)
        assert not again.pauses
        (thread,) = alone.records.find({"thread_id": "t", "key": ""})
        assert "held_by" not in thread
        assert "tag" not in thread


@pytest.mark.parametrize("what", READING)
def test_a_read_that_waits_in_vain_gives_nothing_that_may_be_torn(
    alone: MongoHarness, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder lives: it does not take as long as that, or it makes changes."""
    monkeypatch.setattr(requests, "PATIENCE", 60, raising=False)
    with alone.open() as saver:
        filled(saver)
        hold(saver, "t")
        performing = Performing(saver)
        with pytest.raises(BackendUnavailableError, match="'t'"):
            run(READING[what](saver), performing)
        assert performing.pauses > 50
        assert marked(alone) == ["t"]
        release(saver, "t")
        run(READING[what](saver), performing)


@pytest.mark.parametrize("what", READING)
def test_a_read_does_not_wait_for_a_copy(alone: MongoHarness, what: str) -> None:
    """It removes nothing of what it copies."""
    with alone.open() as saver, alone.open() as other:
        filled(saver)
        before = run(READING[what](other), other._driver.perform)
        reading = Performing(other)

        seen: list[bool] = []

        def read(change: int, _: Write) -> None:
            if change > 3 and marked(alone) == ["t", "u"]:
                seen.append(run(READING[what](other), reading) == before)

        run(REMOVING["copy"](saver), Performing(saver, read))
        assert seen == [True] * 3
        assert not reading.pauses
        hold(saver, "t")  # by somebody who may remove something
        (thread,) = alone.records.find({"thread_id": "t", "key": ""})
        assert "lent" not in thread


@pytest.mark.parametrize("kept", range(1, 8))
def test_what_a_prune_that_died_has_left_is_read_whole(alone: MongoHarness, kept: int) -> None:
    with alone.open() as saver:
        filled(saver)
        there = {values(one)["step"]: values(one) for one in saver.list(on("t"))}
        short_lived(saver)

        def die(change: int, _: Write) -> None:
            if change > kept:
                raise GeneratorExit

        with suppress(GeneratorExit):
            run(REMOVING["prune"](saver), Performing(saver, die))
        left = {values(one)["step"]: values(one) for one in saver.list(on("t"))}
        assert 3 in left
        assert left.items() <= there.items()
        assert marked(alone) == []
