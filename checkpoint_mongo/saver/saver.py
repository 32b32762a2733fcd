"""The public savers on MongoDB: `MongoDBSaver` and `AsyncMongoDBSaver`."""

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
    "retryReads": False,  # this library's drivers retry, but not after a timeout
}
"""Default options of clients that the library opens; the URL overrides them. PyMongo's own defaults
wait half a minute for a server that is gone, and without limit for one that hangs.
"""


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
            clock: as in the constructor.
            call_timeout: as in the constructor; seconds. If the URL lacks
                `serverSelectionTimeoutMS` or `socketTimeoutMS`, they are 10 and 11 seconds.

        Raises:
            InvalidArgumentError: the URL, or another argument, is invalid.
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
    """The options of a client that the library opens, without those that its URL has."""
    given = str(conn_string).lower()
    return {name: value for name, value in _CLIENT.items() if f"{name.lower()}=" not in given}


def named_by(client: Any) -> str:
    """The database of a client's URL. `admin` does not count: URLs have it as the database in which
    the user is defined.
    """
    name: str = client.get_default_database(DB_NAME).name
    return DB_NAME if name == "admin" else name


def database_name(argument: str, value: str) -> str:
    """Check the name of a database.

    Raises:
        InvalidArgumentError: MongoDB does not allow the name.
    """
    name = text(argument, value)
    wrong = any(each in name for each in _FORBIDDEN)
    if not name or wrong or len(name.encode()) > _LONGEST:
        raise InvalidArgumentError(
            f"{argument}: wanted 1 to {_LONGEST} bytes without any of {_FORBIDDEN!r}, got {value!r}"
        )
    return name


def prefix_of(value: str) -> str:
    """Check the prefix of collections' names.

    Raises:
        InvalidArgumentError: a collection's name cannot begin with it.
    """
    prefix = text("collection_prefix", value)
    if "$" in prefix or prefix.startswith((".", "system.")) or len(prefix) > _LONGEST_PREFIX:
        raise InvalidArgumentError(
            f"collection_prefix: wanted up to {_LONGEST_PREFIX} characters without '$', and not "
            f"'.' or 'system.' at the beginning, got {value!r}"
        )
    return prefix


def database_of(given: Any, db_name: str, client: type[Any], database: type[Any]) -> Any:
    """The database of a saver, store or cache, which gets a database, or a client and a name.

    Raises:
        InvalidArgumentError: `given` has another type, or `db_name` is invalid.
    """
    if isinstance(given, client):
        return given[database_name("db_name", db_name)]
    if isinstance(given, database):
        return given
    wanted = f"{client.__name__} or {database.__name__}"
    raise InvalidArgumentError(f"client: wanted PyMongo's {wanted}, got {type(given).__name__}")


@contextmanager
def understood(conn_string: str) -> Iterator[None]:
    """Translate what PyMongo raises for an invalid URL. The message does not quote a password.

    Raises:
        InvalidArgumentError: the URL, or an option of it, is invalid.
    """
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
    """Import PyMongo.

    Raises:
        MissingDriverError: PyMongo is not installed.
    """
    try:
        import pymongo
    except ImportError as error:
        raise MissingDriverError.of(needed_by, "mongo") from error
    return pymongo
