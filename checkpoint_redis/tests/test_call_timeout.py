"""A server that takes what is sent and answers nothing: calls end at `call_timeout`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.asyncio import Redis as AsyncRedis

from checkpoint_base.errors import BackendUnavailableError, InvalidArgumentError
from checkpoint_base.tests.load import arguments
from checkpoint_redis import AsyncRedisSaver, AsyncRedisStore, RedisSaver, RedisStore
from conformance_tests.samples.build import on
from tests.servers.redis import SERVERS, redis_server

SHORT = 0.4  # seconds
NAMED = "call_timeout: a request to Redis was not done within 0.4 s"


@contextmanager
def silent(url: str) -> Iterator[None]:
    """Inside the block the server answers nobody, and takes what is sent."""
    server = SERVERS[urlsplit(url).port or 0]
    server.send(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send(signal.SIGCONT)


def test_blocking_calls_end() -> None:
    """Of a client of our own, and of one that waits for ever by itself."""
    with redis_server() as url, redis.Redis.from_url(url, socket_timeout=None) as client:
        with (
            RedisSaver.from_conn_string(url, call_timeout=SHORT) as own,
            RedisStore.from_conn_string(url, call_timeout=SHORT) as store,
        ):
            brought = RedisSaver(client, call_timeout=SHORT)
            for saver in (own, brought):
                saver.setup()
                saver.put(*arguments("t", 1))
            store.setup()
            with silent(url):
                for saver in (own, brought):
                    with pytest.raises(BackendUnavailableError, match=NAMED):
                        saver.get_tuple(on("t"))
                with pytest.raises(BackendUnavailableError, match=NAMED):
                    own.put(*arguments("t", 2))
                with pytest.raises(BackendUnavailableError, match=NAMED):
                    store.get(("a",), "b")
            for saver in (own, brought):
                assert saver.get_tuple(on("t")) is not None
        assert client.connection_pool.get_connection().socket_timeout is None


def test_calls_on_an_event_loop_end() -> None:
    """All of those that wait together, and those that wait for them."""

    async def main(url: str) -> None:
        async with (
            AsyncRedis.from_url(url, socket_timeout=None) as client,
            AsyncRedisSaver.from_conn_string(url, call_timeout=SHORT) as own,
            AsyncRedisStore.from_conn_string(url, call_timeout=SHORT) as store,
        ):
            brought = AsyncRedisSaver(client, call_timeout=SHORT)
            for saver in (own, brought):
                await saver.setup()
                await saver.aput(*arguments("t", 1))
            await store.setup()
            with silent(url):
                calls = [saver.aget_tuple(on("t")) for saver in (own, brought) for _ in range(80)]
                ended = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(each) for each in ended} == {BackendUnavailableError}
                assert [each for each in ended if not str(each).startswith(NAMED)] == []
                with pytest.raises(BackendUnavailableError, match=NAMED):
                    await store.aget(("a",), "b")
            for saver in (own, brought):
                assert await saver.aget_tuple(on("t")) is not None

    with redis_server() as url:
        asyncio.run(asyncio.wait_for(main(url), 60))


@pytest.mark.parametrize("seconds", [0, -1, True, "60"])
def test_what_is_no_limit_is_refused(redis_url: str, seconds: Any) -> None:
    for cls in (RedisSaver, RedisStore):
        with (
            pytest.raises(InvalidArgumentError, match="call_timeout"),
            cls.from_conn_string(redis_url, call_timeout=seconds),
        ):
            pass
    with pytest.raises(InvalidArgumentError, match="call_timeout"):
        RedisSaver(redis.Redis.from_url(redis_url), call_timeout=seconds)
