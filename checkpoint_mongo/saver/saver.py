"""The public savers: how they are opened, and who closes what."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT, checked_call_timeout
from checkpoint_base.errors import InvalidArgumentError, MissingDriverError
from checkpoint_base.saver.codec.values import OnUnreadable
from checkpoint_base.saver.config import text
from checkpoint_base.saver.mixins import FullAsyncSaver, FullSyncSaver
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_mongo.saver.planner import MongoPlanner

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient, MongoClient
    from pymongo.asynchronous.database import AsyncDatabase
    from pymongo.database import Database
    from typing_extensions import Self

TTL = Mapping[str, Any] | TTLPolicy | None
DB_NAME = "checkpointing_db"
_CLIENT: Final[Mapping[str, Any]] = {
    "serverSelectionTimeoutMS": 10_000,
    "connectTimeoutMS": 3_000,
    "socketTimeoutMS": 11_000,
    "retryReads": False,  # the drivers here try again, but not after a timeout
}
"""Options of clients that are opened here, unless the URL has them. By default PyMongo waits half
a minute for a server that is gone, and for ever for one that is frozen.
"""


class MongoDBSaver(FullSyncSaver):
    """Checkpoints in MongoDB 6.0 or later, for threads; its async methods run in a worker thread.

    Args:
        client: a `MongoClient`, or one of its databases. It stays the caller's to close.
        db_name: the database, unless `client` is one.
        collection_prefix: goes before the names of the collections.
        serde: LangGraph's `JsonPlusSerializer` unless another is given.
        on_unreadable: what reading does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError, `"skip"` the channel or write with a warning, or return
            what LangGraph's serializer makes of it (`"langgraph"`).
        encrypted: the serializer encrypts, though it is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: metadata goes through it, too.
        deduplicate: store what a thread's large values have in common once. Without it each is
            stored whole, which saves time where values are replaced and never grow.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        clock: epoch seconds, for `ttl`.
        call_timeout: seconds that a step of a call may take, with its retries; None: no limit.

    `setup()` must have been called once for a database.

    Raises:
        InvalidArgumentError: `client` is neither of both, or a name cannot be one.
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
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        pymongo = driver(type(self).__name__)
        from pymongo.database import Database

        from checkpoint_mongo.connection.sync_driver import SyncMongoDriver

        kinds = pymongo.MongoClient, Database
        database: Database[Any] = database_of(client, db_name, *kinds)
        prefix = prefix_of(collection_prefix)
        policy = TTLPolicy.of(ttl)
        planner = MongoPlanner(policy, clock, deduplicate=deduplicate)
        super().__init__(
            planner,
            SyncMongoDriver(database, prefix, checked_call_timeout(call_timeout)),
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
        )
        self.db = database
        self.client = database.client

    def setup(self, require_transactions: bool = False, shard: bool = False) -> None:
        """Create what is missing. Safe from many processes at once; later a no-op.

        Args:
            require_transactions: refuse a standalone server, on which a crash may leave a half of
                a write.
            shard: shard the collection by thread, on a sharded cluster.

        Raises:
            UnsupportedServerError: the server is standalone, and transactions are required.
        """
        self._drive(self._planner.setup(require_transactions, shard))

    @classmethod
    @contextmanager
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
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> Iterator[Self]:
        """Connect, and disconnect at the end.

        Args:
            conn_string: `mongodb://…` or `mongodb+srv://…`, with PyMongo's options.
            db_name: the database; None: the one that the URL names, unless that is `admin`, or
                else `checkpointing_db`.
            collection_prefix: as in the constructor.
            serde: as in the constructor.
            on_unreadable: as in the constructor.
            encrypted: as in the constructor.
            deduplicate: as in the constructor.
            ttl: as in the constructor; minutes.
            clock: as in the constructor.
            call_timeout: as in the constructor. Unless the URL has `serverSelectionTimeoutMS` or
                `socketTimeoutMS`, they are 10 and 11 seconds.

        Raises:
            InvalidArgumentError: the URL cannot be understood.
        """
        pymongo = driver(cls.__name__)
        with understood(conn_string):
            client = pymongo.MongoClient(conn_string, **client_options(conn_string))
        with client:
            saver = cls(
                client,
                db_name or named_by(client),
                collection_prefix=collection_prefix,
                serde=serde,
                on_unreadable=on_unreadable,
                encrypted=encrypted,
                deduplicate=deduplicate,
                ttl=ttl,
                clock=clock,
                call_timeout=call_timeout,
            )
            try:
                yield saver
            finally:
                saver._end()


