"""Files that cannot be opened or read, and connections that are none: what is said of them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    CorruptValueError,
    InvalidArgumentError,
    PermissionDeniedError,
)
from checkpoint_sqlite import AsyncSqliteSaver, AsyncSqliteStore, SqliteSaver, SqliteStore
from conformance_tests.samples.build import on


def saver_at(path: Any) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        saver.get_tuple(on("t"))


def store_at(path: Any) -> None:
    with SqliteStore.from_conn_string(path) as store:
        store.get(("a",), "k")


def asaver_at(path: Any) -> None:
    async def go() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            await saver.aget_tuple(on("t"))

    asyncio.run(go())


def astore_at(path: Any) -> None:
    async def go() -> None:
        async with AsyncSqliteStore.from_conn_string(path) as store:
            await store.aget(("a",), "k")

    asyncio.run(go())


Open = Callable[[Any], None]
EVERY = pytest.mark.parametrize("open_", [saver_at, store_at, asaver_at, astore_at])


@EVERY
def test_a_file_that_cannot_be_opened(open_: Open, tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "missing" / "a.db", f"no directory {str(tmp_path / 'missing')!r}"),
        (tmp_path, "is a directory"),
    ):
        with pytest.raises(BackendUnavailableError, match="cannot open") as caught:
            open_(path)
        assert str(path) in str(caught.value)
        assert said in str(caught.value)
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


@EVERY
def test_a_file_that_is_no_database(open_: Open, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes, not a database. " * 400)
    with pytest.raises(CorruptValueError, match="cannot read") as caught:
        open_(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)


@EVERY
@pytest.mark.parametrize("path", [None, 5, b"a.db", "a\0b", "sqlite:///a.db"])
def test_what_is_no_path(open_: Open, path: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="conn_string: wanted the path"):
        open_(path)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    saver_at(path)
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
    connection.row_factory = lambda cursor, row: {"row": row}
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_id": "c"}}
    with pytest.raises(PermissionDeniedError, match="readonly") as caught:
        SqliteSaver(connection).put_writes(config, [("a", 1)], "task")
    connection.close()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("made_there", [True, False])
def test_a_connection_that_is_for_one_thread(tmp_path: Path, made_there: bool) -> None:
    connection = sqlite3.connect(tmp_path / "a.db")
    saver = None if made_there else SqliteSaver(connection)
    errors = []

    def work() -> None:
        try:
            (saver or SqliteSaver(connection)).get_tuple(on("t"))
        except CheckpointError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    connection.close()
    (error,) = errors
    assert isinstance(error, InvalidArgumentError)
    assert "check_same_thread=False" in str(error)


def test_what_is_no_connection(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    blocking: Any = sqlite3.connect(path)
    awaitable: Any = aiosqlite.connect(path)
    anything: Any = path

    async def go() -> None:
        for cls in (AsyncSqliteSaver, AsyncSqliteStore):
            with pytest.raises(InvalidArgumentError, match="of aiosqlite, got Connection of sql"):
                cls(blocking)
            with pytest.raises(InvalidArgumentError, match="reader: wanted"):
                cls(awaitable, reader=blocking)
            with pytest.raises(InvalidArgumentError, match=r"got str .*from_conn_string"):
                cls(anything)

    asyncio.run(go())
    for cls in (SqliteSaver, SqliteStore):
        with pytest.raises(InvalidArgumentError, match="of sqlite3, got Connection of aiosqlite"):
            cls(awaitable)
        with pytest.raises(InvalidArgumentError, match="reader: wanted"):
            cls(blocking, reader=awaitable)
        with pytest.raises(InvalidArgumentError, match=r"conn: .*got str .*from_conn_string"):
            cls(anything)
    blocking.close()


def test_a_connection_that_opens_late(tmp_path: Path) -> None:
    async def go() -> None:
        saver = AsyncSqliteSaver(aiosqlite.connect(tmp_path / "missing" / "a.db"))
        with pytest.raises(BackendUnavailableError, match="unable to open"):
            await saver.aget_tuple(on("t"))

    asyncio.run(go())
