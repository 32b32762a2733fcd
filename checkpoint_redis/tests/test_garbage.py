"""What writes replace stays, is counted, and is collected by prune and by a sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from checkpoint_base.tests.load import arguments
from checkpoint_redis import RedisSaver
from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests.samples.build import large, on, values

LINEAR = {"hkeys", "hgetall", "hvals", "hscan", "zrange", "zrangebylex"}
"""Commands that look at more of a thread the longer it is."""


@pytest.fixture(params=["one_server", "cluster"])
def harness(request: pytest.FixtureRequest) -> RedisHarness:
    found: RedisHarness = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def saver(one_server: RedisHarness) -> Iterator[RedisSaver]:
    with one_server.open() as saver:
        yield saver


def head_of(saver: RedisSaver, thread: str, length: int) -> RunnableConfig:
    """A thread of so many checkpoints; each has a value in the log."""
    config = on(thread)
    for step in range(1, length + 1):
        config = saver.put(*arguments(thread, step, log=large(step % 50, 3000)))
    saver.put_writes(config, [(INTERRUPT, large(9, 9000))], "task")
    saver.put_writes(config, [("log", large(8, 9000))], "task")
    return config


def writes_that_replace(
    saver: RedisSaver, other: RedisSaver, config: RunnableConfig, thread: str, last: int
) -> dict[str, Callable[[], Any]]:
    return {
        "a small RESUME": lambda: saver.put_writes(config, [(RESUME, "yes")], "task"),
        "the INTERRUPT again": lambda: saver.put_writes(config, [(INTERRUPT, "small")], "task"),
        "a checkpoint again": lambda: saver.put(*arguments(thread, last, log=large(77, 9000))),
        "a write that comes second": lambda: saver.put_writes(
            config, [("log", large(7, 9000))], "task"
        ),
        "a process that knows nothing": lambda: other.put_writes(
            config, [(ERROR, large(78, 9000))], "task"
        ),
    }


def test_no_write_looks_at_more_where_the_thread_is_longer(one_server: RedisHarness) -> None:
    """Counted by the server: commands of scripts and how often each was called."""
    (client,) = one_server.nodes
    counts: list[dict[str, dict[str, int]]] = []
    with one_server.open() as saver:
        for length in (10, 5000):
            thread = f"thread of {length}"
            config = head_of(saver, thread, length)
            counts.append({})
            with one_server.open() as other:
                writes = writes_that_replace(saver, other, config, thread, length)
                for name, write in writes.items():
                    client.config_resetstat()
                    write()
                    told = client.info("commandstats")
                    counts[-1][name] = {
                        command.removeprefix("cmdstat_"): entry["calls"]
                        for command, entry in told.items()
                        if "config" not in command
                    }
    for name, commands in counts[1].items():
        assert not LINEAR & commands.keys(), (name, commands)
    assert sum(counts[1]["a process that knows nothing"].values()) < 200  # its newest segments
    for found in counts:
        del found["a process that knows nothing"]
    assert counts[0] == counts[1]


def counted(harness: RedisHarness) -> list[int]:
    return [int(node.hget(key, "garbage") or 0) for node, key in list(harness.keys("{*}:records"))]


def waiting(harness: RedisHarness) -> list[bytes]:
    """Threads that a sweep is to look at."""
    return [
        member[2:]
        for node, key in list(harness.keys("threads:*:labels"))
        for member in node.zrangebylex(key, "[g", "(h")
    ]


def test_a_sweep_collects_what_was_replaced(harness: RedisHarness) -> None:
    with harness.open() as saver, harness.open() as other:
        saver.put(*arguments("small", 1, log=large(1, 9000)))
        saver.put(*arguments("small", 1, log=large(2, 9000)))
        kept = saver.put(*arguments("t", 1, log=large(3, 9000)))
        rows = harness.rows()
        for n in range(10):
            saver.put_writes(kept, [(RESUME, large(10 + n, 200_000))], "task")
        assert harness.rows()["segments"] > rows["segments"] + 9
        assert waiting(harness) == [b"t"]
        assert max(counted(harness)) > 1 << 20
        assert other.sweep_ttl() == 0
        assert waiting(harness) == []
        assert min(counted(harness)) == 0
        assert harness.rows()["segments"] == rows["segments"] + 1
        found = saver.get_tuple(kept)
        assert found is not None
        assert values(found)["log"] == large(3, 9000)
        assert found.pending_writes == [("task", RESUME, large(19, 200_000))]
        again = saver.put(*arguments("t", 2, log=large(19, 200_000)))  # on a log with another epoch
        assert values(other.get_tuple(again))["log"] == large(19, 200_000)
        saver.prune(["small"])
        assert counted(harness) == [0, 0]


def test_a_sweep_collects_up_to_its_limit_of_threads(harness: RedisHarness) -> None:
    with harness.open(ttl={"sweep_limit": 2}) as saver:
        for name in "abc":
            config = saver.put(*arguments(name, 1))
            for n in range(10):
                saver.put_writes(config, [(RESUME, large(n, 200_000))], "task")
        for left in (1, 0):
            assert saver.sweep_ttl() == 0
            assert len(waiting(harness)) == left


def test_deleting_a_thread_drops_it_from_those_to_be_collected(harness: RedisHarness) -> None:
    with harness.open() as saver:
        config = saver.put(*arguments("t", 1))
        for n in range(10):
            saver.put_writes(config, [(RESUME, large(n, 200_000))], "task")
        assert waiting(harness) == [b"t"]
        saver.delete_thread("t")
        assert waiting(harness) == []


def test_a_put_that_is_made_again_leaves_nothing(
    saver: RedisSaver, one_server: RedisHarness
) -> None:
    put = arguments("t", 1, log=large(1, 9000))
    for _ in range(3):
        config = saver.put(*put)
        saver.put_writes(config, [(INTERRUPT, large(2, 9000)), ("log", large(3, 9000))], "task")
    assert counted(one_server) == [0]
