"""Calls that are cancelled, servers that answer nothing, states of any size."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
from typing import Any

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.tests.load import arguments
from checkpoint_mongo import AsyncMongoDBSaver
from checkpoint_mongo.connection.errors import ABORT
from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests.samples.build import checkpoint, large, metadata, new_versions, on, values

CALLS, AT_ONCE = 1000, 40


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
            for first in range(0, CALLS, AT_ONCE):
                tasks = [loop.create_task(call(saver, first + n)) for n in range(AT_ONCE)]
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
