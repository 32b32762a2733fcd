"""In the caller's open transaction: caches, conflicts, cancelled calls, shared connections."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from checkpoint_base.errors import (
    BackendUnavailableError,
    ConflictError,
)
from checkpoint_postgres import PostgresSaver, PostgresStore
from checkpoint_postgres.tests.flavours import (
    ASYNC,
    Kit,
    arguments,
    both,
    connected,
    counts,
    done,
    fetched,
    order,
    within,
)
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.samples.build import large, on, values


@both
async def test_what_is_rolled_back_is_not_remembered(kit: Kit, url: str) -> None:
    """Another process may append as much in its place: no put may refer to that."""
    async with connected(kit, url, autocommit=True) as connection:
        saver = kit.saver(connection)
        await saver.aput(*arguments(id="1", a=large(1)))
        await done(connection.execute("BEGIN"))
        await saver.aput(*arguments(id="2", b=large(2)))
        assert values(await saver.aget_tuple(on("t"))) == {"b": large(2)}
        assert [one async for one in saver.alist(on("t"))] != []
        await done(connection.execute("ROLLBACK"))
        with PostgresSaver.from_conn_string(url) as other:
            other.put(*arguments(id="3", b=large(3)))
        await saver.aput(*arguments(id="4", b=large(2)))
        found = [values(one)["b"] async for one in saver.alist(on("t"), limit=2)]
        assert found == [large(2), large(3)]


@both
async def test_what_is_stored_again_in_one_transaction_is_shared(
    kit: Kit, url: str, database: PostgresHarness
) -> None:
    async with connected(kit, url, autocommit=True) as connection:
        saver = kit.saver(connection)
        await saver.aput(*arguments(id="0", a=large(0)))
        async with within(connection.transaction()):
            for n in range(1, 9):
                await saver.aput(*arguments(id=f"{n}", a=large(1) + "." * n))
    ((size,),) = database.query("SELECT sum(length(data)) FROM saver_segments")
    # "0" shares nothing with what follows, and a channel that begins to grow is stored once more
    assert size < 5 * 20_000


@both
async def test_a_conflict_is_the_callers_to_run_again(kit: Kit, url: str) -> None:
    async with connected(kit, url, autocommit=True) as connection:
        await done(connection.set_isolation_level(IsolationLevel.REPEATABLE_READ))
        saver = kit.saver(connection)
        await saver.aput(*arguments(id="1"))
        async with within(connection.transaction(force_rollback=True)):
            await fetched(connection, "SELECT count(*) FROM orders")  # fixes the snapshot
            with PostgresSaver.from_conn_string(url) as other:
                other.put(*arguments(id="2"))
            with pytest.raises(ConflictError) as caught:
                await saver.aput(*arguments(id="3"))
            assert isinstance(caught.value.__cause__, psycopg.errors.SerializationFailure)
        await saver.aput(*arguments(id="3"))


@both
async def test_a_read_whose_expiry_another_transaction_has_moved(
    kit: Kit, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was read is given: its expiry has just been moved."""
    ttl: Any = {"default_ttl": 60, "refresh_on_read": True}
    async with connected(kit, url, autocommit=True) as connection:
        await done(connection.set_isolation_level(IsolationLevel.REPEATABLE_READ))
        saver, store = kit.saver(connection, ttl=ttl), kit.store(connection, ttl=ttl)
        await store.asetup()
        await saver.aput(*arguments(id="1"))
        await store.aput(("a",), "k", {"n": 1})
        later: Any = {"ttl": ttl, "clock": lambda: time.time() + 600}
        saver, store = kit.saver(connection, **later), kit.store(connection, **later)
        async with within(connection.transaction()):
            await fetched(connection, "SELECT count(*) FROM orders")  # fixes the snapshot
            with (
                PostgresSaver.from_conn_string(url, **later) as other,
                PostgresStore.from_conn_string(url, **later) as others,
            ):
                assert other.get_tuple(on("t")) is not None
                assert others.get(("a",), "k") is not None
            assert await saver.aget_tuple(on("t")) is not None
            assert await store.aget(("a",), "k") is not None
    assert len([one for one in caplog.messages if "could not be moved" in one]) == 2


