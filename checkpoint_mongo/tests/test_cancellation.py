"""Calls that are cancelled, servers that answer nothing, states of any size."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import threading
import time
import traceback
from typing import Any

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession

from checkpoint_base.errors import BackendUnavailableError, InvalidArgumentError
from checkpoint_base.tests.load import arguments, calls_of, steps_of
from checkpoint_mongo import AsyncMongoDBSaver, AsyncMongoDBStore, MongoDBSaver, MongoDBStore
from checkpoint_mongo.failures import ABORT
from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests.build import checkpoint, large, metadata, new_versions, on, values
from tests.servers.mongo import SERVERS, running_mongo
from tests.servers.process import free_port, temporary_folder

CALLS = 300


def test_cancelled_calls_store_all_or_nothing_and_leave_nothing_running(
    database: MongoHarness, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(7)

    async def call(saver: AsyncMongoDBSaver, number: int) -> None:
        thread = f"t{number % 20}"
        head = await saver.aput(*arguments(thread, number, log=large(number % 7), n=number))
        await saver.aput_writes(head, [("log", large(3)), ("n", number)], "task")
        await saver.aget_tuple(on(thread))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        problems: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: problems.append(context))
        async with database.aopen() as saver:
            for first in range(0, CALLS, 20):
                tasks = [loop.create_task(call(saver, first + n)) for n in range(20)]
                for task in tasks:
                    await asyncio.sleep(chance.random() * 0.01)
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(r is None or isinstance(r, asyncio.CancelledError) for r in results)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            # the client's own tasks watch the server, and read what comes from it
            coroutines: list[Any] = [task.get_coro() for task in others]
            files = [coroutine.cr_code.co_filename for coroutine in coroutines]
            assert not [name for name in files if "pymongo" not in name], files
        assert not problems

    asyncio.run(main())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with database.open() as saver:
        for found in saver.list(None):
            number = values(found)["n"]
            assert values(found)["log"] == large(number % 7)
            written = [channel for _, channel, _ in found.pending_writes or ()]
            assert written in ([], ["log", "n"])
        saver.prune([f"t{n}" for n in range(20)])
        for n in range(20):
            head = saver.put(*arguments(f"t{n}", CALLS + n, log=large(5)))
            assert values(saver.get_tuple(head))["log"] == large(5)
            saver.delete_thread(f"t{n}")
    assert sum(database.rows().values()) == 0


def test_a_cancelled_call_waits_for_its_commit(
    database: MongoHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit cannot be taken back: left to itself it would be carried out after the call."""
    commit, begun = AsyncClientSession.commit_transaction, asyncio.Event()

    async def slow(session: AsyncClientSession) -> None:
        begun.set()
        await asyncio.sleep(2 * ABORT)
        await commit(session)

    async def main() -> None:
        async with database.aopen() as saver:
            monkeypatch.setattr(AsyncClientSession, "commit_transaction", slow)
            put = asyncio.create_task(saver.aput(*arguments("t", 1)))
            await begun.wait()
            put.cancel()
            with pytest.raises(asyncio.CancelledError):
                await put
            assert await saver.aget_tuple(on("t")) is not None

    asyncio.run(main())


def test_a_frozen_server_ends_each_call_of_a_client_that_is_opened_here() -> None:
    """No socketTimeoutMS in the URL: the saver's own counts."""
    with temporary_folder() as folder:
        port = free_port()
        with (
            running_mongo(folder, port) as (url, _),
            MongoDBSaver.from_conn_string(url) as saver,
            MongoDBStore.from_conn_string(url) as store,
        ):
            saver.setup()
            store.setup()
            saver.put(*arguments("t", 1))
            calls = [*calls_of(saver), lambda: store.get(("a",), "k")]
            with frozen(port):
                begin = time.monotonic()
                ended = concurrently(calls)
                assert all(isinstance(error, BackendUnavailableError) for error in ended), ended
                assert time.monotonic() - begin < 60  # each within 15 s on an idle machine
            assert steps_of(saver, "t") == [1]


def test_a_frozen_server_ends_each_awaited_call() -> None:
    async def main(url: str, port: int) -> None:
        async with (
            AsyncMongoDBSaver.from_conn_string(url) as saver,
            AsyncMongoDBStore.from_conn_string(url) as store,
        ):
            await saver.setup()
            await store.setup()
            await saver.aput(*arguments("t", 1))
            with frozen(port):
                ended = await asyncio.gather(
                    saver.aput(*arguments("t", 2)),
                    saver.aget_tuple(on("t")),
                    saver.adelete_thread("t"),
                    store.aget(("a",), "k"),
                    store.aput(("a",), "k", {"n": 1}),
                    return_exceptions=True,
                )
                assert all(isinstance(error, BackendUnavailableError) for error in ended), ended

    with temporary_folder() as folder:
        port = free_port()
        with running_mongo(folder, port) as (url, _):
            asyncio.run(main(url, port))


def concurrently(calls: list[Any]) -> list[BaseException | None]:
    """What each of some calls raises."""
    ended: list[BaseException | None] = [None] * len(calls)

    def run(at: int) -> None:
        try:
            calls[at]()
        except Exception as error:  # noqa: BLE001 (the test looks at it)
            ended[at] = error

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


class frozen:
    """Inside the block the server on a port is stopped, but its sockets are open."""

    def __init__(self, port: int) -> None:
        process = SERVERS[port]._process
        assert process is not None
        self._pid = process.pid

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


# ---------------------------------------------------------------- size


def test_metadata_of_17_megabytes(database: MongoHarness) -> None:
    stored, note = checkpoint({"a": 1}), "n" * (17 << 20)
    with database.open() as saver:
        saver.put(on("t"), stored, metadata(note=note, step=3), new_versions(stored))
        found = saver.get_tuple(on("t"))
        assert found is not None
        assert found.metadata["note"] == note  # type: ignore[typeddict-item]
        assert [values(one) for one in saver.list(on("t"), filter={"step": 3})] == [{"a": 1}]
        saver.copy_thread("t", "u")
        saver.prune(["t"])
        assert saver.get_tuple(on("u")) is not None
        saver.delete_thread("t")
        saver.delete_thread("u")
    assert sum(database.rows().values()) == 0


def test_an_error_has_no_values_in_it(database: MongoHarness) -> None:
    """A document that cannot be stored is refused in words of ours."""
    stored = checkpoint({"a": 1})
    with database.open() as saver:
        ids = "x" * (17 << 20)
        with pytest.raises(InvalidArgumentError) as caught:
            saver.put(on(ids), stored, metadata(), new_versions(stored))
        assert len("".join(traceback.format_exception(caught.value))) < 20_000
