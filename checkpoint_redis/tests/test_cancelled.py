"""A call that is cancelled or interrupted is not carried out later."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from hashlib import sha1
from typing import Any

import pytest
import redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio import RedisCluster as AsyncRedisCluster

from checkpoint_base.tests.cancelling import (
    a_call_of_a_saver,
    a_call_of_a_store,
    for_a_loop,
    storm,
)
from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_redis import AsyncRedisSaver, AsyncRedisStore, RedisSaver, RedisStore
from checkpoint_redis.connection.commands import CommandBatch
from checkpoint_redis.connection.connect import target_of
from checkpoint_redis.connection.requests import ScriptCall
from checkpoint_redis.connection.scripts import Script
from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests.faults import Proxy
from conformance_tests.samples.build import on
from tests.servers.redis import redis_server

DIRECT = 4  # calls that do not wait for others


@asynccontextmanager
async def only_connection_taken(client: Any) -> AsyncIterator[None]:
    """Inside the block nobody else gets the only connection of a client."""
    taken = client.client()
    await taken.initialize()
    yield
    await taken.aclose()


async def settled() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def ended(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks)
    assert [task for task in tasks if not task.cancelled()] == []


def on_a_loop(test: Callable[[RedisHarness], Coroutine[Any, Any, None]]) -> Any:
    def run(one_server: RedisHarness) -> None:
        asyncio.run(asyncio.wait_for(test(one_server), 60))

    run.__name__ = test.__name__
    return run


@on_a_loop
async def test_puts_that_wait_for_a_connection(harness: RedisHarness) -> None:
    """Alone, with others, and before the others begin."""
    opened = AsyncRedisSaver.from_conn_string(harness.url, prefix=harness.prefix, max_connections=1)
    async with opened as saver:
        await saver.setup()
        async with only_connection_taken(saver.client):
            puts = [asyncio.create_task(saver.aput(*arguments(f"{n}", n))) for n in range(10)]
            await settled()
            puts[0].cancel()
            puts[DIRECT].cancel()
            await settled()
            puts[DIRECT + 1].cancel()  # waits together with the rest now
            await settled()
        await asyncio.wait(puts)
        gone = [n for n, put in enumerate(puts) if put.cancelled()]
        assert gone == [0, DIRECT, DIRECT + 1]
        there = [one.config["configurable"]["thread_id"] async for one in saver.alist(None)]
        assert sorted(there) == [f"{n}" for n in range(10) if n not in gone]


@on_a_loop
async def test_puts_to_a_store_that_wait_for_a_connection(harness: RedisHarness) -> None:
    """Those of one tick, which become one script."""
    opened = AsyncRedisStore.from_conn_string(harness.url, prefix=harness.prefix, max_connections=1)
    async with opened as store:
        await store.setup()
        async with only_connection_taken(store.client):
            puts = [asyncio.create_task(store.aput(("n",), f"{n}", {"n": n})) for n in range(3)]
            await settled()
            for put in puts:
                put.cancel()
            await ended(*puts)
        assert await store.asearch(("n",)) == []


@pytest.mark.parametrize("whole", [False, True])
def test_what_redis_py_has_not_sent_is_withdrawn(
    one_server: RedisHarness, cluster: RedisHarness, whole: bool
) -> None:
    """Its pipelines hold commands until they have a connection, and while they try again."""

    async def check(client: Any, key: bytes) -> None:
        pipeline = client.pipeline()
        text = b"return redis.call('SET', KEYS[1], ARGV[1])"
        calls = [ScriptCall(_script(text), [key], [value]) for value in ("first", "second")]
        batches = [CommandBatch([call], whole=whole) for call in calls]
        for batch in batches:
            for command in batch.commands():
                pipeline.execute_command(*command)
        batches[1].withdraw()
        if not whole:
            await client.script_load(text)
        await pipeline.execute(raise_on_error=False)
        assert await client.get(key) == b"first"

    async def main() -> None:
        async with AsyncRedis.from_url(one_server.url) as client:
            await check(client, f"{one_server.prefix}:a".encode())
        host, port = target_of(cluster.url).hosts[0]
        async with AsyncRedisCluster(host, port) as nodes:
            await check(nodes, f"{cluster.prefix}:a".encode())

    asyncio.run(main())


def _script(text: bytes) -> Script:
    return Script("set", text, sha1(text, usedforsecurity=False).hexdigest().encode())


# ---------------------------------------------------------------- sent, but not carried out yet


@contextmanager
def paused(url: str) -> Iterator[Callable[[int], None]]:
    """Inside the block a server takes writes and carries none out; yields what waits until so many
    are held up, and no other client is connected.
    """
    client: Any
    with closing(redis.Redis.from_url(url)) as client:

        def held_up(count: int) -> None:
            for _ in range(3000):
                states = [each["flags"] for each in client.client_list(_type="normal")]
                if sorted(states) == ["N"] + count * ["b"]:
                    return
                time.sleep(0.01)
            raise TimeoutError(f"never are {count} clients held up")

        client.client_pause(600_000, all=False)
        yield held_up
        client.client_unpause()


def test_puts_that_the_server_holds_up() -> None:
    """Of tasks that give up one by one: the last one of those that went together ends them all."""

    async def main(url: str) -> None:
        async with AsyncRedisSaver.from_conn_string(url) as saver:
            await saver.setup()
            with paused(url) as held_up:
                puts = [asyncio.create_task(saver.aput(*arguments("t", n))) for n in range(10)]
                await asyncio.to_thread(held_up, DIRECT)
                puts[0].cancel()
                await ended(puts[0])
                await settled()  # now the next one has begun with all that wait
                await asyncio.to_thread(held_up, DIRECT)
                for put in puts[1:]:
                    put.cancel()
                await ended(*puts[1:])
                await asyncio.to_thread(held_up, 0)
            assert [one async for one in saver.alist(on("t"))] == []
            await saver.aput(*arguments("t", 1))
            assert len([one async for one in saver.alist(on("t"))]) == 1

    with redis_server() as url:
        asyncio.run(asyncio.wait_for(main(url), 120))


def test_a_put_that_is_interrupted() -> None:
    """Ctrl-C while the server holds it up: the next call gets a reply of its own."""
    with redis_server() as url, RedisSaver.from_conn_string(url) as saver:
        saver.setup()
        saver.put(*arguments("t", 1))
        with paused(url) as held_up:

            def interrupt() -> None:
                held_up(1)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

            interrupting = threading.Thread(target=interrupt)
            interrupting.start()
            with pytest.raises(KeyboardInterrupt):
                saver.put(*arguments("t", 2))
            interrupting.join()
            held_up(0)
        assert steps_of(saver, "t") == [1]
        saver.delete_thread("t")
        assert steps_of(saver, "t") == []


@pytest.mark.parametrize("fault", ["cut", "swallow"])
@pytest.mark.parametrize("kind", [RedisSaver, AsyncRedisSaver, RedisStore, AsyncRedisStore])
def test_cancelled_at_random_points(
    one_server: RedisHarness, caplog: pytest.LogCaptureFixture, kind: Any, fault: str
) -> None:
    """Many calls, beside cut and silent connections: asyncio has nothing to log."""
    call = a_call_of_a_saver if kind.__name__.endswith("Saver") else a_call_of_a_store
    with Proxy(*one_server.address()) as proxy:

        @asynccontextmanager
        async def opening() -> AsyncIterator[Any]:
            url = f"redis://{proxy.host}:{proxy.port}/0"
            opened = kind.from_conn_string(url, prefix=one_server.prefix, call_timeout=1.0)
            awaited = kind.__name__.startswith("Async")
            async with opened if awaited else for_a_loop(opened) as one:
                await one.asetup()
                yield one

        storm(opening, call, getattr(proxy, fault))
    assert [record for record in caplog.records if record.name == "asyncio"] == []
