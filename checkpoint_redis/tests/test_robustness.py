"""Many at once, servers that are killed, stopped or frozen, and what was evicted."""

from __future__ import annotations

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from typing import Any

import pytest
import redis

from checkpoint_base.errors import BackendUnavailableError, CorruptValueError
from checkpoint_base.tests.load import OnFourConnections, arguments, calls_of, steps_of
from checkpoint_redis import AsyncRedisSaver, RedisSaver
from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests import Proxy
from conformance_tests.samples.build import large, on, values
from conformance_tests.samples.driver_adapter import Flavour, opened
from tests.servers.process import free_port, temporary_folder
from tests.servers.redis import redis_server, started_redis


class TestLoad(OnFourConnections):
    @pytest.fixture
    def harness(self, one_server: RedisHarness) -> RedisHarness:
        return one_server

    def opened(self, harness: RedisHarness) -> AbstractContextManager[RedisSaver]:
        return RedisSaver.from_conn_string(harness.url, prefix=harness.prefix, max_connections=4)

    def aopened(self, harness: RedisHarness) -> AbstractAsyncContextManager[AsyncRedisSaver]:
        return AsyncRedisSaver.from_conn_string(
            harness.url, prefix=harness.prefix, max_connections=4
        )


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


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_a_primary_that_became_a_replica_is_left_for_the_new_one(flavour: Flavour) -> None:
    """The name of a service then leads to another server, and open connections do not."""
    soon = {"repl-diskless-sync-delay": "0"}
    with redis_server(**soon) as old, redis_server(**soon) as new, ExitStack() as stack:
        nodes = [stack.enter_context(redis.Redis.from_url(url)) for url in (old, new)]
        ports = [node.get_connection_kwargs()["port"] for node in nodes]
        proxy = stack.enter_context(Proxy("127.0.0.1", ports[0]))
        harness = RedisHarness(f"redis://{proxy.host}:{proxy.port}/0", "moved")
        saver = stack.enter_context(opened(harness, flavour))
        saver.put(*arguments("t", 0))
        nodes[1].execute_command("REPLICAOF", "127.0.0.1", ports[0])
        while nodes[1].info("replication")["master_link_status"] != "up":
            time.sleep(0.02)
        nodes[1].execute_command("REPLICAOF", "NO", "ONE")
        nodes[0].execute_command("REPLICAOF", "127.0.0.1", ports[1])
        proxy.target = ("127.0.0.1", ports[1])
        saver.put(*arguments("t", 1))
        assert [values(one)["step"] for one in saver.list(on("t"))] == [1, 0]


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


@pytest.mark.parametrize("key", ["records", "order"])
def test_what_was_evicted_is_an_error_and_can_be_deleted(
    one_server: RedisHarness, key: str
) -> None:
    (client,) = one_server.nodes
    with one_server.open() as saver:
        saver.put(*arguments("t", 1, log=large()))
        names = [f"{one_server.prefix}:{{t}}:records", f"{one_server.prefix}:{{t}}:order"]
        client.delete(*(name for name in names if name.endswith(key)))
        for call in calls_of(saver)[:4]:
            with pytest.raises(CorruptValueError, match=r"gone.*\{t\}"):
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


def test_large_replies_leave_no_garbage_in_the_server() -> None:
    with redis_server() as url, RedisSaver.from_conn_string(url) as saver:
        saver.setup()
        head = saver.put(*arguments("t", 0, log=large(1, 2_000_000)))
        for step in range(5):
            assert values(saver.get_tuple(head))["log"] == large(1, 2_000_000)
            saver.put_writes(head, [("step", step)], f"task {step}")
        with redis.Redis.from_url(url) as server:
            assert server.info("memory")["used_memory_lua"] < 1_000_000
