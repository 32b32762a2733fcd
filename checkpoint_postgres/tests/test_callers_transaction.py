"""Work on a connection that the caller has in a transaction: part of it, and never its end."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from checkpoint_base.errors import (
    NotSetUpError,
    TransactionFailedError,
    UncommittedWarning,
)
from checkpoint_postgres.tests.flavours import (
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
from checkpoint_postgres.tests.originals import original_saver
from conformance_tests.samples.build import Chain, large, on, values
from conformance_tests.samples.driver_adapter import SyncFacade

AT = ("a",)
STATE = ("autocommit", "row_factory", "cursor_factory", "prepare_threshold", "isolation_level")


def embed(texts: Any) -> list[list[float]]:
    return [[float(len(text)), 1.0] for text in texts]


def tables(database: PostgresHarness) -> list[str]:
    found = database.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return [name for (name,) in found]


# ---------------------------------------------------------------- committed and rolled back with it


@both
async def test_inside_a_block_of_psycopg(kit: Kit, url: str, database: PostgresHarness) -> None:
    async with connected(kit, url, autocommit=True) as connection:
        saver = kit.saver(connection)
        async with within(connection.transaction(force_rollback=True)):
            await order(connection)
            await saver.aput(*arguments())
            assert await saver.aget_tuple(on("t")) is not None
            assert counts(database) == (0, 0)
        assert await saver.aget_tuple(on("t")) is None
        async with within(connection.transaction()):
            await order(connection)
            head = await saver.aput(*arguments())
            await saver.aput_writes(head, [("a", large(2))], "task")
            await saver.acopy_thread("t", "u")
            await saver.aprune(["u"])
            await saver.adelete_thread("t")
            assert counts(database) == (0, 0)
        assert counts(database) == (1, 1)
        assert [one.thread_id for one in (await saver.alist_threads()).threads] == ["u"]


@both
async def test_a_transaction_begun_by_a_statement(
    kit: Kit, url: str, database: PostgresHarness
) -> None:
    async with connected(kit, url, autocommit=True) as connection:
        saver = kit.saver(connection)
        for end, expected in (("ROLLBACK", (0, 0)), ("COMMIT", (1, 1))):
            await done(connection.execute("BEGIN"))
            await order(connection)
            await saver.aput(*arguments())
            await done(connection.execute(end))
            assert counts(database) == expected


@both
async def test_without_autocommit_the_caller_commits(
    kit: Kit, url: str, database: PostgresHarness
) -> None:
    async with connected(kit, url) as connection:
        saver, store = kit.saver(connection), kit.store(connection)
        assert await saver.aget_tuple(on("t")) is None
        assert connection.info.transaction_status == TransactionStatus.IDLE  # a read leaves none
        with pytest.warns(UncommittedWarning, match="commit"):
            await saver.aput(*arguments())
        await done(connection.rollback())
        assert counts(database) == (0, 0)
        await store.asetup()  # which warns no more, nor does another saver
        await kit.saver(connection).aput(*arguments())
        await order(connection)
        assert counts(database) == (0, 0)
        await done(connection.commit())
        assert counts(database) == (1, 1)
        await store.aput(AT, "k", {"n": 1})
        await done(connection.rollback())
        assert await store.aget(AT, "k") is None


@both
async def test_a_pool_without_autocommit_needs_no_commit(
    kit: Kit, database: PostgresHarness
) -> None:
    async with within(kit.pool(database.url, min_size=1, max_size=2, open=False)) as pool:
        saver, store = kit.saver(pool), kit.store(pool)
        await saver.asetup()
        await store.asetup()
        await saver.aput(*arguments())
        await store.aput(AT, "k", {"n": 1})
        for work in (kit.saver(pool, schema="nobody").aprune(["t"]), store.aget(("nobody",), "k")):
            await asyncio.gather(work, return_exceptions=True)
        async with within(pool.connection()) as lent:
            assert not lent.autocommit
            assert await fetched(lent, "SELECT count(*) FROM store_items") == [(1,)]
    assert database.rows()["checkpoints"] == 1


@both
async def test_a_store(kit: Kit, url: str, database: PostgresHarness) -> None:
    async with connected(kit, url, autocommit=True) as connection:
        store = kit.store(connection)
        await store.asetup()
        async with within(connection.transaction(force_rollback=True)):
            await order(connection)
            await store.aput(AT, "k", {"n": 1})
            assert len(await store.asearch(AT, filter={"n": 1})) == 1
            assert database.query("SELECT count(*) FROM store_items") == [(0,)]
        assert await store.aget(AT, "k") is None
        async with within(connection.transaction()):
            await store.aput(AT, "k", {"n": 1})
        assert database.query("SELECT count(*) FROM store_items") == [(1,)]


# ---------------------------------------------------------------- setup


@both
async def test_setup_is_rolled_back_with_the_rest(kit: Kit, database: PostgresHarness) -> None:
    index = {"dims": 2, "embed": embed}
    async with connected(kit, database.url, autocommit=True) as connection:
        saver = kit.saver(connection)
        store = kit.store(connection, index=index, indexed_from=0)
        for setup in (saver.asetup, store.asetup):
            async with within(connection.transaction(force_rollback=True)):
                await done(connection.execute("CREATE TABLE tenant (id int)"))
                await setup()
            assert tables(database) == []
        with pytest.raises(NotSetUpError):
            await store.aput(AT, "k", {"text": "tea"})
        async with within(connection.transaction()):
            await saver.asetup()
            await store.asetup()
            await store.aput(AT, "k", {"text": "tea"})
            assert len(await store.asearch(AT, query="tea")) == 1
        await saver.aput(*arguments())
        assert len(await store.asearch(AT, query="tea")) == 1
    assert database.rows()["checkpoints"] == 1
    hnsw = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%hnsw%'"
    assert database.query(hnsw) == [(1,)]


@both
async def test_a_column_for_vectors_that_was_rolled_back_is_not_used(
    kit: Kit, database: PostgresHarness
) -> None:
    async with connected(kit, database.url, autocommit=True) as connection:
        await kit.store(connection).asetup()
        store = kit.store(connection, index={"dims": 2, "embed": embed})
        async with within(connection.transaction(force_rollback=True)):
            await store.asetup()
            await store.aput(AT, "k", {"text": "tea"})
            assert len(await store.asearch(AT, query="tea")) == 1
        await store.aput(AT, "k", {"text": "tea"})
        assert len(await store.asearch(AT, query="tea")) == 1


@both
async def test_threads_adopted_are_rolled_back_with_the_rest(
    kit: Kit, url: str, database: PostgresHarness
) -> None:
    with original_saver(url) as original:
        Chain(SyncFacade(original), "t").put({"a": large(1)})
        async with connected(kit, url, autocommit=True) as connection:
            saver = kit.saver(connection)
            for fails in (True, False):
                async with within(connection.transaction(force_rollback=fails)):
                    adopted = await saver.aadopt()
                    assert (adopted.threads, adopted.conflicts) == (1, [])
                    assert database.rows()["checkpoints"] == 0
            assert values(await saver.aget_tuple(on("t"))) == {"a": large(1)}


# ---------------------------------------------------------------- the connection stays as it was


@both
@pytest.mark.parametrize("autocommit", [True, False])
async def test_a_call_that_fails_leaves_the_callers_work(
    kit: Kit, url: str, database: PostgresHarness, *, autocommit: bool
) -> None:
    options: dict[str, Any] = {"row_factory": dict_row, "prepare_threshold": 2}
    async with connected(kit, url, autocommit=autocommit, **options) as connection:
        before = [getattr(connection, name) for name in STATE]
        saver = kit.saver(connection, schema="nobody")
        for work in (saver.aput(*arguments()), saver.aget_tuple(on("t")), saver.aprune(["t"])):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UncommittedWarning)
                with pytest.raises(NotSetUpError):
                    await work
            assert connection.info.transaction_status == TransactionStatus.IDLE
        if autocommit:
            await done(connection.execute("BEGIN"))
        await order(connection)
        for work in (saver.aput(*arguments()), saver.aget_tuple(on("t")), saver.aprune(["t"])):
            with pytest.raises(NotSetUpError):
                await work
            assert connection.info.transaction_status == TransactionStatus.INTRANS
        assert [getattr(connection, name) for name in STATE] == before
        await done(connection.execute("COMMIT"))
        assert counts(database) == (1, 0)


@both
async def test_a_transaction_that_has_failed(kit: Kit, url: str) -> None:
    async with connected(kit, url, autocommit=True) as connection:
        saver, store = kit.saver(connection), kit.store(connection)
        await done(connection.execute("BEGIN"))
        with pytest.raises(psycopg.errors.DivisionByZero):
            await done(connection.execute("SELECT 1 / 0"))
        for work in (saver.aput(*arguments()), saver.aget_tuple(on("t")), store.aget(AT, "k")):
            with pytest.raises(TransactionFailedError, match="roll it back"):
                await work
        await done(connection.execute("ROLLBACK"))
        await saver.aput(*arguments())


@both
async def test_settings_of_a_search_are_set_back(kit: Kit, database: PostgresHarness) -> None:
    index = {"dims": 2, "embed": embed}
    async with connected(kit, database.url, autocommit=True) as connection:
        store = kit.store(connection, index=index, indexed_from=2)
        await store.asetup()
        for n in range(600):
            await store.aput(AT, f"{n}", {"text": "x" * (n % 50 + 1)})
        await done(connection.execute("SET maintenance_work_mem = '1MB'"))
        await done(connection.execute("BEGIN"))
        await done(connection.execute("SET LOCAL hnsw.ef_search = 77"))
        await store.asetup()  # builds the index, with more memory
        assert len(await store.asearch(AT, query="tea", limit=3)) == 3
        assert await fetched(connection, "SHOW hnsw.ef_search") == [("77",)]
        assert await fetched(connection, "SHOW hnsw.iterative_scan") == [("off",)]
        assert await fetched(connection, "SHOW maintenance_work_mem") == [("1MB",)]
        await done(connection.execute("COMMIT"))


@both
async def test_in_a_pipeline_of_the_callers(kit: Kit, url: str, database: PostgresHarness) -> None:
    async with connected(kit, url, autocommit=True) as connection:
        saver = kit.saver(connection)
        async with within(connection.pipeline()):
            for n in range(2):  # over the first one
                await order(connection)
                await saver.aput(*arguments(id="1", a=large(n)))
            assert values(await saver.aget_tuple(on("t"))) == {"a": large(1)}
        assert counts(database) == (2, 1)
        async with (
            within(connection.pipeline()),
            within(connection.transaction(force_rollback=True)),
        ):
            await order(connection)
            await saver.aput(*arguments(id="2"))
            await saver.adelete_thread("nobody")
        assert counts(database) == (2, 1)
