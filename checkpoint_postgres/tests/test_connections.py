"""What is said of connection strings that are wrong, and of connections that do not come to be."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from checkpoint_base.errors import BackendUnavailableError, InvalidArgumentError
from checkpoint_postgres import (
    AsyncPostgresSaver,
    AsyncPostgresStore,
    PostgresSaver,
    PostgresStore,
)
from checkpoint_postgres.connection.conninfo import is_permanent
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.samples.build import on
from tests.servers.postgres import running_postgres
from tests.servers.process import free_port, temporary_folder

# A test that waited for this pool would be ended before the pool gives up.
PATIENT: dict[str, Any] = {"timeout": 10_000}
UNKNOWN_ROLE = 'FATAL:  role "bob" does not exist'


def opened(url: Any, pool: Mapping[str, Any] | None) -> None:
    with PostgresSaver.from_conn_string(url, pool=pool) as saver:
        saver.get_tuple(on("t"))


def aopened(url: Any, pool: Mapping[str, Any] | None) -> None:
    async def go() -> None:
        async with AsyncPostgresSaver.from_conn_string(url, pool=pool) as saver:
            await saver.aget_tuple(on("t"))

    asyncio.run(go())


def store_opened(url: Any, pool: Mapping[str, Any] | None) -> None:
    with PostgresStore.from_conn_string(url, pool=pool) as store:
        store.get(("a",), "k")


def store_aopened(url: Any, pool: Mapping[str, Any] | None) -> None:
    async def go() -> None:
        async with AsyncPostgresStore.from_conn_string(url, pool=pool) as store:
            await store.aget(("a",), "k")

    asyncio.run(go())


Open = Callable[[Any, Mapping[str, Any] | None], None]
BOTH = pytest.mark.parametrize("open_", [opened, aopened])
EVERY = pytest.mark.parametrize("open_", [opened, aopened, store_opened, store_aopened])
POOLS = pytest.mark.parametrize("pool", [None, PATIENT], ids=["one connection", "pool"])


@EVERY
@POOLS
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("not a url", 'missing "=" after "not"'),
        ("mysql://host/db", "wanted postgresql://"),
        (None, "got NoneType"),
        ("postgresql://bob:s3cret@127.0.0.1:port/db", "port is no number"),
        ("postgresql://bob:s3cret@127.0.0.1:70000/db", "port is no number"),
        ("postgresql://bob:s3/cret@127.0.0.1/db", "'/' %2F"),
        ("postgresql://bob:12/s3cret@127.0.0.1/db", "more than one '@'"),
        ("postgresql://bob:s3cret@s3cret@127.0.0.1:1/db", "more than one '@'"),
        ("postgresql://bob:s3%zzcret@127.0.0.1/db", "percent-encoded"),
        ("postgresql://bob:s3 cret@127.0.0.1/db", "spaces"),
        ("postgresql://bob:s3cret@127.0.0.1/db?schema=s3cret", "no option 'schema'"),
        ("host=127.0.0.1 password=my s3cret password", "missing"),
    ],
)
def test_what_is_no_connection_string_is_refused_at_once(
    open_: Open, pool: Mapping[str, Any] | None, wrong: Any, said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="conn_string") as caught:
        open_(wrong, pool)
    assert said in str(caught.value)
    assert "cret" not in "".join(traceback.format_exception(caught.value))


@EVERY
@POOLS
def test_a_permanent_mistake_is_told_at_once(
    database: PostgresHarness, open_: Open, pool: Mapping[str, Any] | None
) -> None:
    at = urlsplit(database.url)._replace(path="/nobodys")
    with pytest.raises(BackendUnavailableError, match='"nobodys" does not exist') as caught:
        open_(at.geturl(), pool)
    assert f"port {at.port}" in str(caught.value)
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)
    for query, said in (
        ("sslmode=bogus", "invalid sslmode"),
        ("sslmode=require", "SSL"),
        ("options=-cno_such_setting%3D1", "no_such_setting"),
    ):
        with pytest.raises(BackendUnavailableError, match=said):
            open_(f"{database.url}?{query}", pool)


@BOTH
def test_a_pool_that_gives_up_says_why(open_: Open) -> None:
    url = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/postgres"
    with pytest.raises(BackendUnavailableError, match=r"after 0\.\d+ sec.*refused") as caught:
        open_(url, {"timeout": 0.5})
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value.__cause__, PoolTimeout)


@BOTH
def test_a_pool_waits_for_a_server_that_is_not_there_yet(open_: Open) -> None:
    """As when both are started together."""
    with temporary_folder() as folder:
        port = free_port()
        with running_postgres(folder, port) as url, PostgresSaver.from_conn_string(url) as saver:
            saver.setup()

        async def go() -> None:
            waiting = asyncio.create_task(asyncio.to_thread(open_, url, PATIENT))
            _, still = await asyncio.wait({waiting}, timeout=0.5)
            assert still
            started = running_postgres(folder, port)
            await asyncio.to_thread(started.__enter__)
            await waiting
            started.__exit__(None, None, None)

        asyncio.run(go())


@BOTH
@pytest.mark.parametrize(
    ("pool", "said"),
    [
        (5, "pool: wanted"),
        ({"maxsize": 5}, "maxsize"),
        ({"min_size": 5, "max_size": 2}, "max_size"),
        ({"kwargs": {"foo": "s3cret"}}, '"foo"'),
    ],
)
def test_a_pool_that_cannot_be(
    database: PostgresHarness, open_: Open, pool: Any, said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="pool") as caught:
        open_(database.url, pool)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("told", "hosts", "expected"),
    [
        ('FATAL:  password authentication failed for user "bob"', "a", True),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "a", True),
        ("FATAL:  the database system is starting up", "a", False),
        ("FATAL:  sorry, too many clients already", "a", False),
        ("connection timeout expired", "a", False),
        (
            f"refused\n- host: '::1': refused\n- host: '127.0.0.1': {UNKNOWN_ROLE}",
            "localhost",
            True,
        ),
        (f"read-only\n- host: 'a': refused\n- host: 'b': {UNKNOWN_ROLE}", "a,b", False),
        (f"x\n- host: 'a': {UNKNOWN_ROLE}\n- host: 'b': {UNKNOWN_ROLE}", "a,b", True),
    ],
)
def test_what_waiting_does_not_mend(told: str, hosts: str, expected: bool) -> None:
    assert is_permanent(psycopg.OperationalError(told), {"host": hosts}) is expected
