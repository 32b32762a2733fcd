"""The list of threads after a crash: it shows none that is not there, and loses none that is."""

from __future__ import annotations

from typing import Any

import pytest

from checkpoint_base.plan import run
from checkpoint_base.saver.planner import Listing
from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_redis import RedisSaver
from checkpoint_redis.connection.requests import ScriptCalls
from checkpoint_redis.tests.harness import RedisHarness

LATER = 301.0


class DiedError(Exception):
    """The process ended."""


@pytest.fixture(params=["one_server", "cluster"])
def harness(request: pytest.FixtureRequest) -> RedisHarness:
    found: RedisHarness = request.getfixturevalue(request.param)
    return found


def dying(saver: RedisSaver, plan: Any, script: str) -> None:
    """Run a plan in a process that ends before a script is sent."""

    def perform(request: Any) -> Any:
        names = (
            [call.script.name for call in request.calls] if isinstance(request, ScriptCalls) else []
        )
        if script in names:
            sent = request.calls[: names.index(script)]
            if sent:
                saver._driver.perform(ScriptCalls(sent))
            raise DiedError
        return saver._driver.perform(request)

    with pytest.raises(DiedError):
        run(plan, perform)


def entries(harness: RedisHarness) -> set[bytes]:
    """The threads that the list has, there or not."""
    return {
        name
        for node, key in list(harness.keys("threads:*:updated"))
        for name in node.zrange(key, 0, -1)
        if name != b"\0"
    }


def listed(saver: RedisSaver) -> list[str]:
    return [info.thread_id for info in saver.list_threads().threads]


def test_a_process_that_died_before_its_put(harness: RedisHarness) -> None:
    with harness.open() as saver:
        dying(saver, saver._planner.put(saver._codec, *arguments("t", 1)), "put")
        assert entries(harness) == {b"t"}
        assert listed(saver) == []
        assert entries(harness) == {b"t"}  # another process may be about to make it
        harness.advance(LATER)
        assert listed(saver) == []
        assert entries(harness) == set()


@pytest.mark.parametrize("call", ["list", "stats"])
def test_whoever_meets_a_thread_that_is_gone_drops_it(harness: RedisHarness, call: str) -> None:
    with harness.open() as saver:
        saver.put(*arguments("here", 1))
        saver.put(*arguments("gone", 1))
        dying(saver, saver._planner.delete_thread("gone"), "unregister")
        assert entries(harness) == {b"here", b"gone"}
        harness.advance(LATER)
        if call == "stats":
            assert saver.stats()["threads"] == 1
        else:
            assert len(list(saver.list(None))) == 1
        assert entries(harness) == {b"here"}


def test_a_user_who_may_only_read_leaves_it(one_server: RedisHarness) -> None:
    with one_server.open() as saver:
        saver.put(*arguments("here", 1))
        saver.put(*arguments("gone", 1))
        dying(saver, saver._planner.delete_thread("gone"), "unregister")
    one_server.advance(LATER)
    with one_server.reading_only() as restricted, restricted.open() as reader:
        assert listed(reader) == ["here"]
        assert reader.stats()["threads"] == 1
        assert len(list(reader.list(None))) == 1
    assert entries(one_server) == {b"here", b"gone"}


def test_a_put_that_meets_a_deletion_is_listed(harness: RedisHarness) -> None:
    """The thread is made anew between its deletion and the end of the list's entry."""
    with harness.open() as saver, harness.open() as other:
        saver.put(*arguments("t", 1))

        def perform(request: Any) -> Any:
            if isinstance(request, ScriptCalls) and request.calls[0].script.name == "unregister":
                harness.advance(1)
                other.put(*arguments("t", 2))
            return saver._driver.perform(request)

        run(saver._planner.delete_thread("t"), perform)
        assert listed(saver) == ["t"]
        assert steps_of(saver, "t") == [2]


def test_an_entry_that_a_failover_lost_comes_back_with_the_next_write(
    harness: RedisHarness,
) -> None:
    with harness.open() as saver:
        config = saver.put(*arguments("t", 1))
        for node, key in list(harness.keys("threads:*")):
            members = [one for one in node.zrange(key, 0, -1) if one != b"\0"]
            if members:
                node.zrem(key, *members)
        assert listed(saver) == []
        saver.put_writes(config, [("a", 1)], "task")
        assert listed(saver) == ["t"]
        saver.put(*arguments("t", 2))
        assert len(list(saver.list(None))) == 2


def test_a_list_over_all_threads_asks_few_of_them(one_server: RedisHarness) -> None:
    """However many there are: those with the newest checkpoints."""
    asked: list[str] = []
    with one_server.open() as saver:
        for n in range(400):
            saver.put(*arguments(f"thread {n}", n))
        saver.put(*arguments("thread 7", 1000))

        def perform(request: Any) -> Any:
            asked.extend(call.script.name for call in request.calls)
            return saver._driver.perform(request)

        listing = Listing.of(None, None, None, 5)
        page = run(saver._planner.list_page(saver._codec, listing), perform)
        found = [one.metadata["step"] for one in page.tuples]
        assert found == [1000, 399, 398, 397, 396]
        assert asked.count("list_ids") < 80
        assert len(list(saver.list(None))) == 401
