"""What many tasks store at the same time: together, and each as if it had been alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pymongo import AsyncMongoClient

from checkpoint_mongo import AsyncMongoDBSaver, MongoDBSaver
from checkpoint_mongo.requests import AHEAD
from checkpoint_mongo.tests.harness import MongoHarness
from checkpoint_mongo.tests.watching import Commands
from conformance_tests.build import checkpoint, metadata, new_versions, on, values, writes

NAMES = [f"t{n}" for n in range(8)]


def arguments(thread: str, step: int, **state: Any) -> tuple[Any, ...]:
    stored = checkpoint({"n": step, **state}, id=f"{step:08}")
    return on(thread), stored, metadata(step=step), new_versions(stored)


def at(thread: str, step: int) -> Any:
    return on(thread, "", f"{step:08}")


async def at_once(do: Callable[[str], Awaitable[Any]]) -> None:
    """For all threads: the first goes alone, and then those that had to wait for it."""
    await asyncio.gather(*map(do, NAMES))


def run(
    database: MongoHarness,
    work: Callable[[AsyncMongoDBSaver, Commands], Awaitable[None]],
    **options: Any,
) -> None:
    """Let a saver do something to threads that it knows, its commands being watched."""

    async def main() -> None:
        commands = Commands()
        client: AsyncMongoClient[Any] = AsyncMongoClient(database.url, event_listeners=[commands])
        async with client:
            saver = AsyncMongoDBSaver(client, database.db_name, clock=database.clock, **options)
            await saver.setup()
            await at_once(lambda name: saver.aput(*arguments(name, 1)))
            commands.sent.clear()
            await work(saver, commands)

    asyncio.run(main())


def threads(database: MongoHarness) -> dict[str, Any]:
    return {one["thread_id"]: one for one in database.records.find({"key": ""})}


def test_puts_that_wait_are_one_insert_and_a_look_at_their_threads(database: MongoHarness) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        database.advance(10 * AHEAD)
        await at_once(lambda name: saver.aput(*arguments(name, 2)))
        assert commands.names == {"update": 2, "insert": 1, "aggregate": 1}
        inserted = [len(one.get("documents", ())) for one in commands.sent]
        assert sum(inserted) == len(NAMES) - 1
        for name, one in threads(database).items():
            late = AHEAD if name != NAMES[0] else 0
            assert one["updated_at"] == database.clock.now + late
        commands.sent.clear()
        await at_once(lambda name: saver.aput_writes(at(name, 2), [("a", name)], "task"))
        # the threads that are ahead stay as they are
        assert commands.names == {"update": 1, "insert": 1, "aggregate": 1}
        for name in NAMES:
            found = await saver.aget_tuple(on(name))
            assert (values(found), writes(found)) == ({"n": 2}, [("task", "a", name)])

    run(database, work)


def test_a_thread_that_expires_has_an_exact_clock(database: MongoHarness) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        for step in (2, 3):
            database.advance(0.5)
            await asyncio.gather(*(saver.aput(*arguments(name, step)) for name in NAMES))
            for one in threads(database).values():
                assert one["updated_at"] == database.clock.now
                assert one["expires_at"] == database.clock.now + 60
        assert commands.names["update"] == 4
        database.advance(61)
        await at_once(lambda name: saver.aput_writes(at(name, 3), [("a", 1)], "task"))
        for name in NAMES:
            assert await saver.aget_tuple(on(name)) is None  # what had expired did not come back
        assert {name: n for name, n in database.rows().items() if n} == {
            "threads": len(NAMES),
            "writes": len(NAMES),
        }

    run(database, work, ttl={"default_ttl": 1})


def test_a_thread_that_somebody_deleted_is_made_anew_and_the_others_are_not(
    database: MongoHarness,
) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        before = threads(database)
        with database.open() as other:
            await asyncio.to_thread(other.delete_thread, NAMES[5])
        await at_once(lambda name: saver.aput(*arguments(name, 2)))
        after = threads(database)
        anew = {name for name in NAMES if before[name]["epoch"] != after[name]["epoch"]}
        assert anew == {NAMES[5]}
        for name in NAMES:
            steps = [values(one)["n"] async for one in saver.alist(on(name))]
            assert steps == ([2] if name in anew else [2, 1])

    run(database, work)


def test_what_was_there_keeps_what_it_had(database: MongoHarness) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        await saver.aput_writes(at(NAMES[3], 1), [("a", "first"), ("__error__", "first")], "task")
        later = [("a", "second"), ("__error__", "second"), ("b", "second")]
        await at_once(lambda name: saver.aput_writes(at(name, 1), later, "task"))
        found = writes(await saver.aget_tuple(on(NAMES[3])))
        assert found == [
            ("task", "__error__", "second"),
            ("task", "a", "first"),
            ("task", "b", "second"),
        ]
        again = arguments(NAMES[3], 1, more="more")
        put = {name: again if name == NAMES[3] else arguments(name, 2) for name in NAMES}
        await at_once(lambda name: saver.aput(*put[name]))
        assert values(await saver.aget_tuple(on(NAMES[3]))) == {"n": 1, "more": "more"}

    run(database, work)


def test_who_cannot_be_stored_fails_alone(database: MongoHarness) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        puts = [arguments(name, 2) for name in NAMES]
        puts[3][1]["v"] = 2**70  # more than an integer of BSON
        tasks = [saver.aput(*each) for each in puts]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [n for n, one in enumerate(outcomes) if isinstance(one, Exception)] == [3]
        assert isinstance(outcomes[3], OverflowError)
        for n, name in enumerate(NAMES):
            assert values(await saver.aget_tuple(on(name))) == {"n": 1 if n == 3 else 2}

    run(database, work)


def test_a_checkpoint_put_again_keeps_values_of_others(database: MongoHarness) -> None:
    with database.open() as saver, database.open() as reader:
        first = checkpoint({"a": "a", "b": "b"}, id="00000001")
        saver.put(on("t"), first, metadata(), new_versions(first))
        assert values(reader.get_tuple(on("t"))) == {"a": "a", "b": "b"}
        second = checkpoint({"a": "a", "b": "b"}, first["channel_versions"], id="00000002")
        saver.put(on("t", "", "00000001"), second, metadata(), {})
        kept = {"b": first["channel_versions"]["b"]}
        without = checkpoint({"b": "new"}, kept, id="00000001")
        saver.put(on("t"), without, metadata(), new_versions(without))
        # the first has lost a, which the second needs; the reader had seen the old b
        assert values(reader.get_tuple(on("t", "", "00000001"))) == {"b": "new"}
        assert values(reader.get_tuple(on("t"))) == {"a": "a", "b": "new"}
        check_deletion(saver, reader)


def check_deletion(saver: MongoDBSaver, reader: MongoDBSaver) -> None:
    """What the newest carries goes with it, what another one needs does not."""
    third = checkpoint({"c": "c"}, id="00000003")
    saver.put(on("t", "", "00000002"), third, metadata(run_id="run"), new_versions(third))
    assert values(reader.get_tuple(on("t"))) == {"c": "c"}
    assert saver.stats("t")["values"] == 3
    saver.delete_for_runs(["run"])
    assert values(reader.get_tuple(on("t"))) == {"a": "a", "b": "new"}
    assert saver.stats("t")["values"] == 2
    saver.prune(["t"])
    assert values(reader.get_tuple(on("t"))) == {"a": "a", "b": "new"}
    assert (saver.stats("t")["checkpoints"], saver.stats("t")["values"]) == (1, 2)
    saver.copy_thread("t", "copy")
    assert values(reader.get_tuple(on("copy"))) == {"a": "a", "b": "new"}
    saver.delete_thread("t")
    assert reader.get_tuple(on("t")) is None
    assert saver.stats("t")["values"] == 0
