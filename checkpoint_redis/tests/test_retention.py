"""Retention policies go in steps, between which others read and write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from checkpoint_base.saver.ttl.retention import Retention
from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_redis import RedisSaver
from checkpoint_redis.saver import collection
from checkpoint_redis.tests.harness import RedisHarness
from checkpoint_redis.tests.test_collection import filled, watched
from conformance_tests.samples.build import large, on, values


@pytest.fixture
def saver(one_server: RedisHarness) -> Iterator[RedisSaver]:
    with one_server.open() as opened:
        yield opened


@pytest.fixture
def other(one_server: RedisHarness) -> Iterator[RedisSaver]:
    """Another process."""
    with one_server.open() as opened:
        yield opened


def retained(saver: RedisSaver, policy: Retention) -> Any:
    return saver._planner.retain(saver._codec, policy)


def test_an_idle_thread_that_is_written_meanwhile_stays(
    saver: RedisSaver, other: RedisSaver, one_server: RedisHarness
) -> None:
    filled(saver, 3)
    one_server.advance(7_200)

    def write(name: str) -> None:
        if name == "delete":
            other.put_writes(on("t", "", "00000003"), [("log", "late")], "task")

    asked = watched(saver, retained(saver, Retention(idle="1h")), write)
    assert asked.count("delete") == 1
    assert steps_of(saver, "t") == [3, 2, 1]


def test_a_fork_from_an_old_checkpoint_keeps_its_history(
    saver: RedisSaver, other: RedisSaver
) -> None:
    """It is put after the policy has read the thread, which it then reads again."""
    first, *_ = filled(saver, 6)
    saver.put_writes(first, [("delta", "first")], "task")
    before: list[str] = []

    def fork(name: str) -> None:
        before.append(name)
        if name == "scan" and before[-2:] == ["latest", "scan"] and before.count("latest") == 2:
            _, body, metadata, versions = arguments("t", 7)
            body["channel_versions"]["delta"] = "1"
            counters: Any = {"counters_since_delta_snapshot": {"delta": [1, 1]}}
            extended: Any = {**metadata, **counters}
            other.put(first, body, extended, {**versions, "delta": "1"})

    asked = watched(saver, retained(saver, Retention(keep_last=2)), fork)
    assert asked.count("latest") == 3  # of the dry run, and twice
    assert steps_of(saver, "t") == [7, 6, 1]
    history = saver.get_delta_channel_history(config=on("t"), channels=["delta"])
    assert history["delta"]["writes"] == [("task", "delta", "first")]


def test_what_stays_can_be_read_before_every_step(
    saver: RedisSaver, other: RedisSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "_REMOVED_AT_ONCE", 1)
    filled(saver, 8)

    def look(_: str) -> None:
        for found in other.list(on("t")):
            assert values(found)["log"] == large(values(found)["step"], 9000)

    asked = watched(saver, retained(saver, Retention(keep_last=3)), look)
    assert asked.count("collect") > 10  # one record each
    assert steps_of(other, "t") == [8, 7, 6]


def test_the_next_policy_collects_what_a_process_that_died_left(
    saver: RedisSaver, one_server: RedisHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "_REMOVED_AT_ONCE", 5)

    class DiedError(Exception):
        pass

    rows = []
    for dies_at in (99, 2, 3):
        filled(saver, 6)
        steps: list[str] = []

        def die(name: str, at: int = dies_at, steps: list[str] = steps) -> None:
            steps += [name] * (name == "collect")
            if len(steps) == at:
                raise DiedError

        if dies_at == 99:
            watched(saver, retained(saver, Retention(keep_last=2)), die)
        else:
            with pytest.raises(DiedError):
                watched(saver, retained(saver, Retention(keep_last=2)), die)
            assert saver.prune(Retention(keep_last=2)).threads_pruned == 1
        assert steps_of(saver, "t") == [6, 5]
        assert saver.prune(Retention(keep_last=2)).threads_pruned == 0
        rows.append(dict(one_server.rows()))
        saver.delete_thread("t")
    assert rows == rows[:1] * 3
