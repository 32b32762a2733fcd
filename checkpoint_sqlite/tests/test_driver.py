"""Connections, transactions and threads: what only SQLite has."""

from __future__ import annotations

import asyncio
import copy
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoint_base.errors import (
    BackendUnavailableError,
    EventLoopError,
    InvalidArgumentError,
    SchemaVersionError,
)
from checkpoint_base.plan import OFFLOADED
from checkpoint_sqlite import AsyncSqliteSaver, SqliteSaver
from checkpoint_sqlite.connection.session import _bound
from checkpoint_sqlite.connection.sync_driver import SyncSqliteDriver
from conformance_tests.samples.build import checkpoint, large, metadata, new_versions, on


def put(saver: Any, thread_id: str, **values: Any) -> Any:
    stored = checkpoint(values or {"a": 1})
    return saver.put(on(thread_id), stored, metadata(), new_versions(stored))


async def aput(saver: Any, thread_id: str) -> Any:
    stored = checkpoint({"a": 1})
    return await saver.aput(on(thread_id), stored, metadata(), new_versions(stored))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saver.db"


def count_commits(connection: sqlite3.Connection) -> Counter[str]:
    """Count what the connection does, as SQLite reports it."""
    seen: Counter[str] = Counter()
    connection.set_trace_callback(noting(seen))
    return seen


def noting(seen: Counter[str]) -> Callable[[str], None]:
    """A trace callback that counts statements by their first word."""
    return lambda sql: seen.update([sql.split(maxsplit=1)[0].upper()])


# ---------------------------------------------------------------- committing together


