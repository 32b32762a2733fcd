"""What many tasks look up at the same time: together, and each gets what it asked for."""

from __future__ import annotations

import asyncio
from typing import Any

from checkpoint_mongo import AsyncMongoDBSaver
from checkpoint_mongo.lookups import JOINED, joined, shared_out
from checkpoint_mongo.requests import Named
from checkpoint_mongo.tests.harness import MongoHarness
from checkpoint_mongo.tests.test_adding import NAMES, arguments, at, at_once, run, threads
from checkpoint_mongo.tests.watching import Commands
from conformance_tests.build import on, values, writes


def look_ups(commands: Commands) -> list[int]:
    """How many refs each look-up asked for."""
    sent = [one["pipeline"][0]["$match"] for one in commands.sent if "pipeline" in one]
    return [len(match["ref"]["$in"]) for match in sent if "ref" in match]


def test_reads_that_wait_are_few_look_ups(database: MongoHarness) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        await at_once(lambda name: saver.aput(*arguments(name, 2, name=name)))
        await at_once(lambda name: saver.aput_writes(at(name, 2), [("a", name)], "task"))
        commands.sent.clear()
        found = await asyncio.gather(*(saver.aget_tuple(on(name)) for name in NAMES))
        for name, one in zip(NAMES, found, strict=True):
            assert values(one) == {"n": 2, "name": name}
            assert writes(one) == [("task", "a", name)]
        asked = look_ups(commands)
        alone = min(asked)
        assert sum(asked) == alone * len(NAMES)
        assert alone < max(asked) <= alone * JOINED

    run(database, work)


def test_who_reads_what_others_read_gets_all_of_it(database: MongoHarness) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        await saver.aput_writes(at(NAMES[0], 1), [("a", "b")], "task")
        some = await asyncio.gather(*(saver.aget_tuple(on(NAMES[0])) for _ in NAMES))
        assert [writes(one) for one in some] == [[("task", "a", "b")]] * len(NAMES)

    run(database, work)


def test_a_thread_deleted_meanwhile_is_absent_and_the_others_are_not(
    database: MongoHarness,
) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        with database.open() as other:
            await asyncio.to_thread(other.delete_thread, NAMES[5])
        found = await asyncio.gather(*(saver.aget_tuple(on(name)) for name in NAMES))
        assert [name for name, one in zip(NAMES, found, strict=True) if one is None] == [NAMES[5]]
        assert NAMES[5] not in threads(database)

    run(database, work)


def test_a_cancelled_task_takes_no_other_with_it(database: MongoHarness) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        tasks = [asyncio.create_task(saver.aget_tuple(on(name))) for name in NAMES]
        for _ in range(50):  # some look up, the others wait for them
            await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[3].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        gone = {at for at, one in enumerate(found) if isinstance(one, asyncio.CancelledError)}
        assert gone <= {0, 3}
        left: list[Any] = [one for at, one in enumerate(found) if at not in gone]
        assert [values(one) for one in left] == [{"n": 1}] * len(left)

    run(database, work)


def test_each_gets_its_own_in_the_order_of_the_index() -> None:
    first, second = Named([b"a", b"t"], ["x"]), Named([b"b", b"c", b"u"], ["y", "x"])
    assert joined([first]) is first
    assert joined([first, second]) == Named([b"a", b"t", b"b", b"c", b"u"], ["x", "y"])
    found = [
        {"n": 1, "ref": [b"a", b"c"]},
        {"n": 2, "ref": b"b"},
        {"n": 3, "ref": [b"z", b"b", b"c"]},
        {"n": 4, "ref": b"t"},
        {"n": 5, "ref": b"u"},
    ]
    shares = [[one["n"] for one in share] for share in shared_out([first, second], found)]
    assert shares == [[1, 4], [1, 2, 3, 5]]
