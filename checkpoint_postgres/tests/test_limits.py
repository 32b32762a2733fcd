"""`call_timeout`: no step waits for ever, and what waits holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from checkpoint_base import BackendUnavailableError
from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_postgres import AsyncPostgresSaver, AsyncPostgresStore, PostgresSaver, PostgresStore
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.faults import Proxy, works_again
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on, values
from conformance_tests.samples.driver_adapter import FLAVOURS, Flavour, opened
from conformance_tests.savers.graphs.nodes import wait_until

SHORT = 0.5
LONG = 60.0  # what no test waits for
EIGHT = {"min_size": 8, "max_size": 8}
POOLS = pytest.mark.parametrize("pool", [{"max_size": 2}, None], ids=["pool", "one connection"])
TIMED_OUT = "call_timeout: a statement of Postgres was not done within 0.5 s"


class Hasty(PostgresHarness):
    """Opens savers that give up soon."""

    def __init__(self, url: str, pool: Mapping[str, Any] | None) -> None:
        super().__init__(url, pool, SHORT)  # type: ignore[arg-type]


@pytest.fixture
def proxy(database: PostgresHarness) -> Iterator[Proxy]:
    with Proxy(*database.address()) as one:
        yield one


def put(saver: Any, thread: str) -> Any:
    stored = checkpoint({"a": 1})
    return saver.put(on(thread), stored, metadata(), new_versions(stored))


def aput(saver: AsyncPostgresSaver, thread: str) -> Coroutine[Any, Any, Any]:
    stored = checkpoint({"a": 1})
    return saver.aput(on(thread), stored, metadata(), new_versions(stored))


@contextmanager
def locked(database: PostgresHarness, thread: str) -> Iterator[psycopg.Connection[Any]]:
    """Inside the block somebody else has the thread's row locked."""
    with psycopg.connect(database.url) as other:
        other.execute("SELECT 1 FROM saver_threads WHERE thread_id = %s FOR UPDATE", (thread,))
        yield other
        other.rollback()