def test_writers_that_wait_together_commit_together(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
        seen = count_commits(saver.conn)
        driver: SyncSqliteDriver = saver._driver  # type: ignore[assignment]
        with driver._writer.lock:  # somebody commits just now
            threads = [threading.Thread(target=put, args=(saver, f"thread {n}")) for n in range(8)]
            for thread in threads:
                thread.start()
            while len(driver._writer.waiting) < len(threads):
                time.sleep(0.001)
        for thread in threads:
            thread.join()
        assert seen["COMMIT"] == 1
        assert len(saver.list_threads().threads) == len(threads)


def test_tasks_that_wait_together_commit_together(path: Path) -> None:
    async def go() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            await saver.setup()
            seen: Counter[str] = Counter()
            await saver.conn.set_trace_callback(noting(seen))
            await asyncio.gather(*(aput(saver, f"thread {n}") for n in range(32)))
            assert 1 <= seen["COMMIT"] <= 3
            assert len((await saver.alist_threads()).threads) == 32

    asyncio.run(go())


def test_nobody_is_told_saved_when_the_commit_fails(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
        saver.conn.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        saver.conn.execute("PRAGMA foreign_keys = ON")
        # A deferred constraint makes COMMIT itself fail, after all statements went well.
        saver.conn.execute(
            "CREATE TABLE broken (id REFERENCES other (id) DEFERRABLE INITIALLY DEFERRED)"
        )
        saver.conn.execute(
            "CREATE TRIGGER spoil AFTER INSERT ON saver_checkpoints "
            "BEGIN INSERT INTO broken VALUES (1); END"
        )
        with pytest.raises(sqlite3.IntegrityError):
            put(saver, "t")
        saver.conn.execute("DROP TRIGGER spoil")
        assert saver.get_tuple(on("t")) is None
        put(saver, "t")
        assert saver.get_tuple(on("t")) is not None


def test_one_failing_write_does_not_take_the_others_with_it(path: Path) -> None:
    async def go() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            await saver.setup()
            await saver.conn.execute(
                # the thread is there by then
                "CREATE TRIGGER refuse BEFORE INSERT ON saver_checkpoints "
                "WHEN NEW.thread = (SELECT no FROM saver_threads WHERE thread_id = 'thread 3') "
                "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
            )
            results = await asyncio.gather(
                *(aput(saver, f"thread {n}") for n in range(8)), return_exceptions=True
            )
            failed = [n for n, result in enumerate(results) if isinstance(result, Exception)]
            assert failed == [3]
            assert "not this one" in str(results[3])
            saved = {each.thread_id for each in (await saver.alist_threads()).threads}
            assert saved == {f"thread {n}" for n in range(8)} - {"thread 3"}
            assert len([each async for each in saver.alist(None)]) == 7

    asyncio.run(go())


def test_a_cancelled_caller_leaves_the_saver_working(path: Path) -> None:
    async def go() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            tasks = [asyncio.create_task(aput(saver, f"thread {n}")) for n in range(8)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(not task.cancelled() for task in tasks[1::2])
            await aput(saver, "after")
            assert await saver.aget_tuple(on("after")) is not None

    asyncio.run(go())


# ---------------------------------------------------------------- connections of the user's


@pytest.fixture(params=["default", "autocommit", "row_factory", "text_factory"])
def connection(request: pytest.FixtureRequest, path: Path) -> Iterator[sqlite3.Connection]:
    options: dict[str, Any] = {"check_same_thread": False}
    if request.param == "autocommit":
        options["isolation_level"] = None
    made = sqlite3.connect(path, **options)
    if request.param == "row_factory":
        made.row_factory = sqlite3.Row
    if request.param == "text_factory":
        made.text_factory = bytes
    yield made
    made.close()


def test_any_connection_of_sqlite3_will_do(connection: sqlite3.Connection, path: Path) -> None:
    saver = SqliteSaver(connection)
    before = connection.isolation_level, connection.row_factory, connection.text_factory
    stored = put(saver, "t")
    saver.put_writes(stored, [("a", 2)], "task")
    found = saver.get_tuple(stored)
    assert found is not None
    assert found.pending_writes == [("task", "a", 2)]
    with SqliteSaver.from_conn_string(path) as other:
        assert other.get_tuple(stored) == found
    connection.execute("SELECT 1")  # still open: it is not ours to close
    assert (connection.isolation_level, connection.row_factory, connection.text_factory) == before


@pytest.mark.parametrize(("given", "kept"), [(None, -32_000), (-500, -500), (3000, 3000)])
def test_the_page_cache_is_larger_unless_chosen(path: Path, given: int | None, kept: int) -> None:
    connection = sqlite3.connect(path, check_same_thread=False)
    if given is not None:
        connection.execute(f"PRAGMA cache_size = {given}")
    put(SqliteSaver(connection), "t")
    assert connection.execute("PRAGMA cache_size").fetchone() == (kept,)
    connection.close()


@pytest.mark.parametrize("connected", [True, False])
def test_a_connection_of_aiosqlite_connected_or_not(path: Path, connected: bool) -> None:
    async def go() -> None:
        connection = aiosqlite.connect(path)
        if connected:
            await connection
        saver = AsyncSqliteSaver(connection)
        await asyncio.gather(*(aput(saver, f"thread {n}") for n in range(4)))
        assert await saver.aget_tuple(on("thread 0")) is not None
        await connection.close()

    asyncio.run(go())


def test_copies_share_everything_but_the_serializer(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        clone = copy.copy(saver)
        assert (clone._driver, clone._planner) == (saver._driver, saver._planner)
        put(clone, "t")
        assert saver.get_tuple(on("t")) is not None


# ---------------------------------------------------------------- threads and loops


def test_a_blocking_call_on_the_loop_s_own_thread_says_what_to_call(path: Path) -> None:
    async def go() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            with pytest.raises(EventLoopError, match="aget_tuple"):
                saver.get_tuple(on("t"))
            await asyncio.to_thread(put, saver, "t")
            assert await asyncio.to_thread(saver.get_tuple, on("t")) is not None
            found = await asyncio.to_thread(lambda: list(saver.list(on("t"))))
            assert len(found) == 1

    asyncio.run(go())


def test_reading_in_a_list_loop_needs_no_lock(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        for number in range(120):
            put(saver, f"thread {number}")
        driver: SyncSqliteDriver = saver._driver  # type: ignore[assignment]
        seen = 0
        for each in saver.list(None):
            assert driver._reader is not None
            assert not driver._writer.lock.locked()
            assert not driver._reader.lock.locked()
            assert not saver.conn.in_transaction
            assert saver.get_tuple(each.config) == each
            saver.delete_thread(each.config["configurable"]["thread_id"])
            seen += 1
        assert seen == 120


def test_readers_wait_for_no_writer_of_their_own_saver(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        stored = put(saver, "t")
        driver: SyncSqliteDriver = saver._driver  # type: ignore[assignment]
        with driver._writer.lock:  # somebody waits for the disk
            assert saver.get_tuple(stored) is not None
            assert len(list(saver.list(None))) == 1


def test_a_read_sees_what_was_saved_before_it(path: Path) -> None:
    async def go() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:

            async def turn(number: int) -> bool:
                await aput(saver, f"thread {number}")
                return await saver.aget_tuple(on(f"thread {number}")) is not None

            assert all(await asyncio.gather(*map(turn, range(100))))

    asyncio.run(go())


@pytest.mark.parametrize("name", [":memory:", ""])
def test_a_database_in_memory_is_one_database(name: str) -> None:
    with SqliteSaver.from_conn_string(name) as saver:
        assert saver.get_tuple(put(saver, "t")) is not None


# ---------------------------------------------------------------- failures


def test_a_locked_file_is_an_error_and_never_nothing(path: Path) -> None:
    with SqliteSaver.from_conn_string(path, busy_timeout=0.05) as saver:
        stored = put(saver, "t")
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailableError, match="locked") as caught:
            put(saver, "t")
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert saver.get_tuple(stored) is not None  # readers do not wait for writers
        other.rollback()
        other.close()
        put(saver, "t")


def test_a_full_disk_is_an_error_for_everyone_who_waited(path: Path) -> None:
    async def go() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            await aput(saver, "first")
            await saver.conn.execute("PRAGMA max_page_count = 30")
            results = await asyncio.gather(
                *(aput(saver, f"thread {n}") for n in range(400)), return_exceptions=True
            )
            refused = [each for each in results if isinstance(each, Exception)]
            assert refused
            assert all(isinstance(each, BackendUnavailableError) for each in refused)
            await saver.conn.execute("PRAGMA max_page_count = 100000")
            saved = {each.thread_id for each in (await saver.alist_threads(limit=1000)).threads}
            told = {f"thread {n}" for n, each in enumerate(results) if isinstance(each, dict)}
            assert saved == told | {"first"}

    asyncio.run(go())


def test_a_newer_schema_is_named(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
        saver.conn.execute("INSERT INTO saver_migrations VALUES (9999, 0)")
        saver.conn.commit()
    with (
        SqliteSaver.from_conn_string(path) as saver,
        pytest.raises(SchemaVersionError, match=r"9999.*upgrade"),
    ):
        saver.setup()


def test_a_setup_that_is_up_to_date_writes_nothing(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
    with SqliteSaver.from_conn_string(path) as saver:
        seen = count_commits(saver.conn)
        saver.setup()
        saver.setup()
        assert seen["BEGIN"] > 0
        assert not {"CREATE", "INSERT", "UPDATE"} & seen.keys()


def test_an_unknown_synchronous_level_never_reaches_sql(path: Path) -> None:
    with (
        pytest.raises(InvalidArgumentError, match="synchronous"),
        SqliteSaver.from_conn_string(path, synchronous="full; DROP TABLE saver_threads"),
    ):
        pass


def test_file_and_wal_are_as_promised(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        put(saver, "t")
        assert saver.conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert saver.conn.execute("PRAGMA synchronous").fetchone() == (2,)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        saver.conn.execute("SELECT 1")


def test_numbered_parameters_are_bound_by_number() -> None:
    """Python 3.12 warns of a sequence for them, and 3.14 refuses it."""
    assert _bound("SELECT ?1, ?2, ?1", ("a", 2)) == {"1": "a", "2": 2}
    assert _bound("SELECT ?, ?", ("a", 2)) == ("a", 2)


def test_blocking_methods_of_an_async_saver_encode_off_its_loop(tmp_path: Path) -> None:
    """They are called from other threads, but their plans run on the loop."""
    encoded_in: list[int] = []

    class Recording(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            kind, data = super().dumps_typed(obj)
            if len(data) > OFFLOADED:
                encoded_in.append(threading.get_ident())
            return kind, data

    async def main() -> None:
        async with AsyncSqliteSaver.from_conn_string(tmp_path / "a.db", serde=Recording()) as saver:
            state = [large(n) for n in range(5)]
            await asyncio.to_thread(put, saver, "t", a=state)
            await asyncio.to_thread(saver.put_writes, on("t", "", "1"), [("a", state)], "task")

    asyncio.run(main())
    assert len(encoded_in) == 2
    assert threading.get_ident() not in encoded_in
