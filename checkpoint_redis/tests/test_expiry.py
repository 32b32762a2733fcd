"""Threads that expire by the server's clock or by ours, and what their number costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis
from langgraph.checkpoint.base import ChannelVersions

from checkpoint_base.tests.load import arguments
from checkpoint_redis import RedisSaver
from checkpoint_redis.tests.harness import RedisHarness
from checkpoint_redis.tests.store_harness import RedisStoreHarness
from conformance_tests.samples.build import (
    checkpoint,
    large,
    metadata,
    new_versions,
    on,
    the,
    values,
)
from tests.servers.redis import redis_server


def test_a_thread_in_use_keeps_every_channel_and_then_expires_whole() -> None:
    """A put every 50 ms for 10 s, with a time to live of 1 s; then nothing for 2 s."""
    big = large(1, 1_000_000)
    with (
        redis_server() as url,
        redis.Redis.from_url(url) as client,
        RedisSaver.from_conn_string(url, ttl={"default_ttl": 1 / 60}) as saver,
    ):
        saver.setup()
        before = client.dbsize()
        assert any(used_for_10_seconds(saver, f"t{n}", big) for n in range(5))
        assert client.dbsize() == before + 2
        time.sleep(2)
        assert client.dbsize() == before
        assert saver.get_tuple(on("t0")) is None
        assert saver.list_threads().threads == []


def used_for_10_seconds(saver: RedisSaver, thread: str, big: str) -> bool:
    """Whether this machine kept to the pace; what it found is asserted."""
    config = on(thread)
    first = checkpoint({"big": big, "step": 0})
    config = saver.put(config, first, metadata(), new_versions(first))
    versions, begin, touched = dict(first["channel_versions"]), time.monotonic(), time.monotonic()
    step = 0
    while time.monotonic() < begin + 10:
        time.sleep(0.05)
        step += 1
        body = checkpoint({"big": big, "step": step})
        body["channel_versions"] = {**versions, "step": f"{step}"}
        new: ChannelVersions = {"step": f"{step}"}
        now = time.monotonic()
        config = saver.put(config, body, metadata(), new)
        if now - touched > 0.8:
            return False  # it may have expired in between
        touched = now
        if step % 20 == 0:
            assert values(saver.get_tuple(on(thread))) == {"big": big, "step": step}
    assert values(the(saver.get_tuple(on(thread)))) == {"big": big, "step": step}
    return True


def test_the_server_expires_both_keys_at_once(one_server: RedisHarness) -> None:
    (client,) = one_server.nodes
    names = [f"{one_server.prefix}:{{t}}:records", f"{one_server.prefix}:{{t}}:order"]
    with one_server.open(ttl={"default_ttl": 10, "refresh_on_read": True}) as saver:
        saver.put(*arguments("t", 1))
        for call in (
            lambda: saver.get_tuple(on("t")),
            lambda: list(saver.list(on("t"))),
            lambda: saver.get_delta_channel_history(config=on("t"), channels=["step"]),
            lambda: saver.put_writes(on("t", "", "00000001"), [("a", 1)], "task"),
        ):
            for name in names:
                client.pexpire(name, 60_000)
            one_server.advance(30)
            call()
            assert all(client.pttl(name) > 590_000 for name in names)
        saver.copy_thread("t", "u")
        assert client.pttl(names[0].replace("{t}", "{u}")) > 590_000
    with one_server.open() as saver:
        saver.put(*arguments("t", 2))
        assert [client.pttl(name) for name in names] == [-1, -1]
    with one_server.open(ttl={"default_ttl": 10, "strategy": "keep_latest"}) as saver:
        saver.put(*arguments("t", 3))
        assert [client.pttl(name) for name in names] == [-1, -1]


def test_10000_threads_cost_two_keys_each_and_nothing_more_to_delete(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, db=9) as client:
        client.flushdb()
        saver = RedisSaver(client)
        saver.setup()
        registry = client.dbsize()
        saver.put(*arguments("thread", 1))
        saver.delete_thread("thread")  # the server learns the scripts
        commands = []
        for fleet in (100, 10_000):
            for n in range(int(client.dbsize() - registry) // 2, fleet):
                saver.put(*arguments(f"thread {n}", 1))
            assert client.dbsize() == registry + 2 * fleet
            saver.put(*arguments("thread 7", 2, log=large()))
            client.config_resetstat()
            saver.delete_thread("thread 7")
            saver.put(*arguments("thread 7", 1))
            stats = client.info("commandstats")
            stats.pop("cmdstat_config|resetstat", None)
            commands.append({name: told["calls"] for name, told in stats.items()})
        assert commands[0] == commands[1]
        assert len(saver.list_threads(limit=20_000).threads) == 10_000
        client.flushdb()


def test_the_registry_drops_what_the_server_expired(one_server: RedisHarness) -> None:
    """By the way, when a put meets many."""
    (client,) = one_server.nodes
    with one_server.open(ttl={"default_ttl": 1}) as saver:
        for n in range(2500):
            saver.put(*arguments(f"thread {n}", 1))
        for node, key in list(one_server.keys("{*}:*")):
            node.delete(key)  # as the server does
        one_server.advance(61)
        for n in range(200):
            saver.put(*arguments(f"new {n}", 1))
        left = sum(client.zcard(key) - 1 for _, key in one_server.keys("threads:*:updated"))
        assert left < 200 + 16 * 64
        assert len(saver.list_threads(limit=1000).threads) == 200
        left = sum(client.zcard(key) - 1 for _, key in one_server.keys("threads:*:updated"))
        assert left == 200


def test_puts_remove_what_expired_by_our_clock(one_server: RedisHarness) -> None:
    """The server's clock may be slow; and who only thins out leaves it to the sweep."""
    with one_server.open(ttl={"default_ttl": 1}) as saver:
        for n in range(2500):
            saver.put(*arguments(f"thread {n}", 1))
        one_server.advance(61)
        with one_server.open(ttl={"default_ttl": 1, "strategy": "keep_latest"}) as other:
            for n in range(50):
                other.put(*arguments(f"other {n}", 1))
        assert one_server.rows()["threads"] == 2550
        for n in range(200):
            saver.put(*arguments(f"new {n}", 1))
        assert one_server.rows()["threads"] < 250 + 16 * 64


