"""What a role may not do, servers that only read, connections that their owner has closed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from checkpoint_base.errors import (
    BackendUnavailableError,
    ClosedError,
    NotSetUpError,
    PermissionDeniedError,
)
from checkpoint_base.tests.calls import PUT, SAVER_CALLS, STORE_CALLS
from checkpoint_postgres import PostgresSaver, PostgresStore
from checkpoint_postgres.tests.flavours import Kit, both, done, within
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.samples.build import on
from tests.servers.postgres import running_postgres
from tests.servers.process import free_port, temporary_folder

AT = ("a",)
READ_ONLY = "?options=-cdefault_transaction_read_only%3Don"
INDEX: dict[str, Any] = {"dims": 2, "embed": lambda texts: [[1.0, 2.0] for _ in texts]}


@pytest.fixture
def admin(database: PostgresHarness) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(database: PostgresHarness, admin: psycopg.Connection[Any]) -> Iterator[str]:
    """A role that may do nothing yet."""
    name = database.url.rpartition("/")[2] + "_role"
    # a new database grants this to everybody, one that was emptied does not
    admin.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    admin.execute(f"CREATE ROLE {name} LOGIN".encode())
    yield name
    admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


@pytest.fixture
def url(database: PostgresHarness, role: str) -> str:
    """The database, as that role."""
    return database.url.replace("//postgres@", f"//{role}@")


@pytest.fixture
def set_up(database: PostgresHarness) -> None:
    with PostgresSaver.from_conn_string(database.url) as saver:
        saver.setup()
    with PostgresStore.from_conn_string(database.url, index=INDEX) as store:
        store.setup()


def refused(error: Exception, *lacking: str) -> None:
    """The error names the rights that are missing, and has the driver's as its cause."""
    assert isinstance(error, PermissionDeniedError)
    assert isinstance(error.__cause__, psycopg.Error)
    for right in lacking:
        assert right in str(error), str(error)


async def failure(work: Any) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the caller checks the class)
        await work
    return caught.value


# ---------------------------------------------------------------- tables that are not there


@pytest.mark.parametrize("call", SAVER_CALLS.values(), ids=list(SAVER_CALLS))
def test_a_saver_that_was_not_set_up(database: PostgresHarness, call: Any) -> None:
    for schema in ("public", "nobody"):
        with PostgresSaver.from_conn_string(database.url, schema=schema) as saver:
            with pytest.raises(NotSetUpError, match=r"setup\(\)") as caught:
                call(saver)
            assert isinstance(caught.value.__cause__, psycopg.Error)


@pytest.mark.parametrize("call", STORE_CALLS.values(), ids=list(STORE_CALLS))
def test_a_store_that_was_not_set_up(database: PostgresHarness, call: Any) -> None:
    for schema in ("public", "nobody"):
        with PostgresStore.from_conn_string(database.url, schema=schema) as store:
            with pytest.raises(NotSetUpError, match=r"setup\(\)") as caught:
                call(store)
            assert isinstance(caught.value.__cause__, psycopg.Error)


@both
async def test_an_index_that_was_not_set_up(kit: Kit, database: PostgresHarness) -> None:
    async with within(kit.store.from_conn_string(database.url, index=INDEX)) as store:
        for work in (store.aput(AT, "k", {"text": "tea"}), store.asearch(AT, query="tea")):
            assert type(await failure(work)) is NotSetUpError


# ---------------------------------------------------------------- rights that are missing


@both
async def test_setup_without_rights(
    kit: Kit, database: PostgresHarness, admin: psycopg.Connection[Any], role: str, url: str
) -> None:
    name = database.url.rpartition("/")[2]
    for kind, index in ((kit.saver, {}), (kit.store, {"index": INDEX})):
        async with within(kind.from_conn_string(url, **index)) as one:
            refused(await failure(one.asetup()), "USAGE on schema public", role)
        async with within(kind.from_conn_string(url, schema="mine", **index)) as one:
            refused(await failure(one.asetup()), f"CREATE on database {name}")
    admin.execute(f"GRANT USAGE ON SCHEMA public TO {role}".encode())
    for kind, index in ((kit.saver, {}), (kit.store, {"index": INDEX})):
        async with within(kind.from_conn_string(url, **index)) as one:
            refused(await failure(one.asetup()), "CREATE on schema public")
    admin.execute(f"GRANT CREATE ON SCHEMA public TO {role}".encode())
    for kind in (kit.saver, kit.store):
        async with within(kind.from_conn_string(url)) as one:
            await one.asetup()


