"""PyMongo's clients: drivers over the caller's client, and clients that the library opens."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from checkpoint_base.errors import InvalidArgumentError, MissingDriverError
from checkpoint_base.saver.config import text

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient, MongoClient
    from pymongo.asynchronous.database import AsyncDatabase
    from pymongo.database import Database

    from checkpoint_mongo.connection.async_driver import AsyncMongoDriver
    from checkpoint_mongo.connection.sync_driver import SyncMongoDriver

DB_NAME: Final = "checkpointing_db"
_CLIENT: Final[Mapping[str, Any]] = {
    "serverSelectionTimeoutMS": 10_000,
    "connectTimeoutMS": 3_000,
    "socketTimeoutMS": 11_000,
    "retryReads": False,  # this library's drivers retry, but not after a timeout
}
"""Default options of clients that the library opens; the URL overrides them. PyMongo's own defaults
wait half a minute for a server that is gone, and without limit for one that hangs.
"""
_FORBIDDEN: Final = '/\\. "$'
_LONGEST: Final = 63  # bytes of a database's name
_LONGEST_PREFIX: Final = 100


class _Owner(Protocol):
    """A saver, store or cache."""

    def _end(self) -> None: ...


class _AsyncOwner(Protocol):
    async def _aend(self) -> None: ...


T = TypeVar("T", bound=_Owner)
A = TypeVar("A", bound=_AsyncOwner)


def sync_driver(
    needed_by: str,
    client: MongoClient[Any] | Database[Any],
    db_name: str,
    collection_prefix: str,
    call_timeout: float | None,
) -> SyncMongoDriver:
    """The driver of a saver, store or cache.

    Args:
        needed_by: the name of its class, for MissingDriverError.
        client: a client, or one of its databases.
        db_name: the database; ignored if `client` is a database.
        collection_prefix: goes before the names of the collections.
        call_timeout: seconds that a step of a call may take; None: no limit.

    Raises:
        InvalidArgumentError: an argument is invalid.
        MissingDriverError: PyMongo is not installed.
    """
    pymongo = _pymongo(needed_by)
    from pymongo.database import Database

    from checkpoint_mongo.connection.sync_driver import SyncMongoDriver

    database = _database_of(client, db_name, pymongo.MongoClient, Database)
    prefix = _prefix_of(collection_prefix)
    return SyncMongoDriver(database, prefix, call_timeout)


def async_driver(
    needed_by: str,
    client: AsyncMongoClient[Any] | AsyncDatabase[Any],
    db_name: str,
    collection_prefix: str,
    call_timeout: float | None,
) -> AsyncMongoDriver:
    """`sync_driver`, for an event loop."""
    pymongo = _pymongo(needed_by)
    from pymongo.asynchronous.database import AsyncDatabase

    from checkpoint_mongo.connection.async_driver import AsyncMongoDriver

    database = _database_of(client, db_name, pymongo.AsyncMongoClient, AsyncDatabase)
    prefix = _prefix_of(collection_prefix)
    return AsyncMongoDriver(database, prefix, call_timeout)


@contextmanager
def opened(
    make: Callable[..., T], conn_string: str, db_name: str | None, **options: Any
) -> Iterator[T]:
    """A saver, store or cache with a client of its own, which is closed when the context ends.

    Args:
        make: its class.
        conn_string: the URL of the server.
        db_name: the database; None: that of the URL.
        options: further arguments of `make`.

    Raises:
        InvalidArgumentError: the URL, or another argument, is invalid.
        MissingDriverError: PyMongo is not installed.
    """
    pymongo = _pymongo(make.__name__)
    with _understood(conn_string):
        client = pymongo.MongoClient(conn_string, **_options(conn_string))
    with client:
        owner = make(client, db_name or _named_by(client), **options)
        try:
            yield owner
        finally:
            owner._end()


@asynccontextmanager
async def aopened(
    make: Callable[..., A], conn_string: str, db_name: str | None, **options: Any
) -> AsyncIterator[A]:
    """`opened`, for an event loop."""
    pymongo = _pymongo(make.__name__)
    with _understood(conn_string):
        client = pymongo.AsyncMongoClient(conn_string, **_options(conn_string))
    async with client:
        owner = make(client, db_name or _named_by(client), **options)
        try:
            yield owner
        finally:
            await owner._aend()


def _options(conn_string: str) -> dict[str, Any]:
    """The options of a client that the library opens, without those that its URL has."""
    given = str(conn_string).lower()
    return {name: value for name, value in _CLIENT.items() if f"{name.lower()}=" not in given}


def _named_by(client: Any) -> str:
    """The database of a client's URL. `admin` does not count: URLs have it as the database in which
    the user is defined.
    """
    name: str = client.get_default_database(DB_NAME).name
    return DB_NAME if name == "admin" else name


def _database_name(argument: str, value: str) -> str:
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


def _prefix_of(value: str) -> str:
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


def _database_of(given: Any, db_name: str, client: type[Any], database: type[Any]) -> Any:
    """The database of a saver, store or cache, which gets a database, or a client and a name.

    Raises:
        InvalidArgumentError: `given` has another type, or `db_name` is invalid.
    """
    if isinstance(given, client):
        return given[_database_name("db_name", db_name)]
    if isinstance(given, database):
        return given
    wanted = f"{client.__name__} or {database.__name__}"
    raise InvalidArgumentError(f"client: wanted PyMongo's {wanted}, got {type(given).__name__}")


@contextmanager
def _understood(conn_string: str) -> Iterator[None]:
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
                "conn_string: it cannot be _understood. In a password '@' is written %40, '/' %2F, "
                "':' %3A and '%' %25"
            ) from None
        raise InvalidArgumentError(f"conn_string: {error}") from error


def _pymongo(needed_by: str) -> Any:
    """Import PyMongo.

    Raises:
        MissingDriverError: PyMongo is not installed.
    """
    try:
        import pymongo
    except ImportError as error:
        raise MissingDriverError.of(needed_by, "mongo") from error
    return pymongo
