"""`call_timeout`: a locked file, a long statement or a busy connection holds no call for ever."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from checkpoint_base import BackendUnavailableError
from checkpoint_base.plan import Plan, unlimited, write
from checkpoint_base.sql.requests import execute, rows
from checkpoint_sqlite import AsyncSqliteSaver, AsyncSqliteStore, SqliteSaver, SqliteStore
from checkpoint_sqlite.tests.harness import SqliteHarness
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on, values
from conformance_tests.samples.driver_adapter import FLAVOURS, Facade, Flavour, opened

SHORT = 0.3
TIMED_OUT = "call_timeout: a statement of SQLite was not done within 0.3 s"
WAITED = "call_timeout: the wait for a connection or a file of SQLite that others use"
EITHER = f"{TIMED_OUT}|{WAITED}"  # on an event loop a job has not begun while it waits for the file
ENDLESS = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"


class Hasty(SqliteHarness):
    """Opens savers that give up soon, long before SQLite does."""

    def open(self, **options: Any) -> Any:
        return super().open(call_timeout=SHORT, **options)

    def aopen(self, **options: Any) -> Any:
        return super().aopen(call_timeout=SHORT, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saver.db"


@pytest.fixture(params=FLAVOURS)
def hasty(request: pytest.FixtureRequest, path: Path) -> Iterator[Facade]:
    flavour: Flavour = request.param
    with opened(Hasty(path), flavour) as saver:
        put(saver, 0)
        yield saver


def put(saver: Any, step: int) -> Any:
    stored = checkpoint({"step": step}, id=f"{step:08}")
    return saver.put(on("t"), stored, metadata(step=step), new_versions(stored))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Inside the block another process would have the file locked."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


def test_a_locked_file_ends_a_put_and_no_read(hasty: Facade, path: Path) -> None:
    with locked(path):
        with pytest.raises(BackendUnavailableError, match=EITHER):
            put(hasty, 1)
        assert values(hasty.get_tuple(on("t"))) == {"step": 0}
    put(hasty, 2)
    assert [values(each)["step"] for each in hasty.list(on("t"))] == [2, 0]


def test_the_connection_of_a_caller_may_be_more_patient(path: Path) -> None:
    connection = sqlite3.connect(path, timeout=3600, check_same_thread=False)
    saver = SqliteSaver(connection, call_timeout=SHORT)
    put(saver, 0)
    with locked(path), pytest.raises(BackendUnavailableError, match=TIMED_OUT) as caught:
        put(saver, 1)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    connection.close()


def test_a_less_patient_connection_says_so_itself(path: Path) -> None:
    with SqliteSaver.from_conn_string(path, busy_timeout=0.1) as saver:
        put(saver, 0)
        with locked(path), pytest.raises(BackendUnavailableError, match="is locked"):
            put(saver, 1)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_stores_end_as_well(path: Path, flavour: Flavour) -> None:
    if flavour == "sync":
        with SqliteStore.from_conn_string(path, call_timeout=SHORT) as store:
            store.put(("a",), "k", {"v": 1})
            with locked(path), pytest.raises(BackendUnavailableError, match=TIMED_OUT):
                store.put(("a",), "k", {"v": 2})
        return

    async def main() -> None:
        async with AsyncSqliteStore.from_conn_string(path, call_timeout=SHORT) as store:
            await store.aput(("a",), "k", {"v": 1})
            with locked(path), pytest.raises(BackendUnavailableError, match=EITHER):
                await store.aput(("a",), "k", {"v": 2})

    asyncio.run(main())


def drive(saver: Facade, plan: Plan[Any]) -> Any:
    """Run a plan of the test's, in the saver's way."""
    raw: Any = saver.raw
    return raw._drive(plan)


def endless() -> Plan[Any]:
    return (yield from rows(ENDLESS))


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_long_statement_is_interrupted(hasty: Facade, in_transaction: bool) -> None:
    with pytest.raises(BackendUnavailableError, match=TIMED_OUT):
        drive(hasty, write(endless) if in_transaction else endless())
    put(hasty, 1)
    assert values(hasty.get_tuple(on("t"))) == {"step": 1}


def test_setup_may_take_longer(hasty: Facade) -> None:
    """Its statements are not interrupted, although this one takes longer than 0.3 seconds."""
    counted = ENDLESS.replace("FROM c)", "FROM c WHERE n < 3000000)")
    drive(hasty, unlimited(write(execute, counted)))


def test_a_connection_that_others_use_is_not_waited_for(path: Path) -> None:
    with SqliteSaver.from_conn_string(path, call_timeout=SHORT) as saver:
        put(saver, 0)
        lock = saver._sqlite._writer.lock
        with lock, pytest.raises(BackendUnavailableError, match=WAITED):
            put(saver, 1)
        put(saver, 2)
        assert [values(each)["step"] for each in saver.list(on("t"))] == [2, 0]


def test_a_busy_thread_of_aiosqlite_is_not_waited_for(path: Path) -> None:
    async def main() -> None:
        async with aiosqlite.connect(path) as connection:
            saver = AsyncSqliteSaver(connection, call_timeout=SHORT)
            await saver.aput(*arguments(0))
            goes_on = threading.Event()
            busy = asyncio.ensure_future(connection._execute(goes_on.wait))  # type: ignore[no-untyped-call]
            for call in (saver.aput(*arguments(1)), saver.aget_tuple(on("t"))):
                with pytest.raises(BackendUnavailableError, match=WAITED):
                    await call
            goes_on.set()
            await busy
            await saver.aput(*arguments(2))
            found = [values(each)["step"] async for each in saver.alist(on("t"))]
            assert found == [2, 0]

    asyncio.run(main())


def arguments(step: int) -> Any:
    stored = checkpoint({"step": step}, id=f"{step:08}")
    return on("t"), stored, metadata(step=step), new_versions(stored)
