"""What only the SQLite stores have: connections, one file with a saver, vectors in memory."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from langgraph.store.base import GetOp, PutOp, SearchOp

from checkpoint_base import aopen_store, open_store
from checkpoint_base.errors import (
    BackendUnavailableError,
    CorruptValueError,
    InvalidArgumentError,
    SchemaVersionError,
)
from checkpoint_sqlite import AsyncSqliteSaver, AsyncSqliteStore, SqliteSaver, SqliteStore
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on
from conformance_tests.stores.base import Numbers, keys, value_of

INDEX: dict[str, Any] = {"dims": 3, "embed": Numbers(), "fields": ["text"]}
AT = ("n",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


# ---------------------------------------------------------------- files and connections


def test_a_saver_and_a_store_share_a_file(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver, SqliteStore.from_conn_string(path) as store:
        store.put(AT, "a", {"n": 1})
        stored = checkpoint({"a": 1})
        saver.put(on("t"), stored, metadata(), new_versions(stored))
        assert value_of(store.get(AT, "a")) == {"n": 1}
        saver.delete_thread("t")
        assert saver.stats()["threads"] == 0
        assert store.stats().items == 1


@pytest.mark.parametrize("kind", [SqliteSaver, SqliteStore])
def test_who_asks_whether_it_is_set_up(kind: Any, path: Path) -> None:
    """As LangGraph's own tell; ours set themselves up, too."""
    with kind.from_conn_string(path) as one:
        assert not one.is_setup
        one.setup()
        assert one.is_setup
    with kind.from_conn_string(path) as one:
        one.stats()
        assert one.is_setup


@pytest.mark.parametrize("kind", [AsyncSqliteSaver, AsyncSqliteStore])
def test_who_asks_whether_it_is_set_up_on_a_loop(kind: Any, path: Path) -> None:
    async def main() -> None:
        async with kind.from_conn_string(path) as one:
            assert not one.is_setup
            await one.setup()
            assert one.is_setup
            assert one.loop is asyncio.get_running_loop()

    asyncio.run(main())


def test_a_deserializer_makes_the_values(path: Path) -> None:
    """Of every item that is given, from its JSON; filters know nothing of it."""
    given: list[bytes] = []

    def load(text: bytes) -> dict[str, Any]:
        given.append(text)
        return {"loaded": json.loads(text)}

    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        store = SqliteStore(connection, deserializer=load, index=INDEX)
        store.put(AT, "a", {"text": "1 0 0 # \u00fc"})
        assert value_of(store.get(AT, "a")) == {"loaded": {"text": "1 0 0 # \u00fc"}}
        assert given == ['{"text":"1 0 0 # \u00fc"}'.encode()]
        wanted = {"text": "1 0 0 # \u00fc"}
        for search in ({}, {"query": "1 0 0"}, {"filter": wanted}):
            (found,) = store.search(AT, **search)
            assert found.value == {"loaded": wanted}
        both = store.batch([GetOp(AT, "a"), SearchOp(AT)])
        assert value_of(both[0]) == {"loaded": wanted}  # type: ignore[arg-type]  # a union


def test_langgraphs_own_store_may_be_in_the_file_too(path: Path) -> None:
    from langgraph.store.sqlite import SqliteStore as TheirStore

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        theirs = TheirStore(connection)
        theirs.setup()
        theirs.put(AT, "a", {"whose": "theirs"})
        with SqliteStore.from_conn_string(path, index=INDEX) as ours:
            ours.put(AT, "a", {"whose": "ours", "text": "1 0 0"})
            assert value_of(ours.get(AT, "a"))["whose"] == "ours"
            assert keys(ours.search(AT, query="1 0 0")) == ["a"]
        assert value_of(theirs.get(AT, "a")) == {"whose": "theirs"}


def test_in_memory(path: Path) -> None:
    with open_store("sqlite:///:memory:", index=INDEX) as store:
        store.put(AT, "a", {"text": "1 0 0"})
        assert keys(store.search(AT, query="1 0 0")) == ["a"]

    async def run() -> None:
        async with aopen_store("sqlite:///:memory:", index=INDEX) as store:
            await store.aput(AT, "a", {"text": "1 0 0"})
            assert keys(await store.asearch(AT, query="1 0 0")) == ["a"]

    asyncio.run(run())
    assert not path.exists()


