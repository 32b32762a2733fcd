"""One connection object that several savers and stores use, from several threads."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from checkpoint_sqlite import AsyncSqliteSaver, AsyncSqliteStore, SqliteSaver, SqliteStore
from checkpoint_sqlite.connection.sync_driver import session_of
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on


def arguments(thread_id: str) -> tuple[Any, ...]:
    stored = checkpoint({"a": thread_id})
    return on(thread_id), stored, metadata(), new_versions(stored)


def test_a_saver_and_a_store_on_one_connection_from_eight_threads(tmp_path: Path) -> None:
    errors: list[Exception] = []

    def repeat(call: Callable[[int], Any]) -> None:
        for number in range(50):
            try:
                call(number)
            except Exception as error:  # noqa: BLE001 (whatever it is)
                errors.append(error)

    with closing(sqlite3.connect(tmp_path / "a.db", check_same_thread=False)) as connection:
        savers = SqliteSaver(connection), SqliteSaver(connection)
        store = SqliteStore(connection)
        calls: list[Callable[[int], Any]] = [
            lambda n: savers[0].put(*arguments(f"a {n}")),
            lambda n: savers[1].put(*arguments(f"b {n}")),
            lambda n: savers[1].get_tuple(on(f"a {n}")),
            lambda _: list(savers[0].list(None, limit=3)),
            lambda n: store.put(("a",), str(n), {"n": n}),
            lambda n: store.get(("a",), str(n)),
            lambda _: store.search(("a",), limit=3),
            lambda n: savers[0].delete_thread(f"none {n}"),
        ]
        threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert not connection.in_transaction
        assert len(savers[0].list_threads(limit=1000).threads) == 100
        assert store.stats().items == 50


def test_a_connection_has_one_session_while_anything_uses_it() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        saver = SqliteSaver(connection)
        session = weakref.ref(session_of(connection))
        assert session() is session_of(connection)
        other = SqliteStore(connection)
        del saver
        gc.collect()
        assert session() is session_of(connection)
        del other
        gc.collect()
        assert session() is None


@pytest.mark.parametrize("connected", [True, False])
def test_a_saver_and_a_store_on_one_aiosqlite_connection(tmp_path: Path, connected: bool) -> None:
    async def go() -> None:
        connection = aiosqlite.connect(tmp_path / "a.db")
        if connected:
            await connection
        saver, store = AsyncSqliteSaver(connection), AsyncSqliteStore(connection)
        try:
            await asyncio.gather(
                *(saver.aput(*arguments(f"thread {n}")) for n in range(20)),
                *(store.aput(("a",), str(n), {"n": n}) for n in range(20)),
            )
            assert len((await saver.alist_threads(limit=100)).threads) == 20
            assert (await store.astats()).items == 20
        finally:
            await connection.close()

    asyncio.run(go())
