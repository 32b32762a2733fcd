"""How savers are opened, and what is only their callers' business."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.tests.lives import assert_aclosed, assert_closed, assert_ended
from checkpoint_mongo import AsyncMongoDBSaver, AsyncMongoDBStore, MongoDBSaver, MongoDBStore

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


@pytest.mark.parametrize("kind", [AsyncMongoDBSaver, AsyncMongoDBStore])
def test_what_belongs_to_a_loop_that_has_ended_says_so(kind: Any) -> None:
    async def make() -> Any:
        async with AsyncMongoClient[Any](URL) as client:
            return kind(client)

    assert_ended(make)
