"""Files that this process may not write or read, that nobody set up, and connections that are
closed: each is an error of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from checkpoint_base.errors import ClosedError, NotSetUpError, PermissionDeniedError
from checkpoint_sqlite import AsyncSqliteSaver, AsyncSqliteStore, SqliteSaver, SqliteStore
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on

NOBODY = 65534


@contextmanager
def as_user() -> Iterator[None]:
    """What follows is done without root's right to do everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """That every user may write to; pytest's own folders are for one user."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o777)
        yield folder
        folder.chmod(0o777)


def saver_at(path: Path) -> None:
    stored = checkpoint({"a": 1})
    with SqliteSaver.from_conn_string(path) as saver:
        saver.get_tuple(on("t"))
        saver.put(on("t"), stored, metadata(), new_versions(stored))


def store_at(path: Path) -> None:
    with SqliteStore.from_conn_string(path) as store:
        store.get(("a",), "k")
        store.put(("a",), "k", {"v": 1})


def asaver_at(path: Path) -> None:
    async def go() -> None:
        stored = checkpoint({"a": 1})
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            await saver.aget_tuple(on("t"))
            await saver.aput(on("t"), stored, metadata(), new_versions(stored))

    asyncio.run(go())


def astore_at(path: Path) -> None:
    async def go() -> None:
        async with AsyncSqliteStore.from_conn_string(path) as store:
            await store.aget(("a",), "k")
            await store.aput(("a",), "k", {"v": 1})

    asyncio.run(go())


Use = Callable[[Path], None]
EVERY = pytest.mark.parametrize("use", [saver_at, store_at, asaver_at, astore_at])


def made(folder: Path) -> Path:
    path = folder / "a.db"
    saver_at(path)
    store_at(path)
    path.chmod(0o666)
    return path


@EVERY
def test_a_file_that_may_only_be_read(use: Use, folder: Path) -> None:
    path = made(folder)
    path.chmod(0o444)
    with as_user(), pytest.raises(PermissionDeniedError, match="right: writing to the file") as got:
        use(path)
    assert str(path) in str(got.value)
    assert isinstance(got.value.__cause__, sqlite3.OperationalError)


@EVERY
def test_a_file_that_may_not_be_read(use: Use, folder: Path) -> None:
    path = made(folder)
    path.chmod(0)
    with as_user(), pytest.raises(PermissionDeniedError, match="right: reading the file") as got:
        use(path)
    assert str(path) in str(got.value)


@EVERY
@pytest.mark.parametrize("exists", [True, False])
def test_a_directory_in_which_no_files_can_be_made(use: Use, folder: Path, exists: bool) -> None:
    path = made(folder) if exists else folder / "a.db"
    folder.chmod(0o555)
    with as_user(), pytest.raises(PermissionDeniedError, match="files in the directory") as got:
        use(path)
    assert str(folder) in str(got.value)


@EVERY
def test_a_file_and_a_directory_that_may_only_be_read(use: Use, folder: Path) -> None:
    """Even reading needs the directory, for SQLite's -shm file."""
    path = made(folder)
    path.chmod(0o444)
    folder.chmod(0o555)
    both = "right: writing to the file .*, and making files in the directory"
    with as_user(), pytest.raises(PermissionDeniedError, match=both):
        use(path)


@EVERY
def test_a_file_that_may_only_be_read_and_was_never_set_up(use: Use, folder: Path) -> None:
    path = folder / "a.db"
    path.touch()
    path.chmod(0o444)
    with as_user(), pytest.raises(NotSetUpError, match=r"writing to the file.*call setup\(\)"):
        use(path)
    path.chmod(0o666)
    with as_user():
        use(path)


