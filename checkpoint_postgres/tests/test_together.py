"""Statements of many tasks that wait for a connection: one transaction, and each its own fate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from checkpoint_postgres import AsyncPostgresSaver
from checkpoint_postgres.connection.requests import ConditionalWrite
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on, values

TWO = {"min_size": 2, "max_size": 2}
Work = Callable[[AsyncPostgresSaver], Any]


def arguments(thread: str, step: int = 0) -> Any:
    stored = checkpoint({"thread": thread, "step": step}, id=f"{step:08}")
    return on(thread), stored, metadata(step=step), new_versions(stored)


def with_saver(database: PostgresHarness, pool: dict[str, int] | None, work: Work) -> None:
    async def main() -> None:
        async with AsyncPostgresSaver.from_conn_string(database.url, pool=pool) as saver:
            await saver.setup()
            await work(saver)

    asyncio.run(main())


@pytest.mark.parametrize("pool", [TWO, None], ids=["pool", "one connection"])
def test_64_puts_are_few_transactions(
    database: PostgresHarness, pool: dict[str, int] | None
) -> None:
    async def work(saver: AsyncPostgresSaver) -> None:
        await asyncio.gather(*(saver.aput(*arguments(f"{n}")) for n in range(64)))
        found = await asyncio.gather(*(saver.aget_tuple(on(f"{n}")) for n in range(64)))
        assert [values(one)["thread"] for one in found] == [f"{n}" for n in range(64)]

    with_saver(database, pool, work)
    written = database.query("SELECT DISTINCT xmin::text FROM saver_checkpoints")
    assert len(written) <= 2 + 64 // 16 + 1


def test_the_one_that_fails_fails_alone(database: PostgresHarness) -> None:
    async def work(saver: AsyncPostgresSaver) -> None:
        with psycopg.connect(database.url, autocommit=True) as owner:
            owner.execute(
                "ALTER TABLE saver_threads ADD CONSTRAINT chosen CHECK (thread_id <> '40')"
            )
        puts = (saver.aput(*arguments(f"{n}")) for n in range(64))
        replies = await asyncio.gather(*puts, return_exceptions=True)
        failed = {n: reply for n, reply in enumerate(replies) if isinstance(reply, Exception)}
        assert list(failed) == [40]
        assert isinstance(failed[40], psycopg.errors.CheckViolation)

    with_saver(database, TWO, work)
    assert database.rows()["checkpoints"] == 63


def test_one_that_cannot_even_be_sent_fails_alone(database: PostgresHarness) -> None:
    def one(n: int) -> ConditionalWrite:
        return ConditionalWrite("SELECT $1::text", ("\ud800" if n == 40 else f"{n}",))

    async def work(saver: AsyncPostgresSaver) -> None:
        sent = (saver._driver.perform(one(n)) for n in range(64))
        replies = await asyncio.gather(*sent, return_exceptions=True)
        assert isinstance(replies.pop(40), UnicodeEncodeError)
        assert replies == [[(f"{n}",)] for n in range(64) if n != 40]

    with_saver(database, TWO, work)


def test_two_savers_in_opposite_order_do_not_wait_for_each_other(
    database: PostgresHarness,
) -> None:
    names = [f"{n}" for n in range(48)]

    async def work(saver: AsyncPostgresSaver) -> None:
        async with AsyncPostgresSaver.from_conn_string(database.url, pool=TWO) as other:
            for step in range(10):
                await asyncio.gather(
                    *(saver.aput(*arguments(name, 2 * step)) for name in names),
                    *(other.aput(*arguments(name, 2 * step + 1)) for name in reversed(names)),
                )
            for name in names:
                found = [values(one)["step"] async for one in saver.alist(on(name))]
                assert found == list(range(19, -1, -1))

    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = database.query(deadlocks)  # other tests provoke some in this database
    with_saver(database, TWO, work)
    assert database.query(deadlocks) == before


def test_a_caller_who_leaves_takes_no_other_along(database: PostgresHarness) -> None:
    async def work(saver: AsyncPostgresSaver) -> None:
        tasks = [asyncio.create_task(saver.aput(*arguments(f"{n}"))) for n in range(64)]
        await asyncio.sleep(0)
        for task in tasks[1::2]:
            task.cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(reply, dict) for reply in replies[::2])
        for n in range(0, 64, 2):
            assert await saver.aget_tuple(on(f"{n}")) is not None

    with_saver(database, TWO, work)


def test_in_its_owners_transaction_each_goes_alone(database: PostgresHarness) -> None:
    async def main() -> None:
        connection = await psycopg.AsyncConnection.connect(database.url, autocommit=True)
        async with connection:
            saver = AsyncPostgresSaver(connection)
            await saver.setup()
            for end, kept in (("ROLLBACK", 0), ("COMMIT", 8)):
                await connection.execute("BEGIN")
                await asyncio.gather(*(saver.aput(*arguments(f"{n}")) for n in range(8)))
                assert database.rows()["checkpoints"] == 0  # as others see them
                await connection.execute(end.encode())
                assert database.rows()["checkpoints"] == kept

    asyncio.run(main())
