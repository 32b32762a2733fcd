"""What a put takes for granted: known by the thread's epoch, looked at if that is another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from checkpoint_mongo import AsyncMongoDBSaver
from checkpoint_mongo.tests.harness import MongoHarness
from checkpoint_mongo.tests.test_adding import NAMES, arguments, at, at_once, run
from checkpoint_mongo.tests.test_planner import PUT, SMALL_PUT, Watched
from checkpoint_mongo.tests.watching import Commands
from conformance_tests.build import checkpoint, large, metadata, on, the, values


@pytest.fixture
def opened(database: MongoHarness) -> Iterator[Callable[[], Watched]]:
    """Opens savers, each a process of its own as far as it knows."""
    with ExitStack() as stack:

        def one_more() -> Watched:
            watched = Watched(database)
            stack.callback(watched.client.close)
            return watched

        yield one_more


def put(watched: Watched, step: int, **new: Any) -> None:
    """A checkpoint of channels of which all but the `new` ones are as they were at first."""
    state = {"kept": "kept", **new}
    versions = {**dict.fromkeys(new, step), "kept": 1}
    stored = checkpoint(state, versions, id=f"{step:08}")
    config = on("t", "", f"{step - 1:08}" if step > 1 else None)
    with watched.commands.only():
        watched.saver.put(
            config, stored, metadata(), dict.fromkeys(versions if step == 1 else new, step)
        )


def found(watched: Watched) -> Any:
    return values(watched.saver.get_tuple(on("t")))


def test_a_put_after_ones_own_is_one_command(opened: Callable[[], Watched]) -> None:
    watched = opened()
    put(watched, 1, a=1)
    assert watched.commands.names == PUT
    for step in range(2, 6):
        put(watched, step, a=step)
        assert (watched.commands.names, watched.changes()) == (SMALL_PUT, 2)
    put(watched, 6, a=large(6))
    assert watched.commands.names == PUT
    assert found(watched) == {"kept": "kept", "a": large(6)}


def test_a_put_after_a_read_is_one_command_and_else_looks_first(
    opened: Callable[[], Watched],
) -> None:
    first, reader, stranger = opened(), opened(), opened()
    put(first, 1, a=1)
    put(first, 2, a=2)
    assert found(reader) == {"kept": "kept", "a": 2}
    put(reader, 3, a=3)
    assert reader.commands.names in (SMALL_PUT, PUT)
    put(stranger, 4, a=4)  # its thread, the values, and the put
    assert stranger.commands.names == {**PUT, "aggregate": 2}
    put(stranger, 5, a=5)
    assert stranger.commands.names in (SMALL_PUT, PUT)
    assert found(first) == {"kept": "kept", "a": 5}


def test_a_put_after_the_removal_of_anything_looks_first(opened: Callable[[], Watched]) -> None:
    watched, other = opened(), opened()
    put(watched, 1, a=1)
    put(watched, 2, a=2)
    other.saver.prune(["t"])
    put(watched, 3, a=3)  # stored again, and what it may have replaced is looked for
    assert watched.commands.names["aggregate"] > 2
    put(watched, 4, a=4)
    assert watched.commands.names == {**PUT, "aggregate": 2}
    put(watched, 5, a=5)
    assert watched.commands.names == SMALL_PUT
    assert found(watched) == {"kept": "kept", "a": 5}
    assert watched.saver.stats("t")["checkpoints"] == 4


def test_tasks_whose_threads_were_made_anew_store_all(database: MongoHarness) -> None:
    async def work(saver: AsyncMongoDBSaver, commands: Commands) -> None:
        before = {name: the(await saver.aget_tuple(on(name))).checkpoint for name in NAMES}
        with database.open() as other:
            for name in NAMES[::2]:
                await asyncio.to_thread(other.delete_thread, name)
                await asyncio.to_thread(other.put, *arguments(name, 0))

        async def go_on(name: str) -> None:
            versions = {**before[name]["channel_versions"], "b": 2}
            state = {"n": 1, "b": 2}
            stored = checkpoint(state, versions, id=f"{2:08}")
            await saver.aput(at(name, 1), stored, metadata(), {"b": 2})

        await at_once(go_on)
        for name in NAMES:
            assert values(await saver.aget_tuple(on(name))) == {"n": 1, "b": 2}

    run(database, work)
