"""The public savers on MongoDB: `MongoDBSaver` and `AsyncMongoDBSaver`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from checkpoint_base.saver.mixins import FullAsyncSaver, FullSyncSaver
from checkpoint_base.saver.options import SaverOptions, SaverSettings
from checkpoint_mongo.connection.clients import (
    DB_NAME,
    aopened,
    async_driver,
    opened,
    sync_driver,
)
from checkpoint_mongo.saver.planner import MongoPlanner

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient, MongoClient
    from pymongo.asynchronous.database import AsyncDatabase
    from pymongo.database import Database
    from typing_extensions import Self


class MongoDBSaver(FullSyncSaver):
    """LangGraph's `BaseCheckpointSaver` in MongoDB 6.0 or later, for blocking code. Its async
    methods run in a worker thread. Call `setup()` once for each database and prefix.

    Args:
        client: a `MongoClient`, or one of its databases. The caller closes it.
        db_name: the database; ignored if `client` is a database.
        collection_prefix: goes before the names of the collections.
        options: `SaverOptions`.

    Raises:
        InvalidArgumentError: `client` has another type, or `db_name`, `collection_prefix` or `ttl`
            is invalid.
        MissingDriverError: PyMongo is not installed.
    """

    def __init__(
        self,
        client: MongoClient[Any] | Database[Any],
        db_name: str = DB_NAME,
        *,
        collection_prefix: str = "",
        **options: Unpack[SaverOptions],
    ) -> None:
        settings = SaverSettings.of(options)
        driver = sync_driver(
            type(self).__name__, client, db_name, collection_prefix, settings.call_timeout
        )
        planner = MongoPlanner(settings.ttl, settings.clock, deduplicate=settings.deduplicate)
        super().__init__(planner, driver, settings)
        self.db = driver.database
        self.client = self.db.client

    def setup(self, require_transactions: bool = False, shard: bool = False) -> None:
        """Create the collection's indexes. Many processes may call it at once; further calls change
        nothing.

        Args:
            require_transactions: refuse a standalone server, on which a crash may leave a part of
                a write.
            shard: shard the collection by thread, on a sharded cluster.

        Raises:
            UnsupportedServerError: the server is standalone, and transactions are required.
        """
        self._drive(self._planner.setup(require_transactions, shard))

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        db_name: str | None = None,
        collection_prefix: str = "",
        **options: Unpack[SaverOptions],
    ) -> AbstractContextManager[Self]:
        """Open a saver with a client of its own, which is closed when the context ends.

        Args:
            conn_string: `mongodb://…` or `mongodb+srv://…`, with PyMongo's options.
            db_name: the database; None: that of the URL, or `checkpointing_db` if the URL has none
                or `admin`.
            collection_prefix: as in the constructor.
            options: `SaverOptions`. If the URL lacks `serverSelectionTimeoutMS` or
                `socketTimeoutMS`, they are 10 and 11 seconds.

        Raises:
            InvalidArgumentError: the URL, or another argument, is invalid.
        """
        return opened(
            cls,
            conn_string,
            db_name,
            collection_prefix=collection_prefix,
            **options,
        )


class AsyncMongoDBSaver(FullAsyncSaver):
    """`MongoDBSaver` for an event loop. Its sync methods may be called from other threads.

    Args:
        client: an `AsyncMongoClient`, or one of its databases. The caller closes it.
        db_name: as in `MongoDBSaver`.
        collection_prefix: as in `MongoDBSaver`.
        options: `SaverOptions`.

    Call `await saver.setup()` once for each database and prefix.

    Raises:
        InvalidArgumentError: `client` has another type, or `db_name`, `collection_prefix` or `ttl`
            is invalid.
        MissingDriverError: PyMongo is not installed.
    """

    def __init__(
        self,
        client: AsyncMongoClient[Any] | AsyncDatabase[Any],
        db_name: str = DB_NAME,
        *,
        collection_prefix: str = "",
        **options: Unpack[SaverOptions],
    ) -> None:
        settings = SaverSettings.of(options)
        driver = async_driver(
            type(self).__name__, client, db_name, collection_prefix, settings.call_timeout
        )
        planner = MongoPlanner(settings.ttl, settings.clock, deduplicate=settings.deduplicate)
        super().__init__(planner, driver, settings)
        self.db = driver.database
        self.client = self.db.client

    async def setup(self, require_transactions: bool = False, shard: bool = False) -> None:
        """`MongoDBSaver.setup`, without blocking."""
        await self._adrive(self._planner.setup(require_transactions, shard))

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        db_name: str | None = None,
        collection_prefix: str = "",
        **options: Unpack[SaverOptions],
    ) -> AbstractAsyncContextManager[Self]:
        """`MongoDBSaver.from_conn_string`, for an event loop."""
        return aopened(
            cls,
            conn_string,
            db_name,
            collection_prefix=collection_prefix,
            **options,
        )
