"""How savers are opened, and what is only their callers' business."""

from __future__ import annotations

import asyncio

import pytest
from pymongo.errors import ConfigurationError

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_mongo import AsyncMongoDBSaver, MongoDBSaver

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
