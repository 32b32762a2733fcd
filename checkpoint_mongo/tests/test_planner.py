"""The commands that operations send, counted and explained: a command is a round trip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from checkpoint_base.sharing import SEGMENT
from checkpoint_mongo import MongoDBSaver
from checkpoint_mongo.pipelines import MAX_RANGES, segments
from checkpoint_mongo.tests.harness import MongoHarness
from checkpoint_mongo.tests.watching import Commands, filters_of, scans
from conformance_tests.build import checkpoint, large, metadata, new_versions, on, values

BIG = "".join(f"{number} bottles of beer on the wall\n" for number in range(2000))


class Watched:
    """A saver, and the commands that it sends."""

    def __init__(self, harness: MongoHarness, **options: Any) -> None:
        self.commands = Commands()
        self.client: MongoClient[Any] = MongoClient(harness.url, event_listeners=[self.commands])
        self.saver = MongoDBSaver(self.client, harness.db_name, clock=harness.clock, **options)
        self.saver.setup()
        self.saver.stats()  # asks once what the server is
        self.commands.sent.clear()

    def put(self, step: int, thread: str = "t", **state: Any) -> Any:
        stored = checkpoint(state, id=f"{step:08}")
        config = on(thread, "", f"{step - 1:08}" if step > 1 else None)
        with self.commands.only():
            return self.saver.put(config, stored, metadata(step=step), new_versions(stored))

    def changes(self) -> int:
        """How many changes the last commands asked for."""
        return sum(len(command.get("updates", ())) for command in self.commands.sent)


@pytest.fixture
def watched(database: MongoHarness) -> Iterator[Watched]:
    one = Watched(database)
    yield one
    one.client.close()


PUT = {"update": 1, "commitTransaction": 1}
SMALL_PUT = {"update": 1}
LOOK = {"aggregate": 1}
READ = {"aggregate": 2}
LARGE_READ = {"aggregate": 3}


def test_setup_only_looks_when_all_is_there(watched: Watched) -> None:
    watched.saver.setup()
    assert watched.commands.names == LOOK


def test_puts_are_one_command_and_a_commit(watched: Watched) -> None:
    for step in range(1, 10):
        watched.put(step, a="small", b=BIG + str(step) * 5000)
        assert watched.commands.names == PUT, step
        assert watched.changes() == 3  # the thread, the segment, the checkpoint


def test_puts_of_small_values_are_one_command_that_changes_two_documents(watched: Watched) -> None:
    watched.put(1, a="small", b="small", c="small")
    assert (watched.commands.names, watched.changes()) == (PUT, 2)
    for step in range(2, 10):
        watched.put(step, a="small", b=step, c="small")
        assert (watched.commands.names, watched.changes()) == (SMALL_PUT, 2)
    found = watched.saver.get_tuple(on("t"))
    assert values(found) == {"a": "small", "b": 9, "c": "small"}


def test_a_put_on_a_log_that_is_not_known_looks_first(
    database: MongoHarness, watched: Watched
) -> None:
    watched.put(1, a=BIG)
    cold = Watched(database)
    cold.put(2, a=BIG + "more")
    # refused and so ended; the thread and its newest digests; the put
    assert cold.commands.names == {
        "update": 2,
        "abortTransaction": 1,
        "aggregate": 2,
        "commitTransaction": 1,
    }
    cold.put(3, a=BIG + "more and more")
    assert cold.commands.names == PUT
    cold.client.close()
    told = Watched(database)
    assert told.saver.get_tuple(on("t")) is not None
    told.put(4, a=BIG + "and more")  # reading told it
    assert told.commands.names == PUT
    told.client.close()


def test_put_writes_is_one_command(watched: Watched) -> None:
    config = watched.put(1, a=1)
    for writes in ([("a", 1), ("b", BIG)], [("__error__", "e"), ("b", 2)]):
        for task in ("one", "another"):
            with watched.commands.only() as commands:
                watched.saver.put_writes(config, writes, f"{task} {len(writes[0])}{writes[0][0]}")
            assert commands.names == {"update": 1}


def test_reads(watched: Watched) -> None:
    saver = watched.saver
    for step in range(1, 61):
        watched.put(step, a=step)
    with watched.commands.only() as commands:
        assert values(saver.get_tuple(on("t"))) == {"a": 60}
    assert commands.names == READ
    for step in range(61, 70):
        watched.put(step, a=step, b=BIG + str(step))
    with watched.commands.only() as commands:
        assert values(saver.get_tuple(on("t")))["b"] == BIG + "69"
    assert commands.names == LARGE_READ
    for config in (on("t"), None):
        for limit in (1, 10, 50):
            with watched.commands.only() as commands:
                assert len(list(saver.list(config, limit=limit))) == limit
            assert commands.names == LARGE_READ
    with watched.commands.only() as commands:
        saver.list_threads(limit=10)
    assert commands.names == LOOK


def test_a_thread_with_one_namespace_is_listed_in_the_order_of_the_index(watched: Watched) -> None:
    """A list without a namespace: with several, they have to be sorted."""
    config: Any = {"configurable": {"thread_id": "t"}}
    for step in range(1, 5):
        watched.put(step, a=step)
    _check_list(watched, config, [4, 3, 2, 1], {"key": -1})
    inner = checkpoint({"a": 9}, id=f"{9:08}")
    watched.saver.put(on("t", "inner"), inner, metadata(), new_versions(inner))
    _check_list(watched, config, [9, 4, 3, 2, 1], {"checkpoint_id": -1, "ns": -1})
    with watched.commands.only() as commands:
        assert [values(one)["a"] for one in watched.saver.list(config, limit=2)] == [9, 4]
    assert commands.names == READ  # two that are there are known


def _check_list(watched: Watched, config: Any, expected: list[int], order: Any) -> None:
    with watched.commands.only() as commands:
        assert [values(one)["a"] for one in watched.saver.list(config)] == expected
    assert commands.names == {"aggregate": 3}
    sorts = [s["$sort"] for c in commands.sent for s in c["pipeline"] if "$sort" in s]
    assert sorts == [order]


def test_deletion_is_two_commands(watched: Watched) -> None:
    for step in range(1, 30):
        watched.put(step, a=step, b=BIG + str(step))
    with watched.commands.only() as commands:
        watched.saver.delete_thread("t")
    assert commands.names == {"update": 1, "delete": 1}


def test_reading_with_a_ttl_is_one_more(database: MongoHarness) -> None:
    watched = Watched(database, ttl={"default_ttl": 60})
    watched.put(1, a=1)
    assert watched.commands.names == PUT
    with watched.commands.only() as commands:
        watched.saver.get_tuple(on("t"))
    assert commands.names == {**READ, "update": 1}
    watched.client.close()


def test_a_chain_of_300_ancestors_is_a_few_commands(watched: Watched) -> None:
    for step in range(1, 301):
        watched.put(step, **({"log": ["seed"]} if step == 1 else {"other": step}))
    with watched.commands.only() as commands:
        found = watched.saver.get_delta_channel_history(config=on("t"), channels=["log"])
    assert found["log"]["seed"] == ["seed"]
    # three pieces of the chain: 16 ancestors, 256, and the rest
    assert commands.names["aggregate"] <= 9


def test_no_command_looks_at_all_documents(database: MongoHarness, watched: Watched) -> None:
    """Every filter that is sent, explained by the server."""
    watched.commands.sent.clear()
    everything(watched.saver)
    sent = [c for c in watched.commands.sent if "saver_records" in c.values()]
    assert {"update", "delete", "aggregate"} <= set(watched.commands.names)
    seen = set()
    for command in sent:
        for wanted in filters_of(command):
            if (shape := _shape(wanted)) not in seen:
                seen.add(shape)
                found = scans(database.client, database.db_name, "saver_records", wanted)
                assert not found, wanted
    assert len(seen) > 10


def _shape(filter: Any) -> str:
    return str(
        {
            name: sorted(wanted) if isinstance(wanted, dict) else None
            for name, wanted in filter.items()
        }
    )


def everything(saver: MongoDBSaver) -> None:
    """All that a saver can be asked for, but for the size of everything."""
    for thread in ("a", "b"):
        config: Any = on(thread)
        for step in range(4):
            stored = checkpoint({"a": large(step), "b": step}, id=f"{step:08}")
            config = saver.put(config, stored, metadata(step=step), new_versions(stored))
            saver.put_writes(config, [("a", large(9)), ("__error__", "e")], "task")
            saver.put_writes(config, [("__error__", large(8))], "task")
            saver.put_writes(config, [("__error__", "e")], "task")
    saver.put(on("a"), stored, metadata(run_id="run"), new_versions(stored))
    places: list[Any] = [on("a"), {"configurable": {"thread_id": "a"}}, config, None]
    for place in places:
        for before in (None, config):
            list(saver.list(place, before=before, filter={"step": 2}))
            list(saver.list(place, before=before, limit=1))
    saver.get_tuple(on("a"))
    saver.get_delta_channel_history(config=on("a"), channels=["a"])
    saver.list_threads(prefix="a", cursor=saver.list_threads(limit=1).cursor)
    saver.copy_thread("a", "c")
    saver.prune(["a"])
    saver.delete_for_runs(["run"])
    saver.stats("b")
    saver.sweep_ttl()
    saver.delete_thread("b")


def test_ranges_of_a_log_are_never_too_many() -> None:
    starts = [number * 3 * SEGMENT + number * number for number in range(99)]
    many = [(start, start + 500) for start in starts]
    pieces = segments("t", many)
    assert len(pieces) == MAX_RANGES
    assert pieces[-1] == segments("t", many[-1:])[0]  # the widest gaps stay
    first = pieces[0][0]["$match"]["key"]
    assert first["$gte"] == segments("t", many[:1])[0][0]["$match"]["key"]["$gte"]
    assert len(segments("t", many[:3])) == 3


def test_near_ranges_of_a_log_are_read_as_one() -> None:
    near = [(number * SEGMENT, number * SEGMENT + 500) for number in range(5)]
    far = (100 * SEGMENT, 101 * SEGMENT)
    assert segments("t", [*near, far]) == [
        *segments("t", [(0, 4 * SEGMENT + 500)]),
        *segments("t", [far]),
    ]
