"""The public savers on MongoDB: `MongoDBSaver` and `AsyncMongoDBSaver`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT
from checkpoint_base.saver.codec.values import OnUnreadable
from checkpoint_base.saver.mixins import FullAsyncSaver, FullSyncSaver
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.saver.ttl.retention import Retention
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

TTL = Mapping[str, Any] | TTLPolicy | None


class MongoDBSaver(FullSyncSaver):
    """LangGraph's `BaseCheckpointSaver` in MongoDB 6.0 or later, for blocking code. Its async
    methods run in a worker thread. Call `setup()` once for each database and prefix.

    Args:
        client: a `MongoClient`, or one of its databases. The caller closes it.
        db_name: the database; ignored if `client` is a database.
        collection_prefix: goes before the names of the collections.
        serde: default: LangGraph's `JsonPlusSerializer`.
        on_unreadable: what reading does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError, `"skip"` the channel or write with a warning, or return
            what LangGraph's serializer makes of it (`"langgraph"`).
        encrypted: True if `serde` encrypts, but is not LangGraph's `EncryptedSerializer` and has
            no attribute `cipher`; then metadata is encrypted, too.
        deduplicate: store equal chunks of a thread's large values once. False stores each value
            whole, which is faster if values are replaced instead of growing.
        ttl: time to live as in `langgraph.json`, in minutes; see `TTLPolicy`.
        retention: a policy that sweeps apply; of several processes one at a time.
        clock: returns the time in epoch seconds; `ttl` runs by it.
        call_timeout: seconds that a step of a call may take, with its retries; None: no limit.

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
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        name = type(self).__name__
        driver = sync_driver(name, client, db_name, collection_prefix, call_timeout)
        policy = TTLPolicy.of(ttl)
        planner = MongoPlanner(policy, clock, deduplicate=deduplicate)
        super().__init__(
            planner,
            driver,
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
            retention=retention,
        )
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
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> AbstractContextManager[Self]:
        """Open a saver with a client of its own, which is closed when the context ends.

        Args:
            conn_string: `mongodb://…` or `mongodb+srv://…`, with PyMongo's options.
            db_name: the database; None: that of the URL, or `checkpointing_db` if the URL has none
                or `admin`.
            collection_prefix: as in the constructor.
            serde: as in the constructor.
            on_unreadable: as in the constructor.
            encrypted: as in the constructor.
            deduplicate: as in the constructor.
            ttl: as in the constructor; minutes.
            retention: as in the constructor.
            clock: as in the constructor.
            call_timeout: as in the constructor; seconds. If the URL lacks
                `serverSelectionTimeoutMS` or `socketTimeoutMS`, they are 10 and 11 seconds.

        Raises:
            InvalidArgumentError: the URL, or another argument, is invalid.
        """
        return opened(
            cls,
            conn_string,
            db_name,
            collection_prefix=collection_prefix,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
            deduplicate=deduplicate,
            ttl=ttl,
            retention=retention,
            clock=clock,
            call_timeout=call_timeout,
        )


class AsyncMongoDBSaver(FullAsyncSaver):
    """`MongoDBSaver` for an event loop. Its sync methods may be called from other threads.

    Args:
        client: an `AsyncMongoClient`, or one of its databases. The caller closes it.
        db_name: as in `MongoDBSaver`.
        collection_prefix: as in `MongoDBSaver`.
        serde: as in `MongoDBSaver`.
        on_unreadable: as in `MongoDBSaver`.
        encrypted: as in `MongoDBSaver`.
        deduplicate: as in `MongoDBSaver`.
        ttl: as in `MongoDBSaver`; minutes.
        retention: a policy that sweeps apply; of several processes one at a time.
        clock: as in `MongoDBSaver`; epoch seconds.
        call_timeout: as in `MongoDBSaver`; seconds.

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
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        name = type(self).__name__
        driver = async_driver(name, client, db_name, collection_prefix, call_timeout)
        policy = TTLPolicy.of(ttl)
        planner = MongoPlanner(policy, clock, deduplicate=deduplicate)
        super().__init__(
            planner,
            driver,
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
            retention=retention,
        )
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
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        deduplicate: bool = True,
        ttl: TTL = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> AbstractAsyncContextManager[Self]:
        """`MongoDBSaver.from_conn_string`, for an event loop."""
        return aopened(
            cls,
            conn_string,
            db_name,
            collection_prefix=collection_prefix,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
            deduplicate=deduplicate,
            ttl=ttl,
            retention=retention,
            clock=clock,
            call_timeout=call_timeout,
        )