@both
async def test_setup_by_a_role_that_does_not_own_the_tables(
    kit: Kit, database: PostgresHarness, admin: psycopg.Connection[Any], role: str, url: str
) -> None:
    with PostgresStore.from_conn_string(database.url) as store:
        store.setup()
    admin.execute("CREATE EXTENSION vector")
    admin.execute(f"GRANT USAGE ON SCHEMA public TO {role}".encode())
    admin.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}".encode())
    async with within(kit.store.from_conn_string(url, index=INDEX)) as one:
        refused(await failure(one.asetup()), role, "owner of table store_embeddings")
        await one.aput(AT, "k", {"text": "tea"})


@both
async def test_a_role_that_may_only_read(
    kit: Kit,
    set_up: None,
    admin: psycopg.Connection[Any],
    role: str,
    url: str,
) -> None:
    admin.execute(f"GRANT USAGE ON SCHEMA public TO {role}".encode())
    async with (
        within(kit.saver.from_conn_string(url, pool={"max_size": 2})) as saver,
        within(kit.store.from_conn_string(url, index=INDEX)) as store,
    ):
        refused(await failure(saver.aget_tuple(on("t"))), "SELECT on table public.saver_")
        refused(await failure(store.aget(AT, "k")), "SELECT on table public.store_items")
        admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}".encode())
        await saver.asetup()
        assert await saver.aget_tuple(on("t")) is None
        assert await store.aget(AT, "k") is None
        threads = "INSERT on table public.saver_threads", "UPDATE on table public.saver_threads"
        items = "INSERT on table public.store_items", "DELETE on table public.store_items"
        refused(await failure(saver.aput(*PUT)), role, *threads)
        refused(await failure(saver.aput_writes(on("t", "", "1"), [("a", 1)], "x")), *threads)
        refused(await failure(saver.adelete_thread("t")), "DELETE on table public.saver_")
        refused(await failure(saver.aprune(["t"])), "UPDATE on table public.saver_threads")
        refused(await failure(store.aput(AT, "k", {"n": 1})), *items)
        refused(await failure(store.adelete(AT, "k")), "DELETE on table public.store_items")
        refused(await failure(store.aput(AT, "k", {"text": "tea"})), *items)
        replies = await asyncio.gather(
            *(saver.aput(*PUT) for _ in range(20)), return_exceptions=True
        )
        for reply in replies:
            assert isinstance(reply, PermissionDeniedError)
        admin.execute(f"GRANT INSERT, UPDATE ON saver_threads TO {role}".encode())
        missing = await failure(saver.aput(*PUT))
        refused(missing, "INSERT on table public.saver_")
        assert "public.saver_threads" not in str(missing)


@both
async def test_within_the_callers_transaction(kit: Kit, set_up: None, url: str) -> None:
    connection = await kit.connect(url, autocommit=True)
    async with within(connection), within(connection.transaction()):
        refused(await failure(kit.saver(connection).aput(*PUT)), "USAGE on schema public")
        await done(connection.execute("SELECT 1"))


@both
@pytest.mark.parametrize("pool", [None, {"timeout": 10_000}], ids=["one connection", "pool"])
async def test_a_login_that_is_refused(
    kit: Kit,
    database: PostgresHarness,
    admin: psycopg.Connection[Any],
    role: str,
    url: str,
    pool: Any,
) -> None:
    async def refusal(kind: Any, at: str) -> Exception:
        with pytest.raises(PermissionDeniedError) as caught:
            async with within(kind.from_conn_string(at, pool=pool)):
                pass
        return caught.value

    for kind in (kit.saver, kit.store):
        nobody = database.url.replace("//postgres@", "//nobody:s3cret@")
        refusal_of_nobody = await refusal(kind, nobody)
        refused(refusal_of_nobody, 'role "nobody" does not exist')
        assert "s3cret" not in str(refusal_of_nobody)
    admin.execute(f"ALTER ROLE {role} NOLOGIN".encode())
    refused(await refusal(kit.saver, url), "not permitted to log in")
    admin.execute(f"ALTER ROLE {role} LOGIN".encode())
    name = database.url.rpartition("/")[2]
    admin.execute(f"REVOKE CONNECT ON DATABASE {name} FROM public".encode())
    refused(await refusal(kit.saver, url), "CONNECT")
    admin.execute(f"GRANT CONNECT ON DATABASE {name} TO public".encode())


