"""Servers that die, that step down, that are not there; states of any size."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_mongo import AsyncMongoDBSaver, MongoDBSaver
from checkpoint_mongo.connection.errors import pause_of
from checkpoint_mongo.saver.segments import MongoDedupWriter
from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests.samples.build import checkpoint, large, metadata, new_versions, on, values
from conformance_tests.samples.workers import processes
from tests.servers.mongo import running_mongo
from tests.servers.process import free_port, temporary_folder

PUTS = 2000
PROCESSES, PUTS_OF_EACH = 8, 6
STEPPED_DOWN = 10107
# this server does not tell its clients at once that it is the primary again
ATTENTIVE = "&heartbeatFrequencyMS=500&serverMonitoringMode=poll"


@pytest.mark.parametrize("options", [(), ("--standalone",)], ids=["replica set", "standalone"])
def test_a_server_killed_during_2000_puts_loses_none_that_it_acknowledged(
    options: tuple[str, ...],
) -> None:
    told: dict[str, list[int]] = {f"thread {n}": [] for n in range(4)}
    enough, dead = threading.Event(), threading.Event()

    def work(saver: MongoDBSaver, thread: str) -> None:
        for step in range(PUTS // len(told)):
            try:
                head = saver.put(*arguments(thread, step, log=large(step % 7)[: 2500 + step]))
                told[thread].append(step)
                saver.put_writes(head, [("log", large(3)), ("step", step)], "task")
            except BackendUnavailableError:
                assert dead.is_set()
                return
            if sum(map(len, told.values())) > PUTS // 4:
                enough.set()

    with temporary_folder() as folder:
        port = free_port()
        with running_mongo(folder, port, *options) as (plain, server):
            url = f"{plain}&serverSelectionTimeoutMS=300&retryWrites=false"
            with MongoDBSaver.from_conn_string(url) as saver, ThreadPoolExecutor(4) as threads:
                saver.setup()
                jobs = [threads.submit(work, saver, thread) for thread in told]
                while not enough.wait(1):
                    assert not any(job.done() for job in jobs)
                dead.set()
                server.kill()
                for job in jobs:
                    job.result()
        with running_mongo(folder, port, *options), MongoDBSaver.from_conn_string(url) as saver:
            assert 0 < sum(map(len, told.values())) < PUTS
            for thread, steps in told.items():
                found = list(saver.list(on(thread)))
                there = sorted(values(each)["step"] for each in found)
                # one more may be stored than was acknowledged
                assert there in (steps, [*steps, len(steps)])
                for each in found:
                    step = values(each)["step"]
                    assert values(each)["log"] == large(step % 7)[: 2500 + step]
                    written = [channel for _, channel, _ in each.pending_writes or ()]
                    whole = ["log", "step"]  # on a standalone server a beginning may be stored
                    assert written in ([], whole) or (options and written == whole[:1])
                head = saver.put(*arguments(thread, PUTS, log=large(1)))
                assert values(saver.get_tuple(head))["log"] == large(1)


def test_100_megabytes(database: MongoHarness) -> None:
    state = {"big": bytes(range(256)) * (60 << 12) + b"end", "log": [large(n) for n in range(900)]}
    state["noise"] = _noise(40 << 20)
    with database.open() as saver:
        stored = checkpoint(state)
        head = saver.put(on("t"), stored, metadata(), new_versions(stored))
        saver.put_writes(head, [("noise", _noise(20 << 20))], "task")
    with database.open() as saver:
        found = saver.get_tuple(on("t"))
        assert found is not None
        assert values(found) == state
        assert found.pending_writes == [("task", "noise", _noise(20 << 20))]
        saver.delete_thread("t")
    assert sum(database.rows().values()) == 0


def _noise(size: int) -> bytes:
    import random

    return random.Random(size).randbytes(size)


# ---------------------------------------------------------------- stepping down, being away


def fail(client: Any, times: int, commands: list[str], code: int) -> None:
    """Have the server fail its next commands, as its own tests do."""
    data = {"failCommands": commands, "errorCode": code}
    client.admin.command(
        {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data}
    )


@pytest.mark.parametrize("code", [STEPPED_DOWN, 11602, 91, 112], ids=str)
@pytest.mark.parametrize("retry", ["true", "false"])
def test_a_primary_that_steps_down_costs_nothing(
    mongo_server: str, database: MongoHarness, code: int, retry: str
) -> None:
    url = database.url.replace("retryWrites=false", f"retryWrites={retry}") + ATTENTIVE
    with MongoDBSaver.from_conn_string(url, db_name=database.db_name) as saver:
        saver.setup()
        for step, command in enumerate(["update", "commitTransaction", "find"] * 3):
            fail(database.client, 1, [command], code)
            head = saver.put(*arguments("t", step, log=large(step)))
            saver.put_writes(head, [("a", large(step))], "task")
            assert values(saver.get_tuple(on("t")))["log"] == large(step)
        fail(database.client, 1, ["delete", "aggregate", "update", "find"], code)
        saver.prune(["t"])
        assert steps_of(saver, "t") == [8]
        fail(database.client, 1, ["delete"], code)
        saver.delete_thread("t")
    assert sum(database.rows().values()) == 0


def test_a_primary_that_never_comes_back_is_an_error(database: MongoHarness) -> None:
    url = database.url + ATTENTIVE
    with MongoDBSaver.from_conn_string(url, db_name=database.db_name) as saver:
        saver.setup()
        saver.put(*arguments("t", 1))
        fail(database.client, 100, ["find", "update", "insert"], STEPPED_DOWN)
        with pytest.raises(BackendUnavailableError):
            saver.get_tuple(on("t"))
        with pytest.raises(BackendUnavailableError):
            saver.put(*arguments("t", 2))
        database.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        assert steps_of(saver, "t") == [1]


def test_no_server_says_so_and_not_the_password() -> None:
    url = "mongodb://me:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=100"
    with (
        pytest.raises(BackendUnavailableError) as caught,
        MongoDBSaver.from_conn_string(url) as saver,
    ):
        saver.get_tuple(on("t"))
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ServerSelectionTimeoutError)


@pytest.mark.parametrize("option", ["readPreference=secondary", "readConcernLevel=linearizable"])
def test_what_a_client_reads_otherwise_does_not_bind_a_saver(
    database: MongoHarness, option: str
) -> None:
    """LangGraph reads what it has just written, and a transaction reads from the primary."""
    url = f"{database.url}&{option}"
    with MongoDBSaver.from_conn_string(url, db_name=database.db_name) as saver:
        saver.setup()
        for step in range(3):
            saver.put(*arguments("t", step, log=large(step)))
        saver.copy_thread("t", "u")
        saver.prune(["t"])
        assert (steps_of(saver, "t"), steps_of(saver, "u")) == ([2], [2, 1, 0])


def test_64_tasks(database: MongoHarness) -> None:
    async def work(saver: AsyncMongoDBSaver, n: int) -> None:
        for step in range(4):
            head = await saver.aput(*arguments(f"own {n}", step, log=large(n)))
            await saver.aput_writes(head, [("step", step)], "task")
            assert await saver.aget_tuple(on(f"own {n}")) is not None

    async def main() -> None:
        async with database.aopen() as saver:
            await asyncio.gather(*(work(saver, n) for n in range(64)))
            for n in range(64):
                found = [one async for one in saver.alist(on(f"own {n}"))]
                assert [values(one)["step"] for one in found] == [3, 2, 1, 0]

    asyncio.run(main())


def test_large_values_are_cut_outside_of_the_event_loop(
    database: MongoHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, threads = MongoDedupWriter._append, list[int]()

    def noted(*args: Any) -> Any:
        threads.append(threading.get_ident())
        return cut(*args)

    async def main() -> None:
        async with database.aopen() as saver:
            for step in range(3):
                await saver.aput(*arguments("t", step, log=large(step, 100_000)))

    monkeypatch.setattr(MongoDedupWriter, "_append", noted)
    asyncio.run(main())
    assert len(threads) == 3
    assert threading.get_ident() not in threads


def put_to_one_thread(location: str, n: int) -> None:
    """In a worker: what the thread has, and one more, with what all share."""
    with MongoHarness.reopen(location).open() as saver:
        for step in range(PUTS_OF_EACH):
            log = large(7) + large(step)
            head = saver.put(*arguments("t", 100 * n + step, log=log))
            saver.put_writes(head, [("log", log), ("n", n)], f"task {n}")


def test_8_processes_on_one_thread(database: MongoHarness) -> None:
    with database.open() as saver:
        with ProcessPoolExecutor(PROCESSES, processes()) as pool:
            places = [database.location()] * PROCESSES
            list(pool.map(put_to_one_thread, places, range(PROCESSES)))
        found = list(saver.list(on("t")))
        steps = {100 * n + step for n in range(PROCESSES) for step in range(PUTS_OF_EACH)}
        assert {values(each)["step"] for each in found} == steps
        for each in found:
            n, step = divmod(values(each)["step"], 100)
            log = large(7) + large(step)
            assert values(each)["log"] == log
            task = f"task {n}"
            assert each.pending_writes == [(task, "log", log), (task, "n", n)]
        saver.delete_thread("t")
    assert sum(database.rows().values()) == 0


def test_who_waits_long_waits_no_longer_each_time() -> None:
    assert all(0.02 < pause_of(attempt) < 0.06 for attempt in (10, 100, 5000))