def test_connections_stay_the_callers(path: Path) -> None:
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        with SqliteStore(connection) as store:
            store.put(AT, "a", {"n": 1})
        assert connection.execute("SELECT count(*) FROM store_items").fetchone() == (1,)

    async def run() -> None:
        async with aiosqlite.connect(path) as connection:
            async with AsyncSqliteStore(connection) as store:
                await store.aput(AT, "b", {"n": 1})
            rows = await connection.execute_fetchall("SELECT count(*) FROM store_items")
            assert [tuple(row) for row in rows] == [(2,)]

    asyncio.run(run())


def test_a_newer_schema_says_so(path: Path) -> None:
    with SqliteStore.from_conn_string(path) as store:
        store.setup()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO store_schema VALUES (9999, 0)")
    with (
        SqliteStore.from_conn_string(path) as store,
        pytest.raises(SchemaVersionError, match="9999"),
    ):
        store.get(AT, "a")
    with SqliteSaver.from_conn_string(path) as saver:
        assert saver.get_tuple(on("t")) is None


def test_a_locked_file_is_not_an_empty_one(path: Path) -> None:
    with SqliteStore.from_conn_string(path, busy_timeout=0.01) as store:
        store.put(AT, "a", {"n": 1})
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(BackendUnavailableError, match="locked"):
                store.put(AT, "b", {"n": 1})
            other.execute("ROLLBACK")
        assert keys(store.search(AT)) == ["a"]


def test_a_url_of_no_store() -> None:
    with pytest.raises(InvalidArgumentError, match="InMemoryStore"), open_store("memory://"):
        pass
    bad = pytest.raises(InvalidArgumentError, match="synchronous")
    with bad, SqliteStore.from_conn_string(":memory:", synchronous="off; DROP"):
        pass


