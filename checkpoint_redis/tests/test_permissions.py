"""What the ACL of a user refuses, and what servers refuse that may only be read."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from checkpoint_base.errors import BackendUnavailableError, PermissionDeniedError
from checkpoint_base.tests.calls import PUT, SAVER_CALLS, STORE_CALLS
from checkpoint_base.tests.load import arguments
from checkpoint_redis import AsyncRedisSaver, AsyncRedisStore, RedisSaver, RedisStore
from checkpoint_redis.tests.harness import RedisHarness
from checkpoint_redis.tests.users import PASSWORD, as_user, user
from conformance_tests.samples.build import on, values
from tests.servers.process import free_port, temporary_folder
from tests.servers.redis import redis_server, started_redis

EVERYTHING = ("~*", "+@all")
ITEM = ("n",), "k", {"n": 1}
DENIED = {
    "scripts": ((*EVERYTHING, "-evalsha"), r"\+evalsha"),
    "a command in a script": ((*EVERYTHING, "-hset"), r"\+hset"),
    "keys": (("~other:*", "+@all"), "~{}"),
}


@pytest.fixture(params=["one server", "cluster"])
def server(request: pytest.FixtureRequest) -> RedisHarness:
    """One server, and a cluster; its prefix is set up for savers and stores."""
    fixture = "cluster" if request.param == "cluster" else "one_server"
    harness: RedisHarness = request.getfixturevalue(fixture)
    with harness.open():
        pass
    with RedisStore.from_conn_string(harness.url, prefix=harness.prefix) as store:
        store.setup()
    return harness


def assert_denied(caught: pytest.ExceptionInfo[PermissionDeniedError], lacks: str) -> None:
    """The error names what the user lacks, and no password."""
    assert re.search(lacks, str(caught.value))
    assert isinstance(caught.value.__cause__, (redis.RedisError, redis.RedisClusterException))
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("what", DENIED)
def test_what_the_acl_refuses_names_the_right(server: RedisHarness, what: str) -> None:
    rules, lacks = DENIED[what]
    saver_lacks = lacks.format(f"{server.prefix}:")
    store_lacks = lacks.format(rf"\{{{server.prefix}\}}:\*")
    with user(server.nodes, server.url, *rules) as url:
        with RedisSaver.from_conn_string(url, prefix=server.prefix) as saver:
            with pytest.raises(PermissionDeniedError) as caught:
                saver.put(*PUT)
            assert_denied(caught, saver_lacks)
        with RedisStore.from_conn_string(url, prefix=server.prefix) as store:
            with pytest.raises(PermissionDeniedError) as caught:
                store.put(*ITEM)
            assert_denied(caught, store_lacks)

        async def main() -> None:
            async with AsyncRedisSaver.from_conn_string(url, prefix=server.prefix) as saver:
                with pytest.raises(PermissionDeniedError) as caught:
                    await saver.aput(*PUT)
                assert_denied(caught, saver_lacks)
            async with AsyncRedisStore.from_conn_string(url, prefix=server.prefix) as store:
                with pytest.raises(PermissionDeniedError) as caught:
                    await store.aput(*ITEM)
                assert_denied(caught, store_lacks)

        asyncio.run(main())


@pytest.mark.parametrize("lacks", ["command", "cluster"])
def test_what_a_cluster_is_asked_before_anything_else(cluster: RedisHarness, lacks: str) -> None:
    with user(cluster.nodes, cluster.url, *EVERYTHING, f"-{lacks}") as url:
        with (
            pytest.raises(PermissionDeniedError, match=rf"\+{lacks}"),
            RedisSaver.from_conn_string(url),
        ):
            pass

        async def main() -> None:
            with pytest.raises(PermissionDeniedError, match=rf"\+{lacks}"):
                async with AsyncRedisSaver.from_conn_string(url):
                    pass

        asyncio.run(main())


def logins(url: str) -> Iterator[str]:
    """A wrong password, a wrong user, none at all."""
    client: Any
    with closing(redis.Redis.from_url(url)) as client:
        client.execute_command("ACL", "SETUSER", "ann", "on", f">{PASSWORD}", *EVERYTHING)
        client.execute_command("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}")
    yield from (as_user(url, "ann", "wrong-key"), as_user(url, "bob", "wrong-key"), url)
    with closing(redis.Redis.from_url(as_user(url, "ann", PASSWORD))) as client:
        client.execute_command("ACL", "SETUSER", "default", "nopass")


def assert_not_let_in(caught: pytest.ExceptionInfo[PermissionDeniedError]) -> None:
    assert "does not let this user in" in str(caught.value)
    assert "wrong-key" not in "".join(traceback.format_exception(caught.value))


def test_who_is_not_let_in() -> None:
    with redis_server() as server:
        for url in logins(server):
            with RedisSaver.from_conn_string(url) as saver:
                for call in SAVER_CALLS.values():
                    with pytest.raises(PermissionDeniedError) as caught:
                        call(saver)
                    assert_not_let_in(caught)
            with RedisStore.from_conn_string(url) as store:
                for call in STORE_CALLS.values():
                    with pytest.raises(PermissionDeniedError) as caught:
                        call(store)
                    assert_not_let_in(caught)
            asyncio.run(_assert_not_let_in(url))


async def _assert_not_let_in(url: str) -> None:
    async with AsyncRedisSaver.from_conn_string(url) as saver:
        with pytest.raises(PermissionDeniedError) as caught:
            await saver.aput(*PUT)
        assert_not_let_in(caught)
    async with AsyncRedisStore.from_conn_string(url) as store:
        with pytest.raises(PermissionDeniedError) as caught:
            await store.aput(*ITEM)
        assert_not_let_in(caught)


def test_who_is_not_let_into_a_cluster(cluster: RedisHarness) -> None:
    url = as_user(cluster.url, "nobody", "wrong-key")
    with pytest.raises(PermissionDeniedError) as caught, RedisSaver.from_conn_string(url):
        pass
    assert_not_let_in(caught)

    async def main() -> None:
        with pytest.raises(PermissionDeniedError) as caught:
            async with AsyncRedisSaver.from_conn_string(url):
                pass
        assert_not_let_in(caught)

    asyncio.run(main())


def test_a_user_who_lost_the_password_meanwhile(one_server: RedisHarness) -> None:
    """Connections are closed by the server, and new ones are not let in."""
    with ExitStack() as stack:
        with user(one_server.nodes, one_server.url, *EVERYTHING) as url:
            opened = RedisSaver.from_conn_string(url, prefix=one_server.prefix)
            saver = stack.enter_context(opened)
            saver.setup()
            saver.put(*PUT)
        with pytest.raises(PermissionDeniedError, match="does not let this user in"):
            saver.get_tuple(on("t"))


def test_stats_without_info(server: RedisHarness) -> None:
    """Only the name of the server is less exact then."""
    with server.open() as saver:
        saver.put(*PUT)
    with user(server.nodes, server.url, *EVERYTHING, "-info") as url:
        with RedisSaver.from_conn_string(url, prefix=server.prefix) as saver:
            stats = saver.stats()
        assert stats["threads"] == 1
        assert stats["server"] in (server.version().partition(" x ")[0], "Redis of unknown version")
        with RedisStore.from_conn_string(url, prefix=server.prefix) as store:
            assert store.stats().server == stats["server"]


# ---------------------------------------------------------------- reading only


@contextmanager
def replica_of(port: int) -> Iterator[str]:
    """Another server that has what the one on this port has, and takes no writes."""
    with temporary_folder() as folder:
        own = free_port()
        client: Any
        with started_redis(folder, own), closing(redis.Redis(port=own)) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", port)
            while client.info("replication")["master_link_status"] != "up":
                time.sleep(0.02)
            yield f"redis://127.0.0.1:{own}/0"


@pytest.fixture(params=["a user who may only read", "a replica"])
def reader(request: pytest.FixtureRequest, redis_url: str) -> Iterator[tuple[str, str, Any]]:
    """Where everything is set up and stored; where it can only be read; the error of a write."""
    with ExitStack() as stack:
        if request.param == "a replica":
            url = stack.enter_context(redis_server(**{"repl-diskless-sync-delay": "0"}))
            far = stack.enter_context(replica_of(int(url.rpartition(":")[2].partition("/")[0])))
            yield url, far, BackendUnavailableError
            return
        nodes = [stack.enter_context(closing(redis.Redis.from_url(redis_url)))]
        url = stack.enter_context(user(nodes, redis_url, *EVERYTHING, "-@write"))
        yield redis_url, url, PermissionDeniedError


INDEX = {"dims": 2, "embed": lambda texts: [[len(text), 1.0] for text in texts]}
TTL = {"default_ttl": 60, "refresh_on_read": True}


def test_a_saver_that_may_only_read(
    reader: tuple[str, str, Any], caplog: pytest.LogCaptureFixture, one_server: RedisHarness
) -> None:
    """It is set up already. No expiry is moved, which the log says."""
    url, far, error = reader
    prefix = one_server.prefix
    with RedisSaver.from_conn_string(url, prefix=prefix, ttl=TTL) as owner:
        owner.setup()
        owner.put(*arguments("t", 1, log="x" * 5000))
        expected = owner.get_tuple(on("t"))
        _await_replica(url, far)
        with RedisSaver.from_conn_string(far, prefix=prefix, ttl=TTL, clock=later) as saver:
            saver.setup()
            assert saver.get_tuple(on("t")) == expected
            assert list(saver.list(on("t"))) == list(saver.list(None)) == [expected]
            assert saver.get_delta_channel_history(
                config=on("t"), channels=["log"]
            ) == owner.get_delta_channel_history(config=on("t"), channels=["log"])
            assert len(saver.list_threads().threads) == 1
            assert saver.stats()["threads"] == 1
            for call in ("put", "put_writes", "delete_thread"):
                with pytest.raises(error):
                    SAVER_CALLS[call](saver)
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(told) == 3
    assert all("thread 't' was read, but its expiry could not be moved" in one for one in told)


def test_a_store_that_may_only_read(
    reader: tuple[str, str, Any], caplog: pytest.LogCaptureFixture, one_server: RedisHarness
) -> None:
    """It is set up already. No expiry is moved, which the log says."""
    url, far, error = reader
    options: dict[str, Any] = {"prefix": one_server.prefix, "ttl": TTL, "index": INDEX}
    with RedisStore.from_conn_string(url, **options) as owner:
        owner.setup()
        owner.put(("n",), "k", {"n": 1})
        expected = owner.get(("n",), "k")
        assert expected is not None
        _await_replica(url, far)
        with RedisStore.from_conn_string(far, **options, clock=later) as store:
            store.setup()
            assert store.get(("n",), "k") == expected
            for asked in ({}, {"filter": {"n": 1}}, {"query": "tea"}):
                (item,) = store.search(("n",), **asked)
                assert (item.key, item.value) == (expected.key, expected.value)
            assert store.list_namespaces() == [("n",)]
            assert store.stats().items == 1
            for call in ("put", "delete"):
                with pytest.raises(error):
                    STORE_CALLS[call](store)
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(told) == 4
    assert all("was read, but its expiry could not be moved" in one for one in told)


def later() -> float:
    """A clock by which a read moves expiries: by a tenth of the time to live."""
    return time.time() + TTL["default_ttl"] * 6


def _await_replica(url: str, far: str) -> None:
    """Return when what was written at `url` is at `far`."""
    client: Any
    with closing(redis.Redis.from_url(url)) as client:
        if urlsplit(url).port != urlsplit(far).port:
            assert client.wait(1, 10_000) == 1


# ---------------------------------------------------------------- not just now


def test_too_few_replicas() -> None:
    with redis_server() as url, RedisSaver.from_conn_string(url) as saver:
        saver.setup()
        saver.put(*arguments("t", 1))
        with closing(redis.Redis.from_url(url)) as client:
            client.config_set("min-replicas-to-write", 1)
            with pytest.raises(BackendUnavailableError, match="NOREPLICAS"):
                saver.put(*arguments("t", 2))
            assert values(saver.get_tuple(on("t"))) == {"step": 1}
            client.config_set("min-replicas-to-write", 0)
        saver.put(*arguments("t", 2))
        assert values(saver.get_tuple(on("t"))) == {"step": 2}


def test_somebody_elses_script_runs_for_long() -> None:
    with redis_server() as url, RedisSaver.from_conn_string(url) as saver:
        saver.setup()
        with closing(redis.Redis.from_url(url)) as client:
            client.config_set("lua-time-limit", 10)
            endless = Thread(target=_run, args=(url, "while true do end"))
            endless.start()
            with pytest.raises(BackendUnavailableError, match="BUSY"):
                deque((saver.get_tuple(on("t")) for _ in range(100_000)), maxlen=0)
            client.script_kill()
            endless.join()
        assert saver.get_tuple(on("t")) is None


def _run(url: str, script: str) -> None:
    with closing(redis.Redis.from_url(url)) as client, pytest.raises(redis.ResponseError):
        client.eval(script, 0)
