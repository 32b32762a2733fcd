"""A server that takes what is sent and answers nothing: calls end at `call_timeout`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient

from checkpoint_base.errors import BackendUnavailableError, InvalidArgumentError
from checkpoint_base.tests.load import arguments, calls_of
from checkpoint_mongo import AsyncMongoDBSaver, AsyncMongoDBStore, MongoDBSaver, MongoDBStore
from checkpoint_mongo.tests.unclosed import noted
from conformance_tests.samples.build import on
from tests.servers.mongo import SERVERS, running_mongo
from tests.servers.process import free_port, temporary_folder

SHORT = 0.5  # seconds
NAMED = "call_timeout: a command of MongoDB was not done within 0.5 s"


def test_blocking_calls_end() -> None:
    """Of a client of our own, and of one that waits for ever by itself."""
    with temporary_folder() as folder:
        port = free_port()
        with (
            running_mongo(folder, port) as (url, _),
            MongoClient[Any](url) as client,
            MongoDBSaver.from_conn_string(url, db_name="a", call_timeout=SHORT) as own,
            MongoDBStore.from_conn_string(url, db_name="a", call_timeout=SHORT) as store,
        ):
            brought = MongoDBSaver(client, "a", call_timeout=SHORT)
            for saver in (own, brought):
                saver.setup()
                saver.put(*arguments("t", 1))
            store.setup()
            with SERVERS[port].frozen():
                calls: list[Any] = [*calls_of(own), *calls_of(brought)]
                calls.append(lambda: store.get(("a",), "b"))
                for call in calls:
                    with pytest.raises(BackendUnavailableError, match=NAMED):
                        call()
            assert brought.get_tuple(on("t")) is not None


def test_calls_on_an_event_loop_end() -> None:
    async def main(url: str, port: int) -> None:
        async with (
            AsyncMongoClient[Any](url) as client,
            noted(AsyncMongoDBSaver.from_conn_string(url, db_name="a", call_timeout=SHORT)) as own,
            noted(
                AsyncMongoDBStore.from_conn_string(url, db_name="a", call_timeout=SHORT)
            ) as store,
        ):
            brought = AsyncMongoDBSaver(client, "a", call_timeout=SHORT)
            for saver in (own, brought):
                await saver.setup()
                await saver.aput(*arguments("t", 1))
            await store.setup()
            with SERVERS[port].frozen():
                calls: list[Any] = [store.aget(("a",), "b"), own.adelete_thread("t")]
                for saver in (own, brought):
                    calls += [saver.aget_tuple(on("t")) for _ in range(20)]
                calls += [own.aput(*arguments(f"t{n}", 2)) for n in range(4)]
                ended = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(each) for each in ended} == {BackendUnavailableError}
                assert [each for each in ended if not str(each).startswith(NAMED)] == []
            assert await brought.aget_tuple(on("t")) is not None

    with temporary_folder() as folder:
        port = free_port()
        with running_mongo(folder, port) as (url, _):
            asyncio.run(asyncio.wait_for(main(url, port), 60))


@pytest.mark.parametrize("seconds", [0, -1, True, "60"])
def test_what_is_no_limit_is_refused(mongo_server: str, seconds: Any) -> None:
    for cls in (MongoDBSaver, MongoDBStore):
        with (
            pytest.raises(InvalidArgumentError, match="call_timeout"),
            cls.from_conn_string(mongo_server, call_timeout=seconds),
        ):
            pass