def test_nothing_is_said_when_the_interpreter_exits(path: Path) -> None:
    """Neither with a store that nobody closed, nor with calls that nobody waited for."""
    code = f"""
import asyncio, aiosqlite, logging
from checkpoint_sqlite import AsyncSqliteStore, SqliteStore
logging.getLogger("asyncio").setLevel(logging.ERROR)  # a busy machine is slow, that is not asked

async def closed():
    async with AsyncSqliteStore.from_conn_string({str(path)!r}) as store:
        await asyncio.gather(*(store.aput(("n",), str(n), {{"n": n}}) for n in range(50)))

async def abandoned():
    connection = await aiosqlite.connect({str(path)!r})
    store = AsyncSqliteStore(connection)
    await store.aput(("n",), "last", {{"n": 1}})
    waiting = asyncio.ensure_future(store.aget(("n",), "last"))
    await asyncio.sleep(0)
    await connection.close()
    waiting.cancel()

asyncio.run(closed())
asyncio.run(abandoned())
print("done")
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=root
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


# ---------------------------------------------------------------- vectors


def damage_vectors(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE store_embeddings SET data = X'00'")


def test_a_vector_that_is_damaged_is_an_error(path: Path) -> None:
    with SqliteStore.from_conn_string(path, index=INDEX) as store:
        store.batch([PutOp(AT, f"{n}", {"text": "1 0 0"}) for n in range(4)])
    damage_vectors(path)
    for cache in (1 << 20, 0):
        other = SqliteStore.from_conn_string(path, index=INDEX, cache_bytes=cache)
        with other as store, pytest.raises(CorruptValueError, match="1 bytes"):
            store.search(AT, query="1 0 0")


def test_a_search_that_fails_takes_no_other_call_of_its_tick_along(path: Path) -> None:
    async def run() -> None:
        async with AsyncSqliteStore.from_conn_string(path, index=INDEX) as store:
            await store.aput(AT, "a", {"text": "1 0 0"})
        damage_vectors(path)
        async with AsyncSqliteStore.from_conn_string(path, index=INDEX) as store:
            put, search, get = await asyncio.gather(
                store.aput(("m",), "b", {"n": 1}),
                store.asearch(AT, query="1 0 0"),
                store.aget(AT, "a"),
                return_exceptions=True,
            )
            assert put is None
            assert isinstance(search, CorruptValueError)
            assert value_of(get) == {"text": "1 0 0"}  # type: ignore[arg-type]  # no exception
            assert value_of(await store.aget(("m",), "b")) == {"n": 1}

    asyncio.run(run())


def test_a_filter_of_more_conditions_than_sqlite_takes(path: Path) -> None:
    """A store asks SQLite for some of them; a saver says so."""
    long = {f"field {n}": {"$gt": 1} for n in range(1200)}
    with SqliteStore.from_conn_string(path) as store:
        store.put(AT, "a", dict.fromkeys(long, 2))
        store.put(AT, "b", {**dict.fromkeys(long, 2), "field 1199": 1})
        assert [item.key for item in store.search(AT, filter=long)] == ["a"]
    with (
        SqliteSaver.from_conn_string(path) as saver,
        pytest.raises(InvalidArgumentError, match="more conditions than SQLite takes"),
    ):
        list(saver.list(None, filter=dict.fromkeys(long, 1)))


def test_a_locked_file_is_told_to_all_calls_of_a_tick_at_once(path: Path) -> None:
    async def run() -> None:
        async with AsyncSqliteStore.from_conn_string(path, busy_timeout=0.01) as store:
            await store.aput(AT, "a", {"n": 1})
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                told = await asyncio.gather(
                    *(store.aput(AT, f"{n}", {"n": n}) for n in range(3)), return_exceptions=True
                )
            assert [type(one) for one in told] == [BackendUnavailableError] * 3
            assert len({id(one) for one in told}) == 1, "asked once for all"

    asyncio.run(run())


def test_changes_that_are_not_noted_any_more(path: Path) -> None:
    """A process that slept for long reads all vectors again."""
    with (
        SqliteStore.from_conn_string(path, index=INDEX) as one,
        SqliteStore.from_conn_string(path, index=INDEX) as two,
    ):
        one.batch([PutOp(AT, f"{n}", {"text": f"1 {n} 0"}) for n in range(50)])
        assert len(two.search(AT, query="1 0 0", limit=100)) == 50
        one.batch([PutOp(AT, f"{n}", None) for n in range(20)])
        one.put(AT, "new", {"text": "1 0 0"})
        one.conn.execute(
            "DELETE FROM store_changes WHERE change < (SELECT max(change) FROM store_changes)"
        )
        one.conn.commit()
        found = two.search(AT, query="1 0 0", limit=100)
        assert keys(found)[0] == "new"
        assert len(found) == 31
        one.conn.execute("DELETE FROM store_items")
        one.conn.commit()
        assert two.search(AT, query="1 0 0") == []


def test_a_file_that_was_put_back(path: Path) -> None:
    """Its changes are older than those in memory: all of it is read again."""
    with SqliteStore.from_conn_string(path, index=INDEX) as store:
        store.batch([PutOp(AT, f"{n}", {"text": f"1 {n} 0"}) for n in range(5)])
        assert len(store.search(AT, query="1 0 0")) == 5
        store.conn.execute("DELETE FROM store_items WHERE key > '1'")
        store.conn.execute("DELETE FROM store_changes WHERE change > 2")
        store.conn.commit()
        assert keys(store.search(AT, query="1 0 0")) == ["0", "1"]


def test_the_note_of_changes_does_not_grow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkpoint_sqlite.store.planner._KEPT_CHANGES", 30)
    with SqliteStore.from_conn_string(path, index=INDEX) as store:
        for step in range(20):
            store.batch([PutOp(AT, f"{n}", {"text": f"1 {n} {step}"}) for n in range(10)])
            assert len(store.search(AT, query="1 0 0", limit=100)) == 10
        (kept,) = store.conn.execute("SELECT count(*) FROM store_changes").fetchone()
        assert kept <= 30
