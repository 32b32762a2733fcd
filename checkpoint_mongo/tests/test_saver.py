"""How savers are opened, and what is only their callers' business."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import ConfigurationError, OperationFailure

from checkpoint_base.errors import (
    BackendUnavailableError,
    ClosedError,
    InvalidArgumentError,
    PermissionDeniedError,
)
from checkpoint_base.tests.lives import assert_aclosed, assert_closed, assert_ended
from checkpoint_base.tests.load import arguments, calls_of
from checkpoint_mongo import AsyncMongoDBSaver, AsyncMongoDBStore, MongoDBSaver, MongoDBStore
from checkpoint_mongo.connection.errors import translate_error
from conformance_tests.samples.build import on

URL = "mongodb://127.0.0.1:1/?connectTimeoutMS=1"  # nobody is asked anything


def test_a_callers_own_error_stays_what_it_is() -> None:
    with (
        pytest.raises(ConfigurationError, match="of another client"),
        MongoDBSaver.from_conn_string(URL),
    ):
        raise ConfigurationError("of another client")

    async def main() -> None:
        async with AsyncMongoDBSaver.from_conn_string(URL):
            raise ConfigurationError("of another client")

    with pytest.raises(ConfigurationError, match="of another client"):
        asyncio.run(main())


@pytest.mark.parametrize("url", ["mongodb://", "http://nowhere"])
def test_a_url_that_cannot_be_understood(url: str) -> None:
    with (
        pytest.raises(InvalidArgumentError, match="conn_string"),
        MongoDBSaver.from_conn_string(url),
    ):
        pass


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://bob:secret@127.0.0.1:port/",
        "mongodb://bob:my/secret@127.0.0.1/",
        "mongodb://bob:my@secret@127.0.0.1/db",
        "mongodb://bob:my%secret@127.0.0.1/db",
        5,
    ],
)
def test_a_url_that_is_wrong_is_not_told(url: Any) -> None:
    for cls in (MongoDBSaver, MongoDBStore):
        opened: Any = cls.from_conn_string(url)
        with pytest.raises(InvalidArgumentError, match="conn_string") as caught:
            opened.__enter__()
        assert "secret" not in "".join(traceback.format_exception(caught.value))

    async def main() -> None:
        for cls in (AsyncMongoDBSaver, AsyncMongoDBStore):
            with pytest.raises(InvalidArgumentError, match="conn_string"):
                async with cls.from_conn_string(url):
                    pass

    asyncio.run(main())


def test_a_user_who_is_not_let_in(mongo_server: str) -> None:
    url = mongo_server.replace("//", "//bob:secret@")
    with (
        MongoDBSaver.from_conn_string(url) as saver,
        MongoDBStore.from_conn_string(url) as store,
    ):
        calls: list[Callable[[], object]] = [
            saver.setup,
            store.setup,
            lambda: saver.get_tuple(on("t")),
            lambda: store.get(("a",), "k"),
        ]
        for call in calls:
            with pytest.raises(PermissionDeniedError, match="let this user in") as caught:
                call()
            assert isinstance(caught.value.__cause__, OperationFailure)
            assert "secret" not in str(caught.value)

    async def main() -> None:
        async with AsyncMongoDBSaver.from_conn_string(url) as asaver:
            with pytest.raises(PermissionDeniedError, match="let this user in"):
                await asaver.aget_tuple(on("t"))

    asyncio.run(main())


def test_a_refused_login_is_told_by_later_calls_too(mongo_server: str) -> None:
    """After a refusal PyMongo has no server until its monitor asks again, half a second later."""
    url = f"{mongo_server.replace('//', '//bob:secret@')}&serverSelectionTimeoutMS=300"

    def refused(call: Callable[[], object]) -> type[BaseException]:
        with pytest.raises((PermissionDeniedError, BackendUnavailableError)) as caught:
            call()
        assert "secret" not in str(caught.value)
        return caught.type

    with MongoDBSaver.from_conn_string(url) as saver:
        first = partial(saver.get_tuple, on("t"))
        while refused(first) is not PermissionDeniedError:
            pass  # a loaded machine has not connected yet
        with ThreadPoolExecutor(8) as threads:
            assert {*threads.map(refused, [first] * 24)} == {PermissionDeniedError}

    async def main() -> None:
        async with AsyncMongoDBSaver.from_conn_string(url) as asaver:

            async def ends(count: int) -> set[type]:
                calls = [asaver.aget_tuple(on("t")) for _ in range(count)]
                ended = await asyncio.gather(*calls, return_exceptions=True)
                return {type(one) for one in ended}

            while await ends(1) == {BackendUnavailableError}:
                pass
            assert await ends(8) == await ends(1) == {PermissionDeniedError}

    asyncio.run(main())


def test_what_a_user_may_not_do_is_told_without_the_values() -> None:
    said = 'not authorized on db to execute command { find: "c", filter: { x: "secret" } }'
    details = {"code": 13, "errmsg": said}
    error = OperationFailure(f"{said}, full error: {details}", 13, details)
    told = translate_error(error)
    assert isinstance(told, PermissionDeniedError)
    assert "not authorized on db to execute command" in str(told)
    assert "secret" not in str(told)


def test_what_is_no_client() -> None:
    with pytest.raises(InvalidArgumentError, match="MongoClient or Database, got str"):
        MongoDBSaver("mongodb://nowhere")  # type: ignore[arg-type]  # on purpose

    async def main() -> None:
        AsyncMongoDBSaver(object())  # type: ignore[arg-type]  # on purpose

    with pytest.raises(InvalidArgumentError, match="AsyncMongoClient or AsyncDatabase, got object"):
        asyncio.run(main())


@pytest.mark.parametrize("kind", [MongoDBSaver, MongoDBStore])
def test_what_is_closed_says_so(kind: Any) -> None:
    assert_closed(kind.from_conn_string(URL))


@pytest.mark.parametrize("kind", [AsyncMongoDBSaver, AsyncMongoDBStore])
def test_what_is_closed_says_so_to_who_awaits(kind: Any) -> None:
    assert_aclosed(lambda: kind.from_conn_string(URL))


def test_a_client_that_its_owner_has_closed_says_so(mongo_server: str) -> None:
    """At once, whatever PyMongo says of trying again."""
    with MongoClient[Any](mongo_server) as client:
        saver = MongoDBSaver(client, "closed")
        saver.setup()
        saver.put(*arguments("t", 1))
    for call in calls_of(saver):
        with pytest.raises(ClosedError, match="after close"):
            call()

    async def main() -> None:
        async with AsyncMongoClient[Any](mongo_server) as client:
            saver = AsyncMongoDBSaver(client, "closed")
            await saver.setup()
            await saver.aput(*arguments("t", 1))
        for call in (saver.aget_tuple(on("t")), saver.aput(*arguments("t", 2))):
            with pytest.raises(ClosedError, match="after close"):
                await call

    asyncio.run(main())


@pytest.mark.parametrize("kind", [AsyncMongoDBSaver, AsyncMongoDBStore])
def test_what_belongs_to_a_loop_that_has_ended_says_so(kind: Any) -> None:
    async def make() -> Any:
        async with AsyncMongoClient[Any](URL) as client:
            return kind(client)

    assert_ended(make)
