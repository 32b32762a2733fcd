"""The public stores on MongoDB: `MongoDBStore` and `AsyncMongoDBStore`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any

from langgraph.store.base import TTLConfig

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT
from checkpoint_mongo.connection.clients import (
    DB_NAME,
    aopened,
    async_driver,
    opened,
    sync_driver,
)
from checkpoint_mongo.store.planner import CACHE_BYTES, MongoStorePlanner
from store_vector.config import IndexSettings, StoreTTL
from store_vector.filters.keys import declared_fields
from store_vector.shell import AsyncStore, SyncStore

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient, MongoClient
    from pymongo.asynchronous.database import AsyncDatabase
    from pymongo.database import Database
    from typing_extensions import Self

Index = Mapping[str, Any] | None
TTL = TTLConfig | StoreTTL | None


class MongoDBStore(SyncStore):
    """LangGraph's `BaseStore` (long-term memory) in MongoDB 6.0 or later. Its async methods run in
    a worker thread. Call `setup()` once for each database and prefix.

    Vector search is exact: it ranks all items that pass namespace, filter and expiry. This process
    caches the vectors that it has read.

    Args:
        client: a `MongoClient`, or one of its databases. The caller closes it.
        db_name: the database; ignored if `client` is a database.
        collection_prefix: goes before the names of the collections.
        index: LangGraph's `IndexConfig`, with `distance_type`, `ann_index_config`, `ef_search` and
            `engine`; None: no vector search.
        ttl: LangGraph's `TTLConfig`, in minutes.
        clock: returns the time in epoch seconds; items' times and `ttl` run by it.
        cache_bytes: limit of the cached vectors: 4 bytes for each dimension of each vector. The
            cache also takes a few hundred bytes for each item that has vectors.
        filter_fields: fields that many searches filter by, such as `"status"` or `"user.age"`;
            setup() creates an index for each. The same as `index["filter_fields"]`.
        call_timeout: seconds that a step of a call may take, with its retries; None: no limit.

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
        index: Index = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        filter_fields: Sequence[str] | None = None,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        name = type(self).__name__
        driver = sync_driver(name, client, db_name, collection_prefix, call_timeout)
        settings, policy = IndexSettings.of(index), StoreTTL.of(ttl)
        fields = declared_fields(index, filter_fields)
        planner = MongoStorePlanner(
            settings, policy, clock=clock, cache_bytes=cache_bytes, fields=fields
        )
        super().__init__(
            planner,
            driver,
            settings,
            policy,
            clock,
        )
        self.db = driver.database
        self.client = self.db.client

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        db_name: str | None = None,
        collection_prefix: str = "",
        index: Index = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        filter_fields: Sequence[str] | None = None,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> AbstractContextManager[Self]:
        """Open a store with a client of its own, which is closed when the context ends.

        Args:
            conn_string: as in `MongoDBSaver.from_conn_string`.
            db_name: as in `MongoDBSaver.from_conn_string`.
            collection_prefix: as in the constructor.
            index: as in the constructor.
            ttl: as in the constructor; minutes.
            clock: as in the constructor.
            cache_bytes: as in the constructor.
            filter_fields: as in the constructor.
            call_timeout: as in `MongoDBSaver.from_conn_string`.

        Raises:
            InvalidArgumentError: the URL, or another argument, is invalid.
        """
        return opened(
            cls,
            conn_string,
            db_name,
            collection_prefix=collection_prefix,
            index=index,
            ttl=ttl,
            clock=clock,
            cache_bytes=cache_bytes,
            filter_fields=filter_fields,
            call_timeout=call_timeout,
        )


class AsyncMongoDBStore(AsyncStore):
    """`MongoDBStore` for an event loop. Operations requested in one tick of the loop are one batch.
    Its sync methods may be called from other threads.

    Args:
        client: an `AsyncMongoClient`, or one of its databases. The caller closes it.
        db_name: as in `MongoDBStore`.
        collection_prefix: as in `MongoDBStore`.
        index: as in `MongoDBStore`.
        ttl: as in `MongoDBStore`; minutes.
        clock: as in `MongoDBStore`; epoch seconds.
        cache_bytes: as in `MongoDBStore`.
        filter_fields: as in `MongoDBStore`.
        call_timeout: as in `MongoDBStore`; seconds.

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
        index: Index = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        filter_fields: Sequence[str] | None = None,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        name = type(self).__name__
        driver = async_driver(name, client, db_name, collection_prefix, call_timeout)
        settings, policy = IndexSettings.of(index), StoreTTL.of(ttl)
        fields = declared_fields(index, filter_fields)
        planner = MongoStorePlanner(
            settings, policy, clock=clock, cache_bytes=cache_bytes, fields=fields
        )
        super().__init__(
            planner,
            driver,
            settings,
            policy,
            clock,
        )
        self.db = driver.database
        self.client = self.db.client

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        db_name: str | None = None,
        collection_prefix: str = "",
        index: Index = None,
        ttl: TTL = None,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        filter_fields: Sequence[str] | None = None,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> AbstractAsyncContextManager[Self]:
        """`MongoDBStore.from_conn_string`, for an event loop."""
        return aopened(
            cls,
            conn_string,
            db_name,
            collection_prefix=collection_prefix,
            index=index,
            ttl=ttl,
            clock=clock,
            cache_bytes=cache_bytes,
            filter_fields=filter_fields,
            call_timeout=call_timeout,
        )
