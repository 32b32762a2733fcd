"""Many at once, connections that die, servers that are gone."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import psycopg
import pytest

from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.tests.load import OnFourConnections, arguments, calls_of, steps_of
from checkpoint_postgres import AsyncPostgresSaver, PostgresSaver
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.samples.build import Chain, large, on, values
from conformance_tests.samples.driver_adapter import SyncFacade
from tests.servers.postgres import running_postgres
from tests.servers.process import free_port, temporary_folder

FOUR = {"min_size": 4, "max_size": 4}


class TestLoad(OnFourConnections):
    def opened(self, harness: PostgresHarness) -> AbstractContextManager[PostgresSaver]:
        return PostgresSaver.from_conn_string(harness.url, pool=FOUR)

    def aopened(self, harness: PostgresHarness) -> AbstractAsyncContextManager[AsyncPostgresSaver]:
        return AsyncPostgresSaver.from_conn_string(harness.url, pool=FOUR)


KILLED_EVERY = 40  # puts


class Killer:
    """Ends the server's processes of all connections but ours, again and again: each time that so
    many puts were acknowledged, however long they take.
    """

    def __init__(self, database: PostgresHarness) -> None:
        self._database = database
        self._acknowledged = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._kill)
        self._over = threading.Event()
        self.killed = 0

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._acknowledged.release(KILLED_EVERY)
        self._thread.join()

    def acknowledged(self) -> None:
        """Another put."""
        self._acknowledged.release()

    def _kill(self) -> None:
        while True:
            for _ in range(KILLED_EVERY):
                self._acknowledged.acquire()
            if self._over.is_set():
                return
            found = self._database.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            self.killed += len(found)
            while self._acknowledged.acquire(blocking=False):
                pass  # meanwhile: one kill, and then as many puts again
            if self._over.is_set():
                return


@pytest.mark.parametrize("pool", [FOUR, None], ids=["pool", "one connection"])
def test_connections_killed_under_load_lose_nothing(
    database: PostgresHarness, pool: dict[str, int] | None
) -> None:
    with PostgresSaver.from_conn_string(database.url, pool=pool) as saver:
        saver.setup()

        def work(n: int) -> None:
            for step in range(250):
                saver.put(*arguments(f"thread {n}", step, log=large(n)))
                killer.acknowledged()

        with Killer(database) as killer, ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
        assert killer.killed > 0
        for n in range(8):
            assert steps_of(saver, f"thread {n}") == list(range(249, -1, -1))


def test_connections_killed_under_async_load_lose_nothing(database: PostgresHarness) -> None:
    async def work(saver: AsyncPostgresSaver, n: int, killer: Killer) -> None:
        for step in range(100):
            await saver.aput(*arguments(f"thread {n}", step, log=large(n)))
            killer.acknowledged()

    async def main() -> None:
        async with AsyncPostgresSaver.from_conn_string(database.url, pool=FOUR) as saver:
            await saver.setup()
            with Killer(database) as killer:
                await asyncio.gather(*(work(saver, n, killer) for n in range(8)))
            assert killer.killed > 0
            for n in range(8):
                found = [values(one)["step"] async for one in saver.alist(on(f"thread {n}"))]
                assert found == list(range(99, -1, -1))

    asyncio.run(main())


@pytest.mark.parametrize("pool", [{**FOUR, "timeout": 1.0}, None], ids=["pool", "one connection"])
def test_a_stopped_server_is_an_error_and_a_started_one_is_found_again(
    pool: dict[str, Any] | None,
) -> None:
    with temporary_folder() as folder:
        port = free_port()
        with running_postgres(folder, port) as url:
            opened = PostgresSaver.from_conn_string(url, pool=pool)
            saver = opened.__enter__()
            saver.setup()
            saver.put(*arguments("t", 1))
        for call in calls_of(saver):
            with pytest.raises(BackendUnavailableError) as caught:
                call()
            assert isinstance(caught.value.__cause__, psycopg.OperationalError)
        with running_postgres(folder, port):
            assert steps_of_soon(saver, "t") == [1]
            opened.__exit__(None, None, None)


def steps_of_soon(saver: PostgresSaver, thread: str) -> list[int]:
    """A pool looks for its server again at growing distances."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return steps_of(saver, thread)
        except BackendUnavailableError:
            if time.monotonic() > deadline:
                raise


def test_sixteen_setups_at_once(database: PostgresHarness) -> None:
    together = threading.Barrier(16)

    def work(n: int) -> None:
        with PostgresSaver.from_conn_string(database.url, schema="elsewhere") as saver:
            together.wait(60)
            saver.setup()
            saver.setup()
            saver.put(*arguments(f"thread {n}", n))

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(16)))
    assert database.query("SELECT count(*) FROM elsewhere.saver_threads") == [(16,)]
    assert database.query("SELECT number FROM elsewhere.saver_migrations ORDER BY 1") == [
        (1,),
        (2,),
    ]
    assert database.query("SELECT to_regclass('public.saver_threads')") == [(None,)]


def test_writers_of_one_thread_do_not_lose_each_others_logs(database: PostgresHarness) -> None:
    """Two savers, each of which thinks that it knows the log."""
    with (
        PostgresSaver.from_conn_string(database.url) as one,
        PostgresSaver.from_conn_string(database.url) as other,
    ):
        one.setup()
        chain = Chain(SyncFacade(one), "t")
        for step in range(6):
            chain.saver = SyncFacade((one, other)[step % 2])
            chain.put({"log": large(1) + "x" * 3000 * step, "own": large(step + 5)})
        found = [values(each) for each in one.list(on("t"))]
        assert [each["log"] for each in found] == [
            large(1) + "x" * 3000 * step for step in range(5, -1, -1)
        ]
        (segments,) = database.query("SELECT sum(length(data)) FROM saver_segments")[0]
        assert segments < 10 * len(large(1))
