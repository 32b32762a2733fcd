"""Calls that are interrupted or cancelled: nothing of them happens after they have ended."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from checkpoint_sqlite import AsyncSqliteSaver, AsyncSqliteStore, SqliteSaver, SqliteStore
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on

WAIT = 20.0  # seconds, for what must happen
MOMENT = 0.1  # seconds, in which something must not happen


def arguments(thread_id: str) -> tuple[Any, ...]:
    stored = checkpoint({"a": thread_id})
    return on(thread_id), stored, metadata(), new_versions(stored)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def press_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def interrupt_when(condition: Callable[[], object]) -> threading.Thread:
    def interrupt() -> None:
        until(condition)
        time.sleep(MOMENT)  # the main thread goes on to the lock
        press_ctrl_c()

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


class Watched(sqlite3.Connection):
    """A connection that calls `hook` before and after each statement."""

    hook: Callable[[str, str], None] = staticmethod(lambda when, sql: None)

    def execute(self, *args: Any) -> sqlite3.Cursor:
        self.hook("before", args[0])
        cursor = super().execute(*args)
        self.hook("after", args[0])
        return cursor

    def cursor(self, *_: Any) -> Any:
        return super().cursor(WatchedCursor)


class WatchedCursor(sqlite3.Cursor):
    connection: Watched

    def execute(self, *args: Any) -> Any:
        self.connection.hook("before", args[0])
        super().execute(*args)
        self.connection.hook("after", args[0])
        return self

    def executemany(self, *args: Any) -> Any:
        self.connection.hook("before", args[0])
        super().executemany(*args)
        self.connection.hook("after", args[0])
        return self


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database that is set up, with an `orders` table of the application's."""
    made = tmp_path / "saver.db"
    with SqliteSaver.from_conn_string(made) as saver:
        saver.setup()
    with SqliteStore.from_conn_string(made) as store:
        store.setup()
    with closing(sqlite3.connect(made)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    return made


@pytest.fixture
def connection(path: Path) -> Iterator[Watched]:
    made = sqlite3.connect(path, factory=Watched, check_same_thread=False)
    with closing(made):
        yield made


def threads_in(path: Path) -> set[str]:
    with SqliteSaver.from_conn_string(path) as saver:
        return {each.thread_id for each in saver.list_threads().threads}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process writes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def waiting_in(saver: Any) -> int:
    return len(saver._driver._writer.waiting)


class Interrupt:
    """A hook that raises KeyboardInterrupt at the n-th moment on the main thread.

    `others` is waited for before a transaction begins.
    """

    def __init__(self, number: int, others: Callable[[], object] = lambda: True) -> None:
        self.left, self.raised, self.others = number, False, others

    def __call__(self, when: str, sql: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if sql.startswith("BEGIN IMMEDIATE"):
            until(self.others)
        self.left -= 1
        if self.left < 0 and not self.raised:
            self.raised = True
            raise KeyboardInterrupt


# ---------------------------------------------------------------- KeyboardInterrupt


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_put_interrupted_at_any_moment_is_decided(
    path: Path, connection: Watched, in_transaction: bool
) -> None:
    saver = SqliteSaver(connection)
    saver.setup()
    for number in range(100):
        name = f"thread {number}"
        if in_transaction:
            connection.execute("INSERT INTO orders VALUES (1)")
        connection.hook = hook = Interrupt(number)
        with suppress(KeyboardInterrupt):
            saver.put(*arguments(name))
        del connection.hook
        assert connection.in_transaction == in_transaction
        connection.commit()
        is_stored = name in threads_in(path)
        assert is_stored or hook.raised
        saver.put(*arguments("later"))
        assert (name in threads_in(path)) == is_stored
        if not hook.raised:  # it was over before
            break
    else:
        pytest.fail("a put has fewer statements")
    assert number > 5


def test_who_waits_is_served_whenever_the_leader_is_interrupted(
    path: Path, connection: Watched
) -> None:
    saver = SqliteSaver(connection)
    saver.setup()
    for number in range(200):
        errors: list[BaseException] = []

        def put(name: str, errors: list[BaseException] = errors) -> None:
            try:
                saver.put(*arguments(name))
            except Exception as error:  # noqa: BLE001 (whatever it is)
                errors.append(error)

        other = threading.Thread(target=put, args=(f"other {number}",))

        def both_wait(other: threading.Thread = other) -> bool:
            if other.ident is None:
                other.start()
            return waiting_in(saver) == 2

        connection.hook = hook = Interrupt(number, both_wait)
        with suppress(KeyboardInterrupt):
            saver.put(*arguments(f"thread {number}"))
        if other.ident is None:  # interrupted before anything began
            other.start()
        other.join()
        del connection.hook
        assert errors == []
        stored = threads_in(path)
        assert f"other {number}" in stored
        if not hook.raised:
            break
    else:
        pytest.fail("two puts have fewer statements")
    assert number > 10


def test_a_put_that_is_interrupted_while_it_waits_is_never_stored(path: Path) -> None:
    with SqliteSaver.from_conn_string(path) as saver:
        first = threading.Thread(target=saver.put, args=arguments("first"))
        with locked(path):
            first.start()
            until(lambda: waiting_in(saver))  # it waits for the file, and has the lock
            helper = interrupt_when(lambda: waiting_in(saver) == 2)
            with pytest.raises(KeyboardInterrupt):
                saver.put(*arguments("interrupted"))
            helper.join()
        first.join()
        with SqliteSaver.from_conn_string(path) as other:
            other.delete_thread("interrupted")
        saver.put(*arguments("later"))
    assert threads_in(path) == {"first", "later"}


def test_a_put_that_is_interrupted_while_another_thread_runs_it_is_decided(
    path: Path, connection: Watched
) -> None:
    """It cannot be withdrawn any more: the interrupted call ends when the transaction has."""
    saver = SqliteSaver(connection)
    saver.setup()
    steps: list[str] = []

    def hook(when: str, sql: str) -> None:
        if threading.current_thread() is not leader:
            return
        if (when, sql) == ("before", "BEGIN IMMEDIATE"):
            until(lambda: waiting_in(saver) == 2)
        # Python 3.10 executes on a cursor of the connection's, which is watched as well
        if (when, sql) == ("before", "COMMIT") and not steps:
            time.sleep(MOMENT)
            press_ctrl_c()
            time.sleep(MOMENT)
            steps.append("commit")

    leader = threading.Thread(target=saver.put, args=arguments("first"))
    connection.hook = hook
    leader.start()
    until(lambda: waiting_in(saver))
    with pytest.raises(KeyboardInterrupt):
        saver.put(*arguments("interrupted"))
    assert steps == ["commit"]
    assert threads_in(path) == {"first", "interrupted"}
    leader.join()


def test_a_sync_call_of_an_async_saver_is_withdrawn(path: Path) -> None:
    """The main thread is interrupted, and its coroutine on the loop's thread is cancelled."""
    opened: list[AsyncSqliteSaver] = []
    end = threading.Event()

    async def serve() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            await saver.setup()
            opened.append(saver)
            await asyncio.to_thread(end.wait, WAIT)

    server = threading.Thread(target=asyncio.run, args=(serve(),))
    server.start()
    until(lambda: opened)
    try:
        with locked(path):
            helper = interrupt_when(lambda: opened[0]._driver._writer._waiters)  # type: ignore[attr-defined]
            with pytest.raises(KeyboardInterrupt):
                opened[0].put(*arguments("interrupted"))
            helper.join()
        opened[0].put(*arguments("later"))
    finally:
        end.set()
        server.join()
    assert threads_in(path) == {"later"}


# ---------------------------------------------------------------- cancellation


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("waits_behind", [0, 1])
def test_a_put_that_is_cancelled_while_it_waits_is_never_stored(
    path: Path, waits_behind: int
) -> None:
    async def go() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            await saver.setup()
            with locked(path):
                before = [
                    asyncio.create_task(saver.aput(*arguments(f"first {n}")))
                    for n in range(waits_behind)
                ]
                await asyncio.sleep(MOMENT)  # the connection's thread waits for the file
                task = asyncio.create_task(saver.aput(*arguments("cancelled")))
                await asyncio.sleep(MOMENT)
                await cancelled(task)
            await asyncio.gather(*before)
            await saver.aput(*arguments("later"))

    asyncio.run(go())
    assert "cancelled" not in threads_in(path)
    assert len(threads_in(path)) == 1 + waits_behind


def test_a_put_that_is_cancelled_while_it_runs_is_decided(path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hook(when: str, sql: str) -> None:
        if (when, sql) == ("before", "COMMIT") and go_on.is_set() is begun.is_set() is False:
            begun.set()
            assert go_on.wait(WAIT)

    async def go() -> None:
        async with aiosqlite.connect(path, factory=Watched) as connection:
            saver = AsyncSqliteSaver(connection)
            await saver.setup()
            connection._conn.hook = hook  # type: ignore[attr-defined]
            task = asyncio.create_task(saver.aput(*arguments("cancelled")))
            await asyncio.to_thread(begun.wait, WAIT)
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(MOMENT / 4)
            assert not task.done()
            assert threads_in(path) == set()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert threads_in(path) == {"cancelled"}

    asyncio.run(go())


def test_an_async_call_of_a_sync_saver_ends_when_its_thread_does(path: Path) -> None:
    async def go() -> None:
        with SqliteSaver.from_conn_string(path) as saver:
            saver.setup()
            with locked(path):
                task = asyncio.create_task(saver.aput(*arguments("cancelled")))
                await asyncio.to_thread(until, lambda: waiting_in(saver))
                task.cancel()
                await asyncio.sleep(MOMENT)
                assert not task.done()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert threads_in(path) == {"cancelled"}

    asyncio.run(go())


def test_a_cancelled_call_of_another_loop_is_withdrawn(path: Path) -> None:
    async def go() -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            await saver.setup()

            async def elsewhere() -> None:
                with locked(path):
                    task = asyncio.create_task(saver.aput(*arguments("cancelled")))
                    await asyncio.sleep(MOMENT)
                    await cancelled(task)

            await asyncio.to_thread(asyncio.run, elsewhere())
            await saver.aput(*arguments("later"))

    asyncio.run(go())
    assert threads_in(path) == {"later"}


def test_a_put_to_a_store_that_is_cancelled_while_it_waits_is_never_stored(path: Path) -> None:
    async def go() -> None:
        async with AsyncSqliteStore.from_conn_string(path) as store:
            await store.setup()
            with locked(path):
                tasks = [
                    asyncio.create_task(store.aput(("a",), key, {"v": 1}))
                    for key in ("cancelled", "too")
                ]
                await asyncio.sleep(MOMENT)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                assert all(task.cancelled() for task in tasks)
            await store.aput(("a",), "later", {"v": 1})
            assert {item.key for item in await store.asearch(("a",))} == {"later"}

    asyncio.run(go())


def test_a_put_to_a_store_beside_one_that_goes_on_is_decided(path: Path) -> None:
    """Both are in one transaction, which cannot be withdrawn."""

    async def go() -> None:
        async with AsyncSqliteStore.from_conn_string(path) as store:
            await store.setup()
            with locked(path):
                tasks = [
                    asyncio.create_task(store.aput(("a",), key, {"v": 1}))
                    for key in ("cancelled", "kept")
                ]
                await asyncio.sleep(MOMENT)
                tasks[0].cancel()
                await asyncio.sleep(MOMENT)
                was_done = tasks[0].done()
            await asyncio.wait(tasks)
            found = {item.key for item in await store.asearch(("a",))}
            assert (was_done, found) in [(False, {"cancelled", "kept"}), (True, {"kept"})]
            assert tasks[0].cancelled()

    asyncio.run(go())