WRITES = {"hset", "hincrby", "zadd", "zrem", "pexpire", "persist"}


def written(client: redis.Redis, call: Callable[[], Any]) -> bool:
    """Whether a call wrote anything, by the server's own count of commands."""
    client.config_resetstat()
    call()
    told: dict[str, Any] = client.info("commandstats")
    return any(name.removeprefix("cmdstat_") in WRITES for name in told)


def test_a_read_moves_an_expiry_only_if_it_moves_far(one_server: RedisHarness) -> None:
    """By more than 2 % of the time to live, here 12 seconds."""
    (client,) = one_server.nodes
    with one_server.open(ttl={"default_ttl": 10, "refresh_on_read": True}) as saver:
        saver.put(*arguments("t", 1))
        for read in (
            lambda: saver.get_tuple(on("t")),
            lambda: list(saver.list(on("t"))),
            lambda: saver.get_delta_channel_history(config=on("t"), channels=["step"]),
        ):
            one_server.advance(11)
            assert not written(client, read)
            one_server.advance(2)
            assert written(client, read)
            assert not written(client, read)
        one_server.advance(599)
        assert saver.get_tuple(on("t")) is not None


def test_a_short_time_to_live_moves_with_half_of_it_at_the_latest(
    one_server: RedisHarness,
) -> None:
    (client,) = one_server.nodes
    with one_server.open(ttl={"default_ttl": 1 / 60, "refresh_on_read": True}) as saver:
        saver.put(*arguments("t", 1))
        one_server.advance(0.45)
        assert not written(client, lambda: saver.get_tuple(on("t")))
        one_server.advance(0.1)
        assert written(client, lambda: saver.get_tuple(on("t")))
        one_server.advance(0.9)
        assert saver.get_tuple(on("t")) is not None


def test_an_item_that_is_read_moves_only_if_it_moves_far(
    redis_url: str,
) -> None:
    harness = RedisStoreHarness(redis_url, "coarse-expiry")
    try:
        (client,) = harness.nodes
        with harness.open(ttl={"default_ttl": 10}) as store:
            store.put(("a",), "k", {"n": 1})
            for read in (
                lambda: store.get(("a",), "k"),
                lambda: store.search(("a",)),
                lambda: store.search(("a",), filter={"n": 1}),
            ):
                harness.advance(11)
                assert not written(client, read)
                harness.advance(2)
                assert written(client, read)
                assert not written(client, read)
    finally:
        harness.close()
