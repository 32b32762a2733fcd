"""The public stores on MongoDB: `MongoDBStore` and `AsyncMongoDBStore`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from checkpoint_mongo.connection.clients import (
    DB_NAME,
    aopened,
    async_driver,
    opened,
    sync_driver,
)
from checkpoint_mongo.store.planner import CACHE_BYTES, MongoStorePlanner
from store_vector.options import StoreOptions, StoreSettings
from store_vector.shell import AsyncStore, SyncStore

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient, MongoClient
    from pymongo.asynchronous.database import AsyncDatabase
    from pymongo.database import Database
    from typing_extensions import Self


class MongoDBStore(SyncStore):
    """LangGraph's `BaseStore` (long-term memory) in MongoDB 6.0 or later. Its async methods run in
    a worker thread. Call `setup()` once for each database and prefix.

    Vector search is exact: it ranks all items that pass namespace, filter and expiry. This process
    caches the vectors that it has read.

    Args:
        client: a `MongoClient`, or one of its databases. The caller closes it.
        db_name: the database; ignored if `client` is a database.
        collection_prefix: goes before the names of the collections.
        cache_bytes: limit of the cached vectors: 4 bytes for each dimension of each vector. The
            cache also takes a few hundred bytes for each item that has vectors.
        options: `StoreOptions`. `index` may have `ann_index_config`, `ef_search` and `engine`.

    Raises:
        InvalidArgumentError: `client` has another type, or `db_name`, `collection_prefix`, `index`
            or `ttl` is invalid.
        MissingDriverError: PyMongo is not installed.
    """

    def __init__(
        self,
        client: MongoClient[Any] | Database[Any],
        db_name: str = DB_NAME,
        *,
        collection_prefix: str = "",
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> None:
        settings = StoreSettings.of(options)
        driver = sync_driver(
            type(self).__name__, client, db_name, collection_prefix, settings.call_timeout
        )
        planner = mongo_store_planner(settings, cache_bytes)
        super().__init__(planner, driver, settings)
        self.db = driver.database
        self.client = self.db.client

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        db_name: str | None = None,
        collection_prefix: str = "",
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> AbstractContextManager[Self]:
        """Open a store with a client of its own, which is closed when the context ends.

        Args:
            conn_string: as in `MongoDBSaver.from_conn_string`.
            db_name: as in `MongoDBSaver.from_conn_string`.
            collection_prefix: as in the constructor.
            cache_bytes: as in the constructor.
            options: `StoreOptions`; `call_timeout` as in `MongoDBSaver.from_conn_string`.

        Raises:
            InvalidArgumentError: the URL, or another argument, is invalid.
        """
        return opened(
            cls,
            conn_string,
            db_name,
            collection_prefix=collection_prefix,
            cache_bytes=cache_bytes,
            **options,
        )


class AsyncMongoDBStore(AsyncStore):
    """`MongoDBStore` for an event loop. Operations requested in one tick of the loop are one batch.
    Its sync methods may be called from other threads.

    Args:
        client: an `AsyncMongoClient`, or one of its databases. The caller closes it.
        db_name: as in `MongoDBStore`.
        collection_prefix: as in `MongoDBStore`.
        cache_bytes: as in `MongoDBStore`.
        options: as in `MongoDBStore`.

    Call `await store.setup()` once for each database and prefix.

    Raises:
        InvalidArgumentError: `client` has another type, or `db_name`, `collection_prefix`, `index`
            or `ttl` is invalid.
        MissingDriverError: PyMongo is not installed.
    """

    def __init__(
        self,
        client: AsyncMongoClient[Any] | AsyncDatabase[Any],
        db_name: str = DB_NAME,
        *,
        collection_prefix: str = "",
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> None:
        settings = StoreSettings.of(options)
        driver = async_driver(
            type(self).__name__, client, db_name, collection_prefix, settings.call_timeout
        )
        planner = mongo_store_planner(settings, cache_bytes)
        super().__init__(planner, driver, settings)
        self.db = driver.database
        self.client = self.db.client

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        db_name: str | None = None,
        collection_prefix: str = "",
        cache_bytes: int = CACHE_BYTES,
        **options: Unpack[StoreOptions],
    ) -> AbstractAsyncContextManager[Self]:
        """`MongoDBStore.from_conn_string`, for an event loop."""
        return aopened(
            cls,
            conn_string,
            db_name,
            collection_prefix=collection_prefix,
            cache_bytes=cache_bytes,
            **options,
        )


def mongo_store_planner(settings: StoreSettings, cache_bytes: int) -> MongoStorePlanner:
    """The planner of a store with these settings."""
    return MongoStorePlanner(
        settings.index,
        settings.ttl,
        clock=settings.clock,
        cache_bytes=cache_bytes,
        fields=settings.filter_fields,
    )
