"""Servers that are killed, stopped or frozen, and what was evicted."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from langgraph.checkpoint.base import ChannelVersions
from redis.asyncio import Redis as AsyncRedis

from checkpoint_base.errors import BackendUnavailableError, CorruptValueError, SchemaVersionError
from checkpoint_redis import AsyncRedisSaver, RedisSaver
from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests.build import checkpoint, large, metadata, new_versions, on, the, values
from tests.servers.process import free_port, temporary_folder
from tests.servers.redis import redis_server, started_redis


def arguments(thread: str, step: int, **more: Any) -> Any:
    stored = checkpoint({"step": step, **more}, id=f"{step:08}")
    return on(thread), stored, metadata(step=step), new_versions(stored)


def steps_of(saver: Any, thread: str) -> list[int]:
    return [values(found)["step"] for found in saver.list(on(thread))]


# ---------------------------------------------------------------- many at once


def test_64_tasks_on_4_connections(one_server: RedisHarness) -> None:
    async def work(saver: AsyncRedisSaver, n: int) -> None:
        for step in range(5):
            head = await saver.aput(*arguments(f"own {n}", step, log=large(n)))
            await saver.aput_writes(head, [("step", step)], "task")
            await saver.aput(*arguments("shared", n * 10 + step, log=large(n)))
            assert await saver.aget_tuple(on(f"own {n}")) is not None

    async def main() -> None:
        opened = AsyncRedisSaver.from_conn_string(
            one_server.url, prefix=one_server.prefix, max_connections=4
        )
        async with opened as saver:
            await saver.setup()
            await asyncio.gather(*(work(saver, n) for n in range(64)))
            for n in range(64):
                found = [one async for one in saver.alist(on(f"own {n}"))]
                assert [values(one)["step"] for one in found] == [4, 3, 2, 1, 0]
                assert all(values(one)["log"] == large(n) for one in found)
                assert all(len(one.pending_writes or ()) == 1 for one in found)
            assert len([one async for one in saver.alist(on("shared"))]) == 64 * 5

    asyncio.run(main())


def test_32_threads_on_4_connections(one_server: RedisHarness) -> None:
    opened = RedisSaver.from_conn_string(
        one_server.url, prefix=one_server.prefix, max_connections=4
    )
    with opened as saver:
        saver.setup()

        def work(n: int) -> None:
            for step in range(5):
                saver.put(*arguments(f"own {n}", step, log=large(n)))
                saver.put(*arguments("shared", n * 10 + step, log=large(n)))

        with ThreadPoolExecutor(32) as threads:
            list(threads.map(work, range(32)))
        assert all(steps_of(saver, f"own {n}") == [4, 3, 2, 1, 0] for n in range(32))
        assert len(steps_of(saver, "shared")) == 32 * 5
        assert saver.stats()["threads"] == 33


# ---------------------------------------------------------------- servers that fail


def test_killed_during_2000_puts_no_acknowledged_put_is_lost() -> None:
    """AOF, `appendfsync always`; the server is killed with SIGKILL and started on its file."""
    durable = {"appendonly": "yes", "appendfsync": "always"}
    with temporary_folder() as folder:
        port = free_port()
        opened = RedisSaver.from_conn_string(f"redis://127.0.0.1:{port}/0")
        acknowledged = -1
        with opened as saver:
            with started_redis(folder, port, **durable) as server:
                saver.setup()
                for step in range(2000):
                    if step == 1300:
                        server.send(signal.SIGKILL)
                    try:
                        saver.put(*arguments("t", step, log=large(step // 50, 4000), pair=step))
                    except BackendUnavailableError:
                        break
                    acknowledged = step
            assert acknowledged >= 1299
            with started_redis(folder, port, **durable):
                found = [values(one) for one in saver.list(on("t"))]
                assert len(found) in (acknowledged + 1, acknowledged + 2)
                for step, state in enumerate(reversed(found)):
                    assert state == {"step": step, "log": large(step // 50, 4000), "pair": step}
                for step in range(len(found), 2000):
                    saver.put(*arguments("t", step))
                assert len(steps_of(saver, "t")) == 2000


def calls_of(saver: RedisSaver) -> list[Callable[[], object]]:
    return [
        lambda: saver.get_tuple(on("t")),
        lambda: saver.put(*arguments("t", 2)),
        lambda: saver.put_writes(on("t", "", "00000001"), [("a", 1)], "task"),
        lambda: list(saver.list(on("t"))),
        lambda: list(saver.list(None)),
        lambda: saver.delete_thread("t"),
        lambda: saver.prune(["t"]),
        lambda: saver.copy_thread("t", "u"),
        lambda: saver.delete_for_runs(["run"]),
        lambda: saver.get_delta_channel_history(config=on("t"), channels=["a"]),
        saver.list_threads,
        saver.stats,
        saver.sweep_ttl,
        saver.setup,
    ]


def test_a_stopped_server_is_an_error_and_a_started_one_is_found_again() -> None:
    with temporary_folder() as folder:
        port = free_port()
        with RedisSaver.from_conn_string(f"redis://127.0.0.1:{port}/0") as saver:
            with started_redis(folder, port, appendonly="yes"):
                saver.setup()
                saver.put(*arguments("t", 1))
            for call in calls_of(saver):
                with pytest.raises(BackendUnavailableError) as caught:
                    call()
                assert isinstance(caught.value.__cause__, redis.ConnectionError)
            with started_redis(folder, port, appendonly="yes"):
                assert steps_of(saver, "t") == [1]


def test_a_stopped_server_is_an_error_for_async_calls_too() -> None:
    async def main() -> None:
        port = free_port()
        async with AsyncRedisSaver.from_conn_string(f"redis://127.0.0.1:{port}/0") as saver:
            for call in (saver.aget_tuple(on("t")), saver.aput(*arguments("t", 1)), saver.astats()):
                with pytest.raises(BackendUnavailableError) as caught:
                    await call
                assert isinstance(caught.value.__cause__, redis.ConnectionError)

    asyncio.run(main())


def test_a_frozen_server_is_an_error() -> None:
    """Its socket takes the question and nobody answers."""
    with temporary_folder() as folder:
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0?socket_timeout=0.2"
        with started_redis(folder, port) as server, RedisSaver.from_conn_string(url) as saver:
            saver.setup()
            saver.put(*arguments("t", 1))
            server.send(signal.SIGSTOP)
            try:
                for call in calls_of(saver)[:4]:
                    with pytest.raises(BackendUnavailableError) as caught:
                        call()
                    assert isinstance(caught.value.__cause__, redis.TimeoutError)
            finally:
                server.send(signal.SIGCONT)
            assert 1 in steps_of(saver, "t")


def test_connections_killed_under_load_lose_nothing(one_server: RedisHarness) -> None:
    (client,) = one_server.nodes
    with one_server.open() as saver:

        def work(n: int) -> None:
            for step in range(100):
                saver.put(*arguments(f"thread {n}", step, log=large(n)))
                if n == 0 and step % 10 == 5:
                    client.client_kill_filter(_type="normal", skipme=True)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(4)))
        for n in range(4):
            assert steps_of(saver, f"thread {n}") == list(range(99, -1, -1))


def test_a_server_that_forgot_its_scripts_is_told_them(one_server: RedisHarness) -> None:
    (client,) = one_server.nodes
    with one_server.open() as saver:
        for step in range(3):
            client.script_flush()
            saver.put(*arguments("t", step))
            client.script_flush()
            saver.list_threads()
            assert len(steps_of(saver, "t")) == step + 1


def test_no_memory_left_is_an_error_and_leaves_no_half_put() -> None:
    with (
        redis_server(maxmemory="20mb") as url,
        RedisSaver.from_conn_string(url) as saver,
    ):
        saver.setup()
        stored: list[int] = []

        def fill() -> None:
            for step in range(1000):
                saver.put(*arguments("t", step, log=large(step, 100_000)))
                stored.insert(0, step)

        with pytest.raises(BackendUnavailableError, match="memory"):
            fill()
        found = [values(one) for one in saver.list(on("t"))]
        assert found == [{"step": n, "log": large(n, 100_000)} for n in stored]
        saver.delete_thread("t")
        deadline = time.monotonic() + 60
        while used_memory(saver) > 15_000_000 and time.monotonic() < deadline:
            time.sleep(0.01)  # UNLINK frees it by the way
        saver.put(*arguments("t", 0))


def used_memory(saver: RedisSaver) -> int:
    client: Any = saver.client
    return int(client.info("memory")["used_memory"])


# ---------------------------------------------------------------- eviction


@pytest.mark.parametrize("key", ["records", "order", "both"])
def test_what_was_evicted_is_an_error_and_can_be_deleted(
    one_server: RedisHarness, key: str
) -> None:
    (client,) = one_server.nodes
    with one_server.open() as saver:
        saver.put(*arguments("t", 1, log=large()))
        names = [f"{one_server.prefix}:{{t}}:records", f"{one_server.prefix}:{{t}}:order"]
        client.delete(*(name for name in names if key in (name.rpartition(":")[2], "both")))
        for call in calls_of(saver)[:4]:
            with pytest.raises(CorruptValueError, match="gone"):
                call()
        saver.delete_thread("t")
        assert saver.get_tuple(on("t")) is None
        saver.put(*arguments("t", 2))
        assert steps_of(saver, "t") == [2]


def test_an_evicted_registry_is_an_error(one_server: RedisHarness) -> None:
    (client,) = one_server.nodes
    with one_server.open() as saver:
        saver.put(*arguments("t", 1))
        client.delete(*(key for _, key in one_server.keys("threads:*")))
        for call in (
            saver.list_threads,
            saver.sweep_ttl,
            saver.stats,
            lambda: list(saver.list(None)),
        ):
            with pytest.raises(CorruptValueError, match="registry"):
                call()
        assert steps_of(saver, "t") == [1]


# ---------------------------------------------------------------- expiry by the server


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


# ---------------------------------------------------------------- many threads


def test_10000_threads_cost_two_keys_each_and_nothing_more_to_delete(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, db=9) as client:
        client.flushdb()
        saver = RedisSaver(client)
        saver.setup()
        registry = client.dbsize()
        saver.delete_thread("nobody")  # the server learns the script
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


# ---------------------------------------------------------------- clients


@pytest.mark.parametrize("options", [{"decode_responses": True}, {"protocol": 3}, {"protocol": 2}])
def test_any_client_will_do_and_stays_open(
    one_server: RedisHarness, options: dict[str, Any]
) -> None:
    state: dict[str, Any] = {"step": 1, "bytes": bytes(range(256)) * 40, "log": large()}
    with redis.Redis.from_url(one_server.url, **options) as client:
        saver = RedisSaver(client, prefix=one_server.prefix)
        saver.setup()
        saver.put(*arguments("t", **state))
        assert values(saver.get_tuple(on("t"))) == state
        assert values(next(saver.list(None))) == state

    async def main() -> None:
        async with AsyncRedis.from_url(one_server.url, **options) as aclient:
            asaver = AsyncRedisSaver(aclient, prefix=one_server.prefix)
            assert values(await asaver.aget_tuple(on("t"))) == state
            assert [values(one) async for one in asaver.alist(None)] == [state]
            assert await aclient.ping()

    asyncio.run(main())


def test_a_newer_schema_is_refused(one_server: RedisHarness) -> None:
    (client,) = one_server.nodes
    client.set(f"{one_server.prefix}:schema", 7)
    with pytest.raises(SchemaVersionError, match="7"), one_server.open():
        pass
