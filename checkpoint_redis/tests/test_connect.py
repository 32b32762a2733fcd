"""URLs, and the clients that they name."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest
import redis
from redis.asyncio import Redis as AsyncRedis

from checkpoint_base.backends import aopen_saver, open_saver
from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    InvalidArgumentError,
    SchemaVersionError,
)
from checkpoint_base.tests.load import arguments
from checkpoint_redis import AsyncRedisSaver, AsyncRedisStore, RedisSaver, RedisStore
from checkpoint_redis.connection.connect import Target, target_of
from checkpoint_redis.tests.harness import RedisHarness
from conformance_tests.samples.build import large, on, values
from tests.servers.process import free_port, temporary_folder
from tests.servers.redis import running_sentinel, started_redis


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:1/2", Target("single", [], "", {})),
        ("redis+cluster://a:1,b", Target("cluster", [("a", 1), ("b", 6379)], "", {})),
        (
            "redis+cluster://ann:p%40ss@a:1?socket_timeout=2",
            Target(
                "cluster",
                [("a", 1)],
                "",
                {"socket_timeout": 2.0, "username": "ann", "password": "p@ss"},
            ),
        ),
        ("rediss+cluster://[::1]:7", Target("cluster", [("::1", 7)], "", {"ssl": True})),
        (
            "redis+sentinel://a,b:2/main",
            Target("sentinel", [("a", 26379), ("b", 2)], "main", {"db": 0}),
        ),
        ("redis+sentinel://a/main/3", Target("sentinel", [("a", 26379)], "main", {"db": 3})),
    ],
)
def test_urls(url: str, expected: Target) -> None:
    assert target_of(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "secret",
        "http://:secret@h",
        "redis+sentinel://:secret@h",
        "redis+sentinel://:secret@h/main/x",
        "redis+cluster://:secret@h:x",
        "redis://:secret@h:port/0",
        "redis://:secret@h:70000/0",
        "redis://:1/secret@h/0",
        "redis://:my/secret@h/0",
        "redis://:my[secret@h/0",
        "redis://h/secret",
        "redis+sentinel://h/main?socket_timeout=secret",
    ],
)
def test_what_is_no_url_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="conn_string") as caught:
        target_of(url)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("redis://h/0?foo=secret", "no option 'foo'"),
        ("redis://h/0?socket_timeout=secret", "'socket_timeout'"),
        ("redis://:1?secret=x@h/0", "'\\?' %3F"),
        ("unix:///nowhere?foo=secret", "no option 'foo'"),
        ("rediss://h/0?ssl_cert_reqs=bogus", "Certificate Requirements"),
        ("redis+sentinel://h/main?foo=secret", "no option 'foo'"),
    ],
)
def test_options_that_there_are_not(rest: str, said: str) -> None:
    for cls in (RedisSaver, RedisStore):
        with (
            pytest.raises(InvalidArgumentError, match=f"conn_string: .*{said}") as caught,
            cls.from_conn_string(rest),
        ):
            pass
        assert "secret" not in str(caught.value)

    async def main() -> None:
        for cls in (AsyncRedisSaver, AsyncRedisStore):
            with pytest.raises(InvalidArgumentError, match=f"conn_string: .*{said}"):
                async with cls.from_conn_string(rest):
                    pass

    asyncio.run(main())


@pytest.mark.parametrize("prefix", ["", "a{b", "a\0b"])
def test_prefixes_that_cannot_be(prefix: str) -> None:
    with pytest.raises(InvalidArgumentError, match="prefix"):
        RedisSaver(redis.Redis(), prefix=prefix)


def test_clients_that_are_none() -> None:
    anything: Any = object()
    with pytest.raises(InvalidArgumentError, match="client"):
        RedisSaver(anything)

    async def main() -> None:
        with pytest.raises(InvalidArgumentError, match="client"):
            AsyncRedisSaver(anything)

    asyncio.run(main())


def check(url: str) -> None:
    with open_saver(url) as saver:
        assert saver.stats()["server"].startswith("Redis ")

    async def main() -> None:
        async with aopen_saver(url) as asaver:
            assert (await asaver.astats())["backend"] == "redis"

    asyncio.run(main())


def test_one_server_and_a_cluster(redis_url: str, redis_cluster_url: str) -> None:
    check(redis_url)
    check(redis_cluster_url)


def test_a_socket_and_sentinels() -> None:
    with temporary_folder() as folder:
        port, socket = free_port(), folder / "socket"
        with started_redis(folder, port, unixsocket=str(socket)):
            check(f"unix://{socket}?db=1")
            with running_sentinel(folder, port) as hosts:
                check(f"redis+sentinel://{hosts}/main/2")


def test_a_cluster_that_is_not_there() -> None:
    url = f"redis+cluster://127.0.0.1:{free_port()}"
    with pytest.raises(BackendUnavailableError), RedisSaver.from_conn_string(url):
        pass

    async def main() -> None:
        with pytest.raises(BackendUnavailableError):
            async with AsyncRedisSaver.from_conn_string(url):
                pass

    asyncio.run(main())


def test_a_node_of_a_cluster_is_no_server(redis_cluster_url: str) -> None:
    host = redis_cluster_url.partition("://")[2].split(",")[0]
    with (
        pytest.raises(CheckpointError, match="RedisCluster"),
        RedisSaver.from_conn_string(f"redis://{host}") as saver,
    ):
        saver.put_writes(
            {"configurable": {"thread_id": "t", "checkpoint_id": "c"}}, [("a", 1)], "task"
        )


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