async def waiting(database: PostgresHarness) -> None:
    """Return when a statement waits for a lock."""
    waits = (
        "SELECT 1 FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    def look() -> None:
        while not database.query(waits):
            time.sleep(0.01)

    await asyncio.to_thread(look)


@both
async def test_a_thread_that_another_transaction_makes_at_the_same_time(
    kit: Kit, url: str, database: PostgresHarness
) -> None:
    """The savepoint undoes the attempt, and the next one sees the thread."""
    async with (
        connected(kit, url, autocommit=True) as one,
        connected(kit, url, autocommit=True) as other,
    ):
        await done(one.execute("BEGIN"))
        await kit.saver(one).aput(*arguments(id="1"))
        await done(other.execute("BEGIN"))
        await order(other)
        put = asyncio.create_task(kit.saver(other).aput(*arguments(id="2")[:3], {}))
        await waiting(database)
        await done(one.execute("COMMIT"))
        await put
        await done(other.execute("COMMIT"))
    assert counts(database) == (1, 2)


@both
async def test_a_deadlock_is_the_callers_to_run_again(
    kit: Kit, url: str, database: PostgresHarness
) -> None:
    async with (
        connected(kit, url, autocommit=True) as one,
        connected(kit, url, autocommit=True) as other,
    ):
        savers = kit.saver(one), kit.saver(other)
        for connection, saver, thread in zip((one, other), savers, "ab", strict=True):
            await done(connection.execute("BEGIN"))
            await saver.aput(*arguments(thread, id="1"))
        puts = [saver.aput(*arguments(t, id="2")) for saver, t in zip(savers, "ba", strict=True)]
        ended = await asyncio.wait(
            [asyncio.create_task(put) for put in puts], return_when=asyncio.FIRST_COMPLETED
        )
        (victim,) = ended[0]
        error = victim.exception()
        assert isinstance(error, ConflictError)
        assert isinstance(error.__cause__, psycopg.errors.DeadlockDetected)
        for connection in (one, other):
            if connection.info.transaction_status == TransactionStatus.INTRANS:
                await done(connection.rollback())
        await asyncio.gather(*ended[1])
        await done(one.rollback())
        await done(other.rollback())
    assert counts(database) == (0, 0)


@pytest.mark.parametrize("source", ["autocommit", "no autocommit", "pool"])
def test_a_call_that_is_cancelled(url: str, database: PostgresHarness, source: str) -> None:
    """It is undone, and nothing else is; the connection is as it was."""

    async def cancelled(saver: Any, owner: Any) -> None:
        await owner.execute("SELECT * FROM saver_threads FOR UPDATE")
        put = asyncio.create_task(saver.aput(*arguments(id="2")))
        await waiting(database)
        put.cancel()
        await asyncio.wait([put])
        assert put.cancelled()
        await owner.rollback()

    async def main() -> None:
        async with connected(ASYNC, url) as owner, connected(ASYNC, url) as connection:
            if source == "pool":
                async with ASYNC.pool(url, min_size=1, max_size=1, open=False) as pool:
                    await cancelled(ASYNC.saver(pool), owner)
                    async with pool.connection() as lent:
                        assert not lent.autocommit
                    await ASYNC.saver(pool).aput(*arguments(id="3"))
                return
            await connection.set_autocommit(source == "autocommit")
            await connection.execute("BEGIN" if connection.autocommit else "SELECT 1")
            await order(connection)
            await cancelled(ASYNC.saver(connection), owner)
            await ASYNC.saver(connection).aput(*arguments(id="3"))
            await connection.execute("COMMIT")

    with PostgresSaver.from_conn_string(url) as saver:
        saver.put(*arguments(id="1"))
    asyncio.run(main())
    assert counts(database) == (int(source != "pool"), 2)


@both
async def test_a_lost_connection_is_not_replaced_within_a_transaction(
    kit: Kit, url: str, database: PostgresHarness
) -> None:
    async with within(kit.saver.from_conn_string(url)) as saver:
        connection = saver.conn
        await done(connection.execute("BEGIN"))
        await order(connection)
        database.query(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)")
        with pytest.raises(BackendUnavailableError):
            await saver.aput(*arguments())
        await saver.aput(*arguments())
    assert counts(database) == (0, 1)


# ---------------------------------------------------------------- one connection for all


@both
async def test_savers_and_a_store_on_one_connection(
    kit: Kit, url: str, database: PostgresHarness
) -> None:
    async with connected(kit, url, autocommit=True) as connection:
        savers = [kit.saver(connection), kit.saver(connection)]
        store = kit.store(connection)
        await store.asetup()

        async def work(number: int) -> None:
            saver = savers[number % 2]
            for step in range(10):
                await saver.aput(*arguments(f"{number % 4}", id=f"{number}.{step}", a=large(step)))
                await store.aput((f"{number % 4}",), f"{number}.{step}", {"n": step})
                await saver.aprune(["nobody"])
                await saver.aget_tuple(on(f"{number % 4}"))
                await store.asearch((f"{number % 4}",), filter={"n": step})

        await asyncio.gather(*map(work, range(16)))
        assert connection.info.transaction_status == TransactionStatus.IDLE
    assert counts(database) == (0, 160)
    assert database.query("SELECT count(*) FROM store_items") == [(160,)]
