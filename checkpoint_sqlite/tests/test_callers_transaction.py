"""A connection that its owner has in a transaction: what we store is part of it, and no more."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from checkpoint_base.errors import BackendUnavailableError, UncommittedWarning
from checkpoint_sqlite import AsyncSqliteSaver, AsyncSqliteStore, SqliteSaver, SqliteStore
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on

INDEX: Any = {"dims": 2, "embed": lambda texts: [[1.0, float(len(text))] for text in texts]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with an `orders` table of the application's."""
    made = tmp_path / "saver.db"
    with closing(sqlite3.connect(made)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    return made


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, check_same_thread=False)) as made:
        yield made


def arguments(value: Any, config: Any = None) -> tuple[Any, ...]:
    stored = checkpoint({"a": value})
    return config or on("t"), stored, metadata(), new_versions(stored)


def large(seed: int) -> bytes:
    return random.Random(seed).randbytes(40_000)


def orders(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM orders").fetchall()
    return int(count)


def read_elsewhere(path: Path) -> Any:
    """The value of the newest checkpoint, as another connection sees it."""
    with SqliteSaver.from_conn_string(path) as other:
        found = other.get_tuple(on("t"))
    return None if found is None else found.checkpoint["channel_values"]["a"]


CALLS = {
    "put": lambda saver: saver.put(*arguments(1)),
    "get_tuple": lambda saver: saver.get_tuple(on("t")),
    "list": lambda saver: list(saver.list(on("t"))),
    "delete_thread": lambda saver: saver.delete_thread("t"),
    "setup": lambda saver: saver.setup(),
    "list_threads": lambda saver: saver.list_threads(),
    "stats": lambda saver: saver.stats(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("is_set_up", [True, False])
def test_no_call_ends_the_callers_transaction(
    path: Path, connection: sqlite3.Connection, call: Any, is_set_up: bool
) -> None:
    saver = SqliteSaver(connection)
    if is_set_up:
        saver.setup()
    connection.execute("INSERT INTO orders VALUES (1)")
    call(saver)
    assert connection.in_transaction
    connection.rollback()
    assert orders(path) == 0


def test_a_put_is_rolled_back_with_the_callers_transaction(
    path: Path, connection: sqlite3.Connection
) -> None:
    saver = SqliteSaver(connection)
    saver.setup()
    connection.execute("INSERT INTO orders VALUES (1)")
    saver.put(*arguments(1))
    assert saver.get_tuple(on("t")) is not None  # the caller sees what is not committed yet
    assert read_elsewhere(path) is None
    connection.rollback()
    assert saver.get_tuple(on("t")) is None
    saver.put(*arguments(2))
    assert read_elsewhere(path) == 2


def test_a_put_is_committed_with_the_callers_transaction(
    path: Path, connection: sqlite3.Connection
) -> None:
    saver = SqliteSaver(connection)
    connection.execute("INSERT INTO orders VALUES (1)")
    saver.put(*arguments(1))
    connection.commit()
    assert read_elsewhere(path) == 1
    assert orders(path) == 1


def test_a_setup_that_is_rolled_back_is_done_again(
    path: Path, connection: sqlite3.Connection
) -> None:
    saver = SqliteSaver(connection)
    connection.execute("INSERT INTO orders VALUES (1)")
    saver.put(*arguments(1))
    connection.rollback()
    saver.put(*arguments(2))
    assert read_elsewhere(path) == 2
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_nothing_is_remembered_of_what_may_be_rolled_back(
    path: Path, connection: sqlite3.Connection
) -> None:
    """A cache with chunks of the transaction would make later puts refer to what is not there."""
    saver = SqliteSaver(connection)
    config = saver.put(*arguments("hi"))
    for number, commit in enumerate([False, True, False, False, True]):
        connection.execute("INSERT INTO orders VALUES (1)")
        saver.put_writes(config, [("a", large(number))], f"task {number}")
        assert saver.get_tuple(config) is not None
        (connection.commit if commit else connection.rollback)()
        with SqliteSaver.from_conn_string(path) as other:  # takes the same place in the log
            other.put_writes(config, [("b", large(100 + number))], f"other {number}")
        saver.put_writes(config, [("a", large(number))], f"again {number}")
    for each in (SqliteSaver.from_conn_string(path),):
        with each as other:
            found = other.get_tuple(config)
    assert found is not None
    written = {task: value for task, _, value in found.pending_writes or []}
    assert {f"task {number}" in written for number in (0, 2, 3)} == {False}
    for number in range(5):
        assert written[f"again {number}"] == large(number)
        assert written[f"other {number}"] == large(100 + number)
    assert written["task 1"] == large(1)


def test_a_search_by_meaning_remembers_no_vectors_of_the_callers_transaction(
    path: Path, connection: sqlite3.Connection
) -> None:
    store = SqliteStore(connection, index=INDEX)
    store.put(("a",), "kept", {"text": "x"})
    assert len(store.search((), query="x")) == 1
    connection.execute("INSERT INTO orders VALUES (1)")
    store.put(("a",), "dropped", {"text": "yy"})
    assert {item.key for item in store.search((), query="x")} == {"kept", "dropped"}
    connection.rollback()
    store.put(("a",), "other", {"text": "zzz"})  # takes the number of the change rolled back
    found = {item.key: item.score for item in store.search((), query="x")}
    assert found.keys() == {"kept", "other"}
    fresh = SqliteStore(connection, index=INDEX).search((), query="x")
    assert found == {item.key: item.score for item in fresh}


def test_a_call_that_fails_leaves_the_callers_transaction_as_it_was(
    path: Path, connection: sqlite3.Connection
) -> None:
    saver = SqliteSaver(connection)
    saver.setup()
    connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON saver_checkpoints "
        "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    )
    connection.row_factory, connection.text_factory = sqlite3.Row, bytes
    before = connection.isolation_level, connection.row_factory, connection.text_factory
    connection.execute("INSERT INTO orders VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError, match="not this one"):
        saver.put(*arguments(1))
    assert connection.in_transaction
    assert (connection.isolation_level, connection.row_factory, connection.text_factory) == before
    connection.commit()
    assert orders(path) == 1
    assert read_elsewhere(path) is None


def test_savepoints_of_the_caller_stay(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        saver = SqliteSaver(connection)
        saver.setup()
        connection.execute("SAVEPOINT outer_one")
        connection.execute("INSERT INTO orders VALUES (1)")
        saver.put(*arguments(1))
        connection.execute("SAVEPOINT inner_one")
        saver.put(*arguments(2))
        connection.execute("ROLLBACK TO inner_one")
        connection.execute("RELEASE outer_one")
        assert not connection.in_transaction
    assert read_elsewhere(path) == 1


def test_threads_that_put_into_the_callers_transaction(
    path: Path, connection: sqlite3.Connection
) -> None:
    """Their jobs go together as ever, and none of them commits."""
    saver = SqliteSaver(connection)
    saver.setup()
    connection.execute("INSERT INTO orders VALUES (1)")
    threads = [
        threading.Thread(target=saver.put, args=arguments(n, on(f"thread {n}"))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(saver.list_threads().threads) == 8
    connection.rollback()
    assert saver.list_threads().threads == []


def test_a_reader_is_not_asked_for_what_only_the_transaction_has(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
        saver.conn.execute("INSERT INTO orders VALUES (1)")
        threads = [
            threading.Thread(target=saver.put, args=arguments(n, on(f"thread {n}")))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        saver.put(*arguments("mine"))
        found = [saver.get_tuple(on("t")) for _ in range(50)]
        for thread in threads:
            thread.join()
        saver.conn.rollback()
    assert None not in found


def test_a_transaction_of_an_aiosqlite_connection(path: Path) -> None:
    async def go() -> None:
        async with aiosqlite.connect(path) as connection:
            saver = AsyncSqliteSaver(connection)
            store = AsyncSqliteStore(connection, index=INDEX)
            await connection.execute("INSERT INTO orders VALUES (1)")
            await saver.aput(*arguments(large(1)))
            await store.aput(("a",), "k", {"text": "x"})
            assert await saver.aget_tuple(on("t")) is not None
            assert len(await store.asearch((), query="x")) == 1
            assert connection.in_transaction
            await connection.rollback()
            assert await saver.aget_tuple(on("t")) is None
            assert await store.asearch((), query="x") == []
            await connection.execute("INSERT INTO orders VALUES (2)")
            await saver.aput(*arguments(large(1)))
            await connection.commit()

    asyncio.run(go())
    assert read_elsewhere(path) == large(1)
    assert orders(path) == 1


def test_a_transaction_that_sqlite_rolls_back(path: Path, connection: sqlite3.Connection) -> None:
    """A full disk ends the caller's transaction as well: that is SQLite's way, and is said."""
    saver = SqliteSaver(connection)
    saver.setup()
    connection.execute("INSERT INTO orders VALUES (1)")
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(BackendUnavailableError, match="full"):
        saver.put(*arguments(large(1)))
    connection.rollback()
    connection.execute("PRAGMA max_page_count = 100000")
    saver.put(*arguments(large(1)))
    assert read_elsewhere(path) == large(1)


def without_autocommit(path: Path) -> None:
    options: Any = {"autocommit": False, "check_same_thread": False}
    with closing(sqlite3.connect(path, **options)) as connection:
        with pytest.warns(UncommittedWarning, match="autocommit=False.*commit"):
            saver = SqliteSaver(connection)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it was said once
            store = SqliteStore(connection)
        saver.put(*arguments(1))
        store.put(("a",), "k", {"v": 1})
        connection.rollback()
        assert saver.get_tuple(on("t")) is None
        saver.put(*arguments(2))
        connection.commit()
        assert connection.autocommit is False  # type: ignore[attr-defined, unused-ignore]
    assert read_elsewhere(path) == 2


if sys.version_info >= (3, 12):  # which brought autocommit=; a skipped test counts as failed

    def test_a_connection_without_autocommit_is_the_callers_to_commit(path: Path) -> None:
        without_autocommit(path)
