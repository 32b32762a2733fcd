"""What users hand over, and what is left of it: connections, pools, schemas, roles, clashes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from string import ascii_letters
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from checkpoint_base import aopen_saver, open_saver
from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.errors import (
    BackendUnavailableError,
    InvalidArgumentError,
    NotSetUpError,
    SchemaVersionError,
)
from checkpoint_postgres import AsyncPostgresSaver, PostgresSaver
from checkpoint_postgres.connection.connections import async_source, sync_source
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    large,
    metadata,
    new_versions,
    on,
    values,
)
from conformance_tests.samples.driver_adapter import SyncFacade
from conformance_tests.savers.graphs.nodes import wait_until

ODD_SCHEMA = 'We\'re "odd" {schema} $1'


def put(saver: PostgresSaver, thread: str = "t", **state: Any) -> Any:
    stored = checkpoint(state or {"a": large(1)})
    return saver.put(on(thread), stored, metadata(), new_versions(stored))


def use(saver: PostgresSaver) -> None:
    """All kinds of requests."""
    saver.setup()
    head = put(saver)
    saver.put_writes(head, [("a", large(1))], "task")
    assert values(saver.get_tuple(head)) == {"a": large(1)}
    assert len(list(saver.list(on("t")))) == 1
    saver.copy_thread("t", "u")
    saver.prune(["u"])
    assert saver.stats()["threads"] == 2
    saver.delete_thread("u")


async def ause(saver: AsyncPostgresSaver) -> None:
    await saver.setup()
    stored = checkpoint({"a": large(1)})
    head = await saver.aput(on("t"), stored, metadata(), new_versions(stored))
    await saver.aput_writes(head, [("a", large(1))], "task")
    assert values(await saver.aget_tuple(head)) == {"a": large(1)}
    await saver.acopy_thread("t", "u")
    await saver.adelete_thread("u")


@pytest.fixture
def connection(database: PostgresHarness) -> Iterator[psycopg.Connection[Any]]:
    """Of the owner's, with rows of the owner's liking."""
    with psycopg.connect(database.url, row_factory=dict_row, autocommit=True) as one:
        yield one


def test_a_plain_connection(database: PostgresHarness, connection: psycopg.Connection[Any]) -> None:
    use(PostgresSaver(connection))
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}
    assert database.rows()["checkpoints"] == 1


@pytest.mark.parametrize("kwargs", [{}, {"prepare_threshold": None}, {"autocommit": True}])
def test_a_plain_pool(database: PostgresHarness, kwargs: dict[str, Any]) -> None:
    with ConnectionPool(database.url, kwargs=kwargs, min_size=1, open=True) as pool:
        use(PostgresSaver(pool))
        with pool.connection() as lent:
            assert lent.autocommit == kwargs.get("autocommit", False)
            prepared = lent.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
            assert (prepared == (0,)) == ("prepare_threshold" in kwargs)


def test_async_connection_and_pool(database: PostgresHarness) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as one:
            await ause(AsyncPostgresSaver(one))
        async with AsyncConnectionPool(database.url, min_size=1, open=False) as pool:
            await ause(AsyncPostgresSaver(pool))

    asyncio.run(main())


def test_something_else_is_refused(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(
        InvalidArgumentError, match="ConnectionPool, got str; for a URL there is from_conn"
    ):
        PostgresSaver("postgresql://…")  # type: ignore[arg-type]

    async def main() -> None:
        with pytest.raises(InvalidArgumentError, match="got Connection"):
            AsyncPostgresSaver(connection)  # type: ignore[arg-type]

    asyncio.run(main())


def test_savers_by_url(database: PostgresHarness) -> None:
    with open_saver(database.url) as saver:
        put(saver)  # type: ignore[arg-type]
    with open_saver(database.url.replace("postgresql:", "postgres:"), pool={}) as saver:
        assert values(saver.get_tuple(on("t"))) == {"a": large(1)}

    async def main() -> None:
        async with aopen_saver(database.url, schema="other") as other:
            assert await other.aget_tuple(on("t")) is None

    asyncio.run(main())


@pytest.mark.parametrize("pool", [None, {"timeout": 0.5}])
def test_no_server_says_so_and_not_the_password(pool: dict[str, Any] | None) -> None:
    url = "postgresql://me:hunter2@127.0.0.1:1/postgres"
    with (
        pytest.raises(BackendUnavailableError) as caught,
        PostgresSaver.from_conn_string(url, pool=pool) as saver,
    ):
        saver.get_tuple(on("t"))
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)


def test_a_saver_that_cannot_be_made_leaves_no_connection(database: PostgresHarness) -> None:
    with (
        pytest.raises(InvalidArgumentError, match="ttl"),
        PostgresSaver.from_conn_string(database.url, ttl={"default": 1}),
    ):
        pass

    async def main() -> None:
        with pytest.raises(InvalidArgumentError, match="ttl"):
            async with AsyncPostgresSaver.from_conn_string(database.url, ttl={"default": 1}):
                pass

    asyncio.run(main())
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    # the server's process ends a moment after its connection was closed
    wait_until(lambda: database.query(others) == [(1,)], "only the query's own connection")


def test_without_setup(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(NotSetUpError, match=r"setup\(\)"):
        PostgresSaver(connection).get_tuple(on("t"))


def test_an_odd_schema(database: PostgresHarness, connection: psycopg.Connection[Any]) -> None:
    use(PostgresSaver(connection, schema=ODD_SCHEMA))
    assert database.rows()["threads"] == 0
    for wrong in ("", "x" * 64, "a\0b"):
        with pytest.raises(InvalidArgumentError, match="schema"):
            PostgresSaver(connection, schema=wrong)


def test_a_role_that_may_not_create_schemas(database: PostgresHarness) -> None:
    role = database.url.rpartition("/")[2]
    with psycopg.connect(database.url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN; CREATE SCHEMA mine AUTHORIZATION {role}".encode())
    url = database.url.replace("//postgres@", f"//{role}@")
    with PostgresSaver.from_conn_string(url, schema="mine") as saver:
        use(saver)
    with psycopg.connect(database.url, autocommit=True) as admin:
        admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_partitions(database: PostgresHarness) -> None:
    with PostgresSaver.from_conn_string(database.url, schema=ODD_SCHEMA) as saver:
        with pytest.raises(InvalidArgumentError, match="partitions"):
            saver.setup(0)
        saver.setup(partitions=3)
        use(saver)
        saver.setup(partitions=5)  # they are there
        for n in range(20):
            put(saver, f"thread {n}")
        put(saver)
        with PostgresSaver.from_conn_string(database.url, schema=ODD_SCHEMA) as cold:
            put(cold)  # the log is not known: a transaction
        assert len(list(saver.list(None))) == 23
        assert saver.stats()["threads"] == 21
        assert saver.stats()["bytes"] > 100_000
    parted = database.query(
        "SELECT relname, relkind FROM pg_class WHERE relname LIKE 'saver_values%' "
        "AND relkind IN ('r', 'p') ORDER BY 1"
    )
    assert [name for name, _ in parted] == [
        "saver_values",
        *(f"saver_values_{n}" for n in range(3)),
    ]
    stored = database.query(
        "SELECT DISTINCT attstorage::text FROM pg_attribute "
        "JOIN pg_class ON attrelid = pg_class.oid "
        "WHERE relname LIKE 'saver_segments__' AND attname = 'data'"
    )
    assert stored == [("e",)]


def test_a_newer_schema_is_refused(
    database: PostgresHarness, connection: psycopg.Connection[Any]
) -> None:
    saver = PostgresSaver(connection)
    saver.setup()
    saver.setup()
    database.query("INSERT INTO saver_migrations VALUES (999, 0) RETURNING 1")
    with pytest.raises(SchemaVersionError, match="999"):
        saver.setup()


def test_a_statement_timeout_is_not_tried_again(database: PostgresHarness) -> None:
    with (
        psycopg.connect(database.url) as blocker,
        PostgresSaver.from_conn_string(
            database.url + "?options=-cstatement_timeout%3D200"
        ) as saver,
    ):
        saver.setup()
        put(saver)
        blocker.execute("SELECT * FROM saver_threads FOR UPDATE")
        with pytest.raises(BackendUnavailableError, match="statement timeout") as caught:
            put(saver)
        assert isinstance(caught.value.__cause__, psycopg.errors.QueryCanceled)
        blocker.rollback()
        put(saver)
    assert database.rows()["checkpoints"] == 2


def test_ids_too_long_for_an_index_are_the_callers_fault(database: PostgresHarness) -> None:
    long = "".join(Random(1).choices(ascii_letters, k=3000))  # compressed, it is too long as well
    stored = checkpoint({"a": 1})
    with PostgresSaver.from_conn_string(database.url) as saver:
        saver.setup()
        for where in (on(long), on("t", long)):
            with pytest.raises(InvalidArgumentError, match="too large for Postgres"):
                saver.put(where, stored, metadata(), new_versions(stored))
        put(saver)
    assert database.rows()["checkpoints"] == 1


def test_a_caller_who_leaves_while_a_connection_is_checked_leaves_it_to_the_pool(
    database: PostgresHarness,
) -> None:
    class Interrupted(ConnectionPool[Any]):
        @staticmethod
        def check_connection(conn: psycopg.Connection[Any]) -> None:
            conn.execute("SELECT 1")
            raise KeyboardInterrupt

    class Slow(AsyncConnectionPool[Any]):
        @staticmethod
        async def check_connection(conn: psycopg.AsyncConnection[Any]) -> None:
            begun.set()
            await conn.execute("SELECT pg_sleep(60)")

    begun = asyncio.Event()

    async def main() -> None:
        async with Slow(database.url, min_size=1, max_size=1, open=False, timeout=10) as pool:
            checked = async_source("", pool, None).acquire(Deadline(None, ""), validate=True)
            caller = asyncio.create_task(checked.__aenter__())
            await begun.wait()
            caller.cancel()
            await asyncio.wait([caller])
            assert caller.cancelled()
            async with pool.connection() as lent:
                await lent.execute("SELECT 1")

    asyncio.run(main())
    with Interrupted(database.url, min_size=1, max_size=1, open=True, timeout=10) as pool:
        with (
            pytest.raises(KeyboardInterrupt),
            sync_source("", pool, None).acquire(Deadline(None, ""), validate=True),
        ):
            pass
        with pool.connection() as lent:
            lent.execute("SELECT 1")


def test_pruning_collects_what_a_put_over_a_checkpoint_left(database: PostgresHarness) -> None:
    with PostgresSaver.from_conn_string(database.url) as saver:
        saver.setup()
        chain = Chain(SyncFacade(saver), "t")
        head = chain.put({"a": large(1)})
        found = saver.get_tuple(head)
        assert found is not None
        found.checkpoint["channel_values"] = {"b": large(2)}
        found.checkpoint["channel_versions"] = {"b": "1"}
        saver.put(on("t"), found.checkpoint, metadata(), {"b": "1"})
        saver.prune(["t"])
        assert values(saver.get_tuple(on("t"))) == {"b": large(2)}
        assert database.rows() == {
            "threads": 1,
            "checkpoints": 1,
            "values": 1,
            "segments": 1,
            "writes": 0,
        }


def test_a_thread_deleted_and_made_again_elsewhere(database: PostgresHarness) -> None:
    """What is known of the old thread's log must not reach the new one."""
    with (
        PostgresSaver.from_conn_string(database.url) as one,
        PostgresSaver.from_conn_string(database.url) as other,
    ):
        one.setup()
        put(one, a=large(1))
        other.delete_thread("t")
        put(other, a=large(2))
        put(one, a=large(1) + "and on")
        assert [values(found)["a"] for found in other.list(on("t"))] == [
            large(1) + "and on",
            large(2),
        ]
