"""Servers that are gone, or answer nothing: every call ends, with one error."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
from langgraph.store.base import PutOp
from pymongo.errors import ConnectionFailure

from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.tests.load import arguments, calls_of, steps_of
from checkpoint_mongo import AsyncMongoDBSaver, AsyncMongoDBStore, MongoDBSaver, MongoDBStore
from checkpoint_mongo.tests.unclosed import noted
from conformance_tests.stores.base import Numbers
from tests.servers.mongo import SERVERS, MongoServer, running_mongo
from tests.servers.process import free_port, temporary_folder

INDEX = {"dims": 3, "embed": Numbers(), "fields": ["text"]}
AT = ("users", "ann")
SOON = "serverSelectionTimeoutMS=700&connectTimeoutMS=500&socketTimeoutMS=500"

FAULTS = pytest.mark.parametrize(
    "fault", [MongoServer.killed, MongoServer.frozen], ids=["stopped", "frozen"]
)


@contextmanager
def own_server() -> Iterator[tuple[str, MongoServer]]:
    """A server for this test alone."""
    with temporary_folder() as folder:
        port = free_port()
        with running_mongo(folder, port) as (url, _):
            yield url, SERVERS[port]


def calls_of_store(store: Any) -> list[Callable[[], Any]]:
    """All that a store can be asked for."""
    return [
        partial(store.get, AT, "a"),
        partial(store.search, AT),
        partial(store.search, AT, query="1 0 0"),
        partial(store.put, AT, "b", {}),
        partial(store.put, AT, "c", {}, index=False),
        partial(store.delete, AT, "b"),
        partial(store.batch, [PutOp(AT, f"{n}", {"text": f"{n} 1 0"}) for n in range(3)]),
        partial(store.list_namespaces),
        store.sweep_ttl,
        store.stats,
        store.setup,
    ]


def ends(calls: list[Callable[[], Any]]) -> None:
    """Make all calls at once: each raises what it has to."""

    def end(call: Callable[[], Any]) -> BaseException | None:
        with pytest.raises(BackendUnavailableError) as caught:
            call()
        return caught.value.__cause__

    with ThreadPoolExecutor(len(calls)) as threads:
        causes = list(threads.map(end, calls))
    assert all(isinstance(cause, ConnectionFailure) for cause in causes), causes


@FAULTS
def test_every_blocking_call_ends(fault: Any) -> None:
    with own_server() as (plain, server), ExitStack() as opened:
        url = f"{plain}&{SOON}"
        saver = opened.enter_context(MongoDBSaver.from_conn_string(url))
        store = opened.enter_context(MongoDBStore.from_conn_string(url, index=INDEX))
        saver.setup()
        store.setup()
        saver.put(*arguments("t", 1))
        store.put(AT, "a", {"text": "1 0 0"})
        with fault(server):
            ends([*calls_of(saver), *calls_of_store(store)])
        assert soon(partial(steps_of, saver, "t")) == [1]
        assert "a" in [item.key for item in soon(partial(store.search, AT))]


@FAULTS
def test_every_call_on_an_event_loop_ends(fault: Any) -> None:
    """Blocking methods, called from other threads, are the awaitable ones."""

    async def main(url: str, server: MongoServer) -> None:
        loop = asyncio.get_running_loop()
        async with (
            noted(AsyncMongoDBSaver.from_conn_string(url)) as saver,
            noted(AsyncMongoDBStore.from_conn_string(url, index=INDEX)) as store,
        ):
            await saver.setup()
            await store.setup()
            await saver.aput(*arguments("t", 1))
            await store.aput(AT, "a", {"text": "1 0 0"})
            calls = [*calls_of(saver)[:-1], *calls_of_store(store)[:-1]]
            calls += [partial(run_on, loop, one.setup) for one in (saver, store)]
            with fault(server):
                await asyncio.to_thread(ends, calls)
            assert await asyncio.to_thread(soon, partial(steps_of, saver, "t")) == [1]
            found = await asyncio.to_thread(soon, partial(store.search, AT))
            assert "a" in [item.key for item in found]

    with own_server() as (url, server):
        asyncio.run(asyncio.wait_for(main(f"{url}&{SOON}", server), 60))


def soon(call: Callable[[], Any]) -> Any:
    """Call until the client has found the server again."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return call()
        except BackendUnavailableError:
            if time.monotonic() > deadline:
                raise


def run_on(loop: asyncio.AbstractEventLoop, call: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(call(), loop).result()


def test_a_frozen_server_ends_a_call_without_limits_in_the_url() -> None:
    """PyMongo alone would wait for ever; clients that are opened here have limits of their own."""

    async def main(url: str, server: MongoServer) -> None:
        async with (
            noted(AsyncMongoDBSaver.from_conn_string(url)) as saver,
            noted(AsyncMongoDBStore.from_conn_string(url)) as store,
        ):
            await saver.setup()
            await store.setup()
            calls = [saver.aput(*arguments("t", 2)), saver.aget_tuple(arguments("t", 2)[0])]
            with server.frozen():
                ended = await asyncio.gather(*calls, store.aget(AT, "a"), return_exceptions=True)
            assert {type(each) for each in ended} == {BackendUnavailableError}, ended
            # a `call_timeout` of 60 seconds did not end them
            assert not [each for each in ended if "call_timeout" in str(each)]

    with own_server() as (url, server):
        asyncio.run(main(url, server))


def test_a_client_that_is_closed_while_it_connects() -> None:
    """Nothing of it comes up in a later test."""

    async def main(port: int) -> None:
        url = f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=100"
        async with noted(AsyncMongoDBSaver.from_conn_string(url)) as saver:
            with pytest.raises(BackendUnavailableError):
                await saver.aget_tuple(arguments("t", 1)[0])

    with ExitStack() as sockets:
        # the accept queue is full and never emptied: a new connection gets no answer
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        asyncio.run(main(listening.getsockname()[1]))