def waiting(database: PostgresHarness) -> int:
    """How many connections wait for a lock."""
    ((count,),) = database.query(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(count)


# ---------------------------------------------------------------------- what ends


@POOLS
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("call", ["get_tuple", "put"])
def test_a_peer_that_swallows_packets_ends_a_call(
    database: PostgresHarness, proxy: Proxy, pool: Any, flavour: Flavour, call: str
) -> None:
    url = database.url.replace(f":{urlsplit(database.url).port}", f":{proxy.port}", 1)
    with opened(Hasty(url, pool), flavour) as saver:
        put(saver, "t")
        proxy.swallow()
        with pytest.raises(BackendUnavailableError, match=TIMED_OUT):
            saver.get_tuple(on("t")) if call == "get_tuple" else put(saver, "t")
        # each connection of a pool may have to be found out
        assert values(works_again(lambda: saver.get_tuple(on("t")))) == {"a": 1}


@POOLS
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_row_that_somebody_keeps_locked_ends_a_put_and_nothing_else(
    database: PostgresHarness, pool: Any, flavour: Flavour
) -> None:
    with opened(Hasty(database.url, pool), flavour) as saver:
        head = put(saver, "t")
        with locked(database, "t"):
            with pytest.raises(BackendUnavailableError, match=TIMED_OUT):
                put(saver, "t")
            with pytest.raises(BackendUnavailableError, match=TIMED_OUT):
                saver.put_writes(head, [("a", 1)], "task")
            assert waiting(database) == 0  # the server was told
            put(saver, "u")
            assert values(saver.get_tuple(on("t"))) == {"a": 1}
        assert database.rows()["checkpoints"] == 2
        put(saver, "t")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_statement_of_a_transaction_is_a_step(
    database: PostgresHarness, flavour: Flavour
) -> None:
    with opened(Hasty(database.url, EIGHT), flavour) as saver:
        put(saver, "t")
        with locked(database, "t"), pytest.raises(BackendUnavailableError, match=TIMED_OUT):
            saver.prune(["t"])
        saver.prune(["t"])


def test_the_connection_of_a_caller_is_not_lost_to_a_lock(database: PostgresHarness) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        saver = PostgresSaver(connection, call_timeout=SHORT)
        saver.setup()
        put(saver, "t")
        with locked(database, "t"), pytest.raises(BackendUnavailableError, match=TIMED_OUT):
            put(saver, "t")
        assert not connection.closed
        put(saver, "t")


def test_a_pool_without_a_free_connection_says_so(database: PostgresHarness) -> None:
    with ConnectionPool(database.url, min_size=1, max_size=1, timeout=LONG, open=True) as pool:
        saver = PostgresSaver(pool, call_timeout=SHORT)
        saver.setup()
        waited = "call_timeout: the wait for a connection of the pool was not done within 0.5 s"
        with pool.connection(), pytest.raises(BackendUnavailableError, match=waited):
            put(saver, "t")
        put(saver, "t")


@POOLS
def test_connections_of_a_saver_notice_a_peer_that_is_gone(
    database: PostgresHarness, pool: Any
) -> None:
    """By the settings that the how-to names, of which the URL may state others."""
    idle = "keepalives_idle"
    url = f"{database.url}{'&' if '?' in database.url else '?'}{idle}=7"
    for asked, seconds in ((database.url, "30"), (url, "7")):
        with (
            PostgresSaver.from_conn_string(asked, pool=pool, call_timeout=9.5) as saver,
            saver._source.acquire(Deadline(None, ""), validate=False) as connection,
        ):
            settings = connection.info.get_parameters()
        assert settings[idle] == seconds
        assert settings["keepalives_interval"] == "10"
        assert settings["keepalives_count"] == "3"
        assert settings["tcp_user_timeout"] == "60000"
        assert settings["connect_timeout"] == "10"


def test_a_busy_connection_is_not_waited_for(database: PostgresHarness) -> None:
    with Hasty(database.url, None).open() as saver, locked(database, "t") as other:
        other.rollback()
        put(saver, "t")
        patient = PostgresSaver(saver.conn, call_timeout=LONG)
        other.execute("SELECT 1 FROM saver_threads WHERE thread_id = 't' FOR UPDATE")
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(put, patient, "t")
            wait_until(lambda: waiting(database) == 1, "a lock")
            with pytest.raises(BackendUnavailableError, match="call_timeout"):
                saver.get_tuple(on("t"))
            other.rollback()
            first.result(LONG)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_stores_end_as_well(database: PostgresHarness, flavour: Flavour) -> None:
    lock = "SELECT 1 FROM store_items FOR UPDATE"
    with psycopg.connect(database.url) as other:
        if flavour == "sync":
            opening = PostgresStore.from_conn_string(database.url, call_timeout=SHORT)
            with opening as store:
                store.setup()
                store.put(("a",), "k", {"v": 1})
                other.execute(lock)
                with pytest.raises(BackendUnavailableError, match=TIMED_OUT):
                    store.put(("a",), "k", {"v": 2})
            return

        async def main() -> None:
            opening = AsyncPostgresStore.from_conn_string(database.url, call_timeout=SHORT)
            async with opening as store:
                await store.setup()
                await store.aput(("a",), "k", {"v": 1})
                other.execute(lock)
                with pytest.raises(BackendUnavailableError, match=TIMED_OUT):
                    await store.aput(("a",), "k", {"v": 2})

        asyncio.run(main())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_setup_may_take_longer(database: PostgresHarness, flavour: Flavour) -> None:
    hasty = Hasty(database.url, EIGHT)
    with hasty.open() as saver, psycopg.connect(database.url) as other:
        put(saver, "t")
        other.execute("DROP TABLE saver_migrations")  # its lock is held until the end
        with ThreadPoolExecutor(1) as threads, locked(database, "t"):
            setting_up = threads.submit(lambda: opened(hasty, flavour).__enter__())
            wait_until(lambda: waiting(database) == 1, "a lock")
            with pytest.raises(BackendUnavailableError, match=TIMED_OUT):
                put(saver, "t")  # began later
            assert not setting_up.done()
            other.rollback()
            setting_up.result(LONG)


# ---------------------------------------------------------------------- who is held up


@asynccontextmanager
async def patient(database: PostgresHarness) -> AsyncIterator[AsyncPostgresSaver]:
    async with AsyncPostgresSaver.from_conn_string(database.url, pool=EIGHT) as saver:
        await saver.setup()
        yield saver


@pytest.mark.parametrize("each", [1, 10])
def test_a_locked_thread_holds_up_no_other(database: PostgresHarness, each: int) -> None:
    """Puts and pending writes that share a pipeline with those of the locked thread go on."""
    others = [f"{n}" for n in range(39)]

    async def one(saver: AsyncPostgresSaver, thread: str, task: str) -> None:
        stored = await aput(saver, thread)
        await saver.aput_writes(stored, [("a", 1)], task)
        assert await saver.aget_tuple(stored) is not None

    async def main() -> None:
        async with patient(database) as saver:
            heads = {name: await aput(saver, name) for name in [*others, "locked"]}
            with locked(database, "locked"):
                stuck = [
                    asyncio.create_task(call)
                    for n in range(each)
                    for call in (
                        one(saver, "locked", f"{n}"),
                        saver.aput_writes(heads["locked"], [("a", 1)], f"more {n}"),
                    )
                ]
                free = [one(saver, name, f"{n}") for n in range(each) for name in others]
                await asyncio.wait_for(asyncio.gather(*free), LONG)
                assert await saver.aget_tuple(heads["locked"]) is not None
                assert not any(task.done() for task in stuck)
                assert waiting(database) == 1  # all others wait in the process
            await asyncio.wait_for(asyncio.gather(*stuck), LONG)

    asyncio.run(main())


def test_callers_of_a_locked_thread_leave_connections(database: PostgresHarness) -> None:
    """The same for threads, which have no pipelines: a pool of 8 serves others beside 16."""
    with (
        PostgresHarness(database.url, EIGHT).open() as saver,
        ThreadPoolExecutor(16) as threads,
    ):
        put(saver, "t")
        with locked(database, "t"):
            stuck = [threads.submit(put, saver, "t") for _ in range(16)]
            wait_until(lambda: waiting(database) == 1, "a lock")
            put(saver, "u")
            assert waiting(database) == 1
        for future in stuck:
            future.result(LONG)


def test_a_batch_is_one_round_trip(database: PostgresHarness, proxy: Proxy) -> None:
    """The limit for the lock goes with the batch's statements."""
    proxy.delay = 0.005
    url = database.url.replace(f":{urlsplit(database.url).port}", f":{proxy.port}", 1)

    async def main() -> None:
        pool = {"min_size": 1, "max_size": 1}
        async with AsyncPostgresSaver.from_conn_string(url, pool=pool) as saver:
            await saver.setup()
            for _ in range(2):  # the first time statements are prepared
                await asyncio.gather(*(aput(saver, f"{n}") for n in range(33)))
            with proxy.counting() as counted:
                await asyncio.gather(*(aput(saver, f"{n}") for n in range(33)))
            assert counted.round_trips == 1 + 2  # one alone, and twice sixteen

    asyncio.run(main())


def test_a_lock_that_is_soon_released_costs_one_more_attempt(database: PostgresHarness) -> None:
    async def main() -> None:
        async with patient(database) as saver:
            await asyncio.gather(*(aput(saver, f"{n}") for n in range(12)))
            with locked(database, "7"):
                puts = [asyncio.create_task(aput(saver, f"{n}")) for n in range(12)]
                await asyncio.wait(puts[:7] + puts[8:], timeout=LONG)
            await asyncio.gather(*puts)
            assert database.rows()["checkpoints"] == 24

    asyncio.run(main())
