"""Collections go in steps, between which others read and write."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import RESUME

from checkpoint_base.plan import Plan, run
from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_redis import RedisSaver
from checkpoint_redis.connection.requests import ScriptCalls
from checkpoint_redis.saver import collection
from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests.samples.build import large, on, values


@pytest.fixture
def saver(one_server: RedisHarness, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisSaver]:
    """Its steps are as small as can be."""
    for name, size in {"SCANNED_AT_ONCE": 1, "_MOST_SCANNED": 1, "_REMOVED_AT_ONCE": 1}.items():
        monkeypatch.setattr(collection, name, size)
    with one_server.open() as opened:
        yield opened


@pytest.fixture
def other(one_server: RedisHarness) -> Iterator[RedisSaver]:
    """Another process."""
    with one_server.open() as opened:
        yield opened


def watched(saver: RedisSaver, plan: Plan[Any], before: Callable[[str], None]) -> list[str]:
    """Run a plan, and call `before` with the name of each script; the names."""
    asked: list[str] = []

    def perform(request: Any) -> Any:
        if isinstance(request, ScriptCalls):
            asked.append(request.calls[-1].script.name)
            before(asked[-1])
        return saver._driver.perform(request)

    run(plan, perform)
    return asked


def filled(saver: RedisSaver, count: int = 12) -> list[Any]:
    """A thread in which each checkpoint has a large value of its own."""
    return [saver.put(*arguments("t", step, log=large(step, 9000))) for step in range(1, count + 1)]


def test_what_stays_can_be_read_before_every_step(saver: RedisSaver, other: RedisSaver) -> None:
    *_, newest = filled(saver)

    def look(_: str) -> None:
        assert values(other.get_tuple(newest))["log"] == large(12, 9000)

    plan = saver._planner.prune(saver._codec, ["t"], "keep_latest")
    asked = watched(saver, plan, look)
    assert asked.count("collect") > 30  # one record each
    assert steps_of(other, "t") == [12]


def test_what_is_written_meanwhile_stays_with_all_that_it_needs(
    saver: RedisSaver, other: RedisSaver, one_server: RedisHarness
) -> None:
    """It takes a value over that no other checkpoint has any more."""
    first, *_ = filled(saver)
    kept = other.get_tuple(first)
    assert kept is not None
    log_version = kept.checkpoint["channel_versions"]["log"]
    put: list[Any] = []

    def fork(name: str) -> None:
        if name == "collect" and not put:  # all is marked
            _, body, metadata, _ = arguments("t", 13)
            body["channel_values"] = {"log": large(1, 9000)}
            body["channel_versions"] = {"log": log_version}
            put.append(other.put(first, body, metadata, {}))
            other.put_writes(put[0], [(RESUME, large(1, 9000)), ("log", large(1, 9000))], "task")

    watched(saver, saver._planner.prune(saver._codec, ["t"], "keep_latest"), fork)
    with one_server.open() as third:
        found = third.get_tuple(put[0])
        assert values(found)["log"] == large(1, 9000)
        assert found is not None
        assert {value for _, _, value in found.pending_writes or ()} == {large(1, 9000)}
        assert values(third.get_tuple(on("t")))["log"] in (large(1, 9000), large(12, 9000))
        third.prune(["t"])
        assert b"journal" not in one_server.stored()


def test_a_checkpoint_that_is_put_meanwhile_keeps_the_writes_that_came_before_it(
    saver: RedisSaver, other: RedisSaver, one_server: RedisHarness
) -> None:
    filled(saver)
    writes = [("log", large(20, 9000)), (RESUME, large(21, 9000))]
    other.put_writes(on("t", "", f"{13:08}"), writes, "task")
    scans: list[str] = []

    def put(name: str) -> None:
        if name == "scan":
            scans.append(name)
            if len(scans) == 2:
                other.put(*arguments("t", 13, log=large(13, 9000)))

    watched(saver, saver._planner.prune(saver._codec, ["t"], "keep_latest"), put)
    with one_server.open() as third:
        found = third.get_tuple(on("t"))
        assert found is not None
        assert values(found)["log"] == large(13, 9000)
        written = {(channel, value) for _, channel, value in found.pending_writes or ()}
        assert written == set(writes)


def test_a_collection_begins_anew_where_much_is_written(
    saver: RedisSaver, other: RedisSaver, one_server: RedisHarness
) -> None:
    filled(saver)
    written: list[Any] = []

    def write(name: str) -> None:
        if name == "collect" and not written:
            written.extend(one_server.keys("{t}:records"))
            ((node, key),) = written
            journal, _, _ = bytes(node.hget(key, "journal")).partition(b" ")
            node.hset(key, "journal", journal + b" 1000")

    asked = watched(saver, saver._planner.prune(saver._codec, ["t"], "keep_latest"), write)
    assert asked.count("latest") == 2
    assert steps_of(other, "t") == [12]
    assert one_server.rows()["segments"] == 1


def test_a_collector_that_dies_leaves_a_thread_that_the_next_one_collects(
    saver: RedisSaver, other: RedisSaver, one_server: RedisHarness
) -> None:
    filled(saver)

    class DiedError(Exception):
        pass

    def die(name: str) -> None:
        if name == "collect":
            raise DiedError

    with pytest.raises(DiedError):
        watched(saver, saver._planner.prune(saver._codec, ["t"], "keep_latest"), die)
    assert b"journal" in one_server.stored()
    newest = other.put(*arguments("t", 13, log=large(13, 9000)))
    other.prune(["t"])
    assert values(saver.get_tuple(newest))["log"] == large(13, 9000)
    assert one_server.rows() == {
        "threads": 1,
        "checkpoints": 1,
        "values": 1,
        "segments": 1,
        "writes": 0,
    }
    assert b"journal" not in one_server.stored()


def test_prunes_and_writers_at_once_leave_everything_readable(
    saver: RedisSaver, one_server: RedisHarness
) -> None:
    """Writers grow values that are shared, and go back to states that a prune removes."""
    filled(saver, 3)
    done = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        with one_server.open() as writer:
            for step in range(10 * seed, 10 * seed + 60):
                size = chance.choice((2_000, 9_000, 30_000))
                config = writer.put(*arguments("t", step, log=large(chance.randrange(4), size)))
                found = writer.get_tuple(config)
                assert found is None or values(found)["step"] == step
                writer.put_writes(config, [(RESUME, large(chance.randrange(4), size))], "task")

    def prune() -> None:
        with one_server.open() as pruner:
            while not done.is_set():
                pruner.prune(["t"])

    with ThreadPoolExecutor() as pool:
        pruning = [pool.submit(prune) for _ in range(2)]
        try:
            for writing in [pool.submit(write, seed) for seed in (1, 20)]:
                writing.result()
        finally:
            done.set()
        for each in pruning:
            each.result()
    with one_server.open() as reader:
        for found in reader.list(on("t")):
            assert values(found)["log"] is not None
        reader.prune(["t"])
        assert len(list(reader.list(on("t")))) == 1
        assert one_server.rows()["segments"] <= 2