@pytest.mark.parametrize("is_set_up", [True, False])
def test_a_connection_that_may_only_read(folder: Path, is_set_up: bool) -> None:
    path = made(folder) if is_set_up else folder / "a.db"
    path.touch()
    url = f"file:{path}?mode=ro"
    with closing(sqlite3.connect(url, uri=True, check_same_thread=False)) as connection:
        saver, store = SqliteSaver(connection), SqliteStore(connection)
        stored = checkpoint({"a": 2})
        if not is_set_up:
            with pytest.raises(NotSetUpError):
                saver.get_tuple(on("t"))
            with pytest.raises(NotSetUpError):
                store.get(("a",), "k")
            return
        assert saver.get_tuple(on("t")) is not None
        assert store.get(("a",), "k") is not None
        with pytest.raises(PermissionDeniedError, match="for reading only"):
            saver.put(on("t"), stored, metadata(), new_versions(stored))
        with pytest.raises(PermissionDeniedError, match="for reading only"):
            store.put(("a",), "k", {"v": 2})
        saver.setup()  # there is nothing to do


def test_what_expires_can_be_read_where_its_expiry_cannot_be_moved(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "a.db"
    ttl: Any = {"default_ttl": 60.0, "refresh_on_read": True}
    stored = checkpoint({"a": 1})
    with SqliteSaver.from_conn_string(path, ttl=ttl) as saver:
        saver.put(on("t"), stored, metadata(), new_versions(stored))
    with SqliteStore.from_conn_string(path, ttl=ttl) as store:
        store.put(("a",), "k", {"v": 1})
    url = f"file:{path}?mode=ro"
    with closing(sqlite3.connect(url, uri=True, check_same_thread=False)) as connection:
        later: Any = {"ttl": ttl, "clock": lambda: time.time() + 600}
        assert SqliteSaver(connection, **later).get_tuple(on("t")) is not None
        assert SqliteStore(connection, **later).get(("a",), "k") is not None
        assert SqliteStore(connection, **later).search(("a",), filter={"v": 1})
    logged = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(logged) == 3


def test_tables_that_are_gone(folder: Path) -> None:
    path = made(folder)
    with SqliteSaver.from_conn_string(path) as saver:
        saver.get_tuple(on("t"))
        with closing(sqlite3.connect(path)) as other, other:
            for (name,) in other.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'saver%'"
            ).fetchall():
                other.execute(f"DROP TABLE {name}")
        with pytest.raises(NotSetUpError, match=r"call setup\(\)"):
            saver.get_tuple(on("t"))
        saver.setup()
        assert saver.get_tuple(on("t")) is None


@pytest.mark.parametrize("is_used_before", [True, False])
def test_a_connection_that_its_owner_closed(folder: Path, is_used_before: bool) -> None:
    path = made(folder)
    connection = sqlite3.connect(path, check_same_thread=False)
    saver, store = SqliteSaver(connection), SqliteStore(connection)
    if is_used_before:
        saver.setup()
        store.setup()
    connection.close()
    stored = checkpoint({"a": 1})
    for call in (
        saver.setup,
        lambda: saver.get_tuple(on("t")),
        lambda: list(saver.list(None)),
        lambda: saver.put(on("t"), stored, metadata(), new_versions(stored)),
        lambda: store.get(("a",), "k"),
        lambda: store.search(("a",)),
        lambda: store.put(("a",), "k", {"v": 1}),
    ):
        with pytest.raises(ClosedError, match="its owner"):
            call()


def test_a_connection_that_was_closed_before() -> None:
    connection = sqlite3.connect(":memory:")
    connection.close()
    for cls in (SqliteSaver, SqliteStore):
        with pytest.raises(ClosedError, match="its owner"):
            cls(connection)


@pytest.mark.parametrize("is_used_before", [True, False])
def test_an_aiosqlite_connection_that_its_owner_closed(folder: Path, is_used_before: bool) -> None:
    path = made(folder)

    async def go() -> None:
        async with aiosqlite.connect(path) as connection:
            saver, store = AsyncSqliteSaver(connection), AsyncSqliteStore(connection)
            if is_used_before:
                await saver.setup()
                await store.setup()
        stored = checkpoint({"a": 1})
        for call in (
            saver.setup,
            lambda: saver.aget_tuple(on("t")),
            lambda: saver.aput(on("t"), stored, metadata(), new_versions(stored)),
            lambda: store.aget(("a",), "k"),
            lambda: store.aput(("a",), "k", {"v": 1}),
        ):
            with pytest.raises(ClosedError, match="its owner"):
                await call()

    asyncio.run(go())