# ---------------------------------------------------------------- servers that only read


@both
async def test_a_transaction_that_only_reads(
    kit: Kit, set_up: None, database: PostgresHarness
) -> None:
    url = database.url + READ_ONLY
    async with (
        within(kit.saver.from_conn_string(url, ttl={"default_ttl": 1})) as saver,
        within(kit.store.from_conn_string(url, index=INDEX)) as store,
        within(kit.saver.from_conn_string(url, schema="mine")) as other,
    ):
        await saver.asetup()
        assert await saver.aget_tuple(on("t")) is None
        assert await store.aget(AT, "k") is None
        works = (
            saver.aput(*PUT),
            saver.aput_writes(on("t", "", "1"), [("a", 1)], "task"),
            saver.adelete_thread("t"),
            saver.acopy_thread("t", "u"),
            saver.aprune(["t"]),
            store.aput(AT, "k", {"n": 1}),
            store.aput(AT, "k", {"text": "tea"}),
            store.asweep_ttl(),
            other.asetup(),
        )
        for work in works:
            refused(await failure(work), "may write", "default_transaction_read_only")


def test_a_standby() -> None:
    options: Any = {"ttl": {"default_ttl": 60, "refresh_on_read": True}}
    with temporary_folder() as folder:
        port = free_port()
        with (
            running_postgres(folder, port) as url,
            PostgresSaver.from_conn_string(url, **options) as saver,
            PostgresStore.from_conn_string(url, index=INDEX, **options) as store,
        ):
            saver.setup()
            saver.put(*PUT)
            store.setup()
            store.put(AT, "k", {"text": "tea"})
        (folder / "data" / "standby.signal").touch()
        with (
            running_postgres(folder, port) as url,
            PostgresSaver.from_conn_string(url, **options) as saver,
            PostgresStore.from_conn_string(url, index=INDEX, **options) as store,
        ):
            saver.setup()
            assert saver.get_tuple(on("t")) is not None  # its expiry is not moved
            store.setup()
            assert store.get(AT, "k") is not None
            assert len(store.search(AT, query="tea")) == 1
            for work in (lambda: saver.put(*PUT), lambda: store.delete(AT, "k")):
                with pytest.raises(BackendUnavailableError, match="standby") as caught:
                    work()
                assert isinstance(caught.value.__cause__, psycopg.errors.ReadOnlySqlTransaction)


# ---------------------------------------------------------------- closed by their owner


@both
@pytest.mark.parametrize("autocommit", [True, False])
async def test_a_connection_that_its_owner_closed(
    kit: Kit, set_up: None, database: PostgresHarness, *, autocommit: bool
) -> None:
    connection = await kit.connect(database.url, autocommit=autocommit)
    saver, store = kit.saver(connection), kit.store(connection)
    await done(connection.close())
    works = (
        saver.aput(*PUT),
        saver.aget_tuple(on("t")),
        saver.aprune(["t"]),
        saver.asetup(),
        store.aget(AT, "k"),
        store.aput(AT, "k", {"n": 1}),
    )
    for work in works:
        error = await failure(work)
        assert isinstance(error, ClosedError)
        assert isinstance(error.__cause__, psycopg.Error)


@both
async def test_a_pool_that_its_owner_closed(
    kit: Kit, set_up: None, database: PostgresHarness
) -> None:
    pool = kit.pool(database.url, min_size=1, open=False)
    saver, store = kit.saver(pool), kit.store(pool)
    assert isinstance(await failure(saver.aget_tuple(on("t"))), ClosedError)  # not open yet
    await done(pool.open())
    assert await saver.aget_tuple(on("t")) is None
    await done(pool.close())
    for work in (saver.aput(*PUT), saver.aprune(["t"]), store.aget(AT, "k")):
        error = await failure(work)
        assert isinstance(error, ClosedError)
        assert isinstance(error.__cause__, psycopg.Error)
