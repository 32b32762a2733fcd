"""What puts replace: counted and left by them, collected by pruning and by the sweep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from checkpoint_base.dedup.writer import SWEPT_GARBAGE
from checkpoint_mongo import MongoDBSaver
from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    checkpoint_id,
    large,
    metadata,
    new_versions,
    on,
    values,
    version,
)
from conformance_tests.samples.driver_adapter import SyncFacade


@pytest.fixture
def saver(database: MongoHarness) -> Iterator[MongoDBSaver]:
    with database.open() as saver:
        yield saver


def again(saver: MongoDBSaver, chain: Chain, number: int, value: object = None) -> None:
    """Put a checkpoint over the newest, with a new large value under a new version."""
    versions: dict[str, Any] = {"a": version(number), "b": version(number)}
    state = {"a": large(number) if value is None else value, "b": number}
    body = checkpoint(state, versions, id=checkpoint_id(chain.head))
    saver.put(on(chain.thread_id), body, metadata(), new_versions(body))


def counted(database: MongoHarness) -> dict[str, int]:
    """The garbage that is counted, by thread."""
    threads = database.records.find({"garbage": {"$gt": 0}})
    return {thread["thread_id"]: thread["garbage"] for thread in threads}


def segments(database: MongoHarness) -> int:
    """Bytes in all logs."""
    return sum(len(segment["data"]) for segment in database.records.find({"kind": "segment"}))


def test_what_a_put_over_a_checkpoint_leaves_is_counted_until_it_is_pruned(
    database: MongoHarness, saver: MongoDBSaver
) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"a": large(1), "b": 0})
    once = segments(database)
    for number in range(2, 5):
        again(saver, chain, number)
    assert 3 * once < counted(database)["t"] < 4 * once
    assert segments(database) > 3 * once
    saver.prune(["t"])
    assert counted(database) == {}
    assert segments(database) < 1.1 * once
    assert values(saver.get_tuple(on("t"))) == {"a": large(4), "b": 4}


def test_a_record_that_an_embedded_value_replaces_is_counted(
    database: MongoHarness, saver: MongoDBSaver
) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"a": large(1), "b": 0})
    again(saver, chain, 2, "small")
    assert counted(database)["t"] > len(large(1)) - 100


def test_a_replaced_write_is_counted_and_one_beside_it_is_not(
    database: MongoHarness, saver: MongoDBSaver
) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"b": 0})
    chain.write(("__interrupt__", large(1)), ("__resume__", 1))
    chain.write(("__resume__", 2))
    chain.write(("__interrupt__", large(1)))  # shares all of what it replaces
    assert counted(database) == {}
    chain.write(("__interrupt__", "small"))
    assert counted(database)["t"] >= len(large(1)) - 100


def test_a_copy_has_the_count_of_its_source(database: MongoHarness, saver: MongoDBSaver) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"a": large(1), "b": 0})
    again(saver, chain, 2)
    garbage = counted(database)["t"]
    saver.copy_thread("t", "copy")
    assert counted(database) == {"t": garbage, "copy": garbage}
    saver.prune(["t", "copy"])
    assert counted(database) == {}


def test_a_sweep_collects_the_threads_with_much_garbage(
    database: MongoHarness, saver: MongoDBSaver
) -> None:
    for name in ("little", "much"):
        chain = Chain(SyncFacade(saver), name)
        chain.put({"a": large(1), "b": 0})
        again(saver, chain, 2)
    for name in ("much", "none"):  # of one, what was counted is not there
        much = {"$set": {"garbage": SWEPT_GARBAGE}}
        if name == "none":
            Chain(SyncFacade(saver), name).put({"a": large(1)})
        database.records.update_one({"kind": "thread", "thread_id": name}, much)
    size = segments(database)
    assert saver.sweep_ttl() == 0
    assert list(counted(database)) == ["little"]
    assert segments(database) < 0.9 * size
    assert values(saver.get_tuple(on("much"))) == {"a": large(2), "b": 2}