class AsyncMongoDBSaver(FullAsyncSaver):
    """Checkpoints in MongoDB, for an event loop; its sync methods work from other threads.

    Args:
        client: as in `MongoDBSaver`: an `AsyncMongoClient`, or one of its databases.
        db_name: the database, unless `client` is one.
        collection_prefix: goes before the names of the collections.
        serde: as in `MongoDBSaver`.
        on_unreadable: as in `MongoDBSaver`.
        encrypted: as in `MongoDBSaver`.
        deduplicate: as in `MongoDBSaver`.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        clock: epoch seconds, for `ttl`.
        call_timeout: as in `MongoDBSaver`; seconds.

    `await saver.setup()` must have been called once for a database.

    Raises:
        InvalidArgumentError: `client` is neither of both, or a name cannot be one.
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
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        pymongo = driver(type(self).__name__)
        from pymongo.asynchronous.database import AsyncDatabase

        from checkpoint_mongo.connection.async_driver import AsyncMongoDriver

        kinds = pymongo.AsyncMongoClient, AsyncDatabase
        database: AsyncDatabase[Any] = database_of(client, db_name, *kinds)
        prefix = prefix_of(collection_prefix)
        policy = TTLPolicy.of(ttl)
        planner = MongoPlanner(policy, clock, deduplicate=deduplicate)
        super().__init__(
            planner,
            AsyncMongoDriver(database, prefix, checked_call_timeout(call_timeout)),
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
        )
        self.db = database
        self.client = database.client

    async def setup(self, require_transactions: bool = False, shard: bool = False) -> None:
        """`MongoDBSaver.setup`, without blocking."""
        await self._adrive(self._planner.setup(require_transactions, shard))

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
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
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> AsyncIterator[Self]:
        """`MongoDBSaver.from_conn_string`, for an event loop."""
        pymongo = driver(cls.__name__)
        with understood(conn_string):
            client = pymongo.AsyncMongoClient(conn_string, **client_options(conn_string))
        async with client:
            saver = cls(
                client,
                db_name or named_by(client),
                collection_prefix=collection_prefix,
                serde=serde,
                on_unreadable=on_unreadable,
                encrypted=encrypted,
                deduplicate=deduplicate,
                ttl=ttl,
                clock=clock,
                call_timeout=call_timeout,
            )
            try:
                yield saver
            finally:
                await saver._aend()


_FORBIDDEN = '/\\. "$'
_LONGEST = 63  # bytes of a database's name
_LONGEST_PREFIX = 100


def client_options(conn_string: str) -> dict[str, Any]:
    """The options of a client that is opened here, besides those of its URL."""
    given = str(conn_string).lower()
    return {name: value for name, value in _CLIENT.items() if f"{name.lower()}=" not in given}


def named_by(client: Any) -> str:
    """The database of a URL; `admin` is only where its user is known."""
    name: str = client.get_default_database(DB_NAME).name
    return DB_NAME if name == "admin" else name


def database_name(argument: str, value: str) -> str:
    """A database's name, if it can be one."""
    name = text(argument, value)
    wrong = any(each in name for each in _FORBIDDEN)
    if not name or wrong or len(name.encode()) > _LONGEST:
        raise InvalidArgumentError(
            f"{argument}: wanted 1 to {_LONGEST} bytes without any of {_FORBIDDEN!r}, got {value!r}"
        )
    return name


def prefix_of(value: str) -> str:
    """What goes before names of collections, if it can."""
    prefix = text("collection_prefix", value)
    if "$" in prefix or prefix.startswith((".", "system.")) or len(prefix) > _LONGEST_PREFIX:
        raise InvalidArgumentError(
            f"collection_prefix: wanted up to {_LONGEST_PREFIX} characters without '$', and not "
            f"'.' or 'system.' at the beginning, got {value!r}"
        )
    return prefix


def database_of(given: Any, db_name: str, client: type[Any], database: type[Any]) -> Any:
    """The database that a saver or a store was given: itself, or by a client of this type.

    Raises:
        InvalidArgumentError: it is neither of both, or there can be no database of this name.
    """
    if isinstance(given, client):
        return given[database_name("db_name", db_name)]
    if isinstance(given, database):
        return given
    wanted = f"{client.__name__} or {database.__name__}"
    raise InvalidArgumentError(f"client: wanted PyMongo's {wanted}, got {type(given).__name__}")


@contextmanager
def understood(conn_string: str) -> Iterator[None]:
    """A URL that PyMongo does not understand is an argument that is wrong."""
    from pymongo.errors import ConfigurationError, InvalidURI

    try:
        yield
    except (InvalidURI, ConfigurationError, ValueError, TypeError) as error:
        password = str(conn_string).rpartition("@")[0].partition("://")[2].partition(":")[2]
        if any(part and part in str(error) for part in re.split("[:/@?]", password)):
            raise InvalidArgumentError(
                "conn_string: it cannot be understood. In a password '@' is written %40, '/' %2F, "
                "':' %3A and '%' %25"
            ) from None
        raise InvalidArgumentError(f"conn_string: {error}") from error


def driver(needed_by: str) -> Any:
    """PyMongo.

    Raises:
        MissingDriverError: it is not installed.
    """
    try:
        import pymongo
    except ImportError as error:
        raise MissingDriverError.of(needed_by, "mongo") from error
    return pymongo
