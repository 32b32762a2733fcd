"""Prefixes that nobody has set up."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest
import redis

from checkpoint_base.errors import NotSetUpError, SchemaVersionError
from checkpoint_base.tests.calls import PUT, SAVER_CALLS, STORE_CALLS
from checkpoint_redis import AsyncRedisSaver, AsyncRedisStore, RedisSaver, RedisStore
from checkpoint_redis.tests.harness import ClusterHarness, cluster_client
from conformance_tests.samples.build import on

NEVER = r"nothing that was set up under the prefix '{}', call setup\(\) once"


@pytest.fixture
def prefix() -> str:
    return f"unset-{secrets.token_hex(6)}"


def written(url: str, prefix: str) -> list[bytes]:
    with redis.Redis.from_url(url) as client:
        return list(client.scan_iter(match=f"*{prefix}*", count=1000))


@pytest.mark.parametrize("call", SAVER_CALLS.values(), ids=list(SAVER_CALLS))
def test_a_saver_says_to_call_setup(
    redis_url: str, prefix: str, call: Callable[[Any], Any]
) -> None:
    with RedisSaver.from_conn_string(redis_url, prefix=prefix) as saver:
        with pytest.raises(NotSetUpError, match=NEVER.format(prefix)):
            call(saver)
        assert written(redis_url, prefix) == []
        with RedisSaver.from_conn_string(redis_url, prefix=prefix) as other:
            other.setup()
        call(saver)


@pytest.mark.parametrize("call", STORE_CALLS.values(), ids=list(STORE_CALLS))
def test_a_store_says_to_call_setup(
    redis_url: str, prefix: str, call: Callable[[Any], Any]
) -> None:
    with RedisStore.from_conn_string(redis_url, prefix=prefix) as store:
        with pytest.raises(NotSetUpError, match=NEVER.format(prefix)):
            call(store)
        assert written(redis_url, prefix) == []
        with RedisStore.from_conn_string(redis_url, prefix=prefix) as other:
            other.setup()
        call(store)


def test_on_an_event_loop(redis_url: str, prefix: str) -> None:
    async def main() -> None:
        async with (
            AsyncRedisSaver.from_conn_string(redis_url, prefix=prefix) as saver,
            AsyncRedisStore.from_conn_string(redis_url, prefix=prefix) as store,
        ):
            with pytest.raises(NotSetUpError, match=NEVER.format(prefix)):
                await saver.aput(*PUT)
            with pytest.raises(NotSetUpError, match=NEVER.format(prefix)):
                await store.aput(("a",), "k", {"n": 1})
            await saver.setup()
            await store.setup()
            await asyncio.gather(saver.aput(*PUT), store.aput(("a",), "k", {"n": 1}))

    asyncio.run(main())


def test_on_a_cluster(cluster: ClusterHarness, prefix: str) -> None:
    saver = RedisSaver(cluster_client(cluster.url), prefix=prefix)
    with pytest.raises(NotSetUpError, match=NEVER.format(prefix)):
        saver.get_tuple(on("t"))


def test_a_newer_version_is_noticed_without_setup(redis_url: str, prefix: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"{prefix}:schema", 99)
        saver = RedisSaver(client, prefix=prefix)
        with pytest.raises(SchemaVersionError, match=f"'{prefix}' has schema version 99"):
            saver.get_tuple(on("t"))
