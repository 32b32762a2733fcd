"""Caches on MongoDB: `MongoDBCache`, `AsyncMongoDBCache`, and the planner of both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import Unpack

from checkpoint_base.cache.entries import AFTER_DIGITS, CacheEntry
from checkpoint_base.cache.options import CacheOptions, CacheSettings
from checkpoint_base.cache.planner import CachePlanner, CacheStats
from checkpoint_base.cache.shell import AsyncCache, SyncCache
from checkpoint_base.lifecycle.setup_check import requires_setup
from checkpoint_base.plan import Plan
from checkpoint_mongo.connection.clients import (
    DB_NAME,
    aopened,
    async_driver,
    opened,
    sync_driver,
)
from checkpoint_mongo.connection.requests import (
    CreateIndexes,
    Document,
    Find,
    Index,
    Op,
    documents,
    find,
    server,
    write_all,
)
from checkpoint_mongo.saver.setup import expect_migrations, migrations

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient, MongoClient
    from pymongo.asynchronous.database import AsyncDatabase
    from pymongo.database import Database
    from typing_extensions import Self

ENTRIES: Final = "cache_entries"
CACHE_MIGRATIONS: Final = "cache_migrations"
INDEXES: Final[dict[int, Sequence[Index]]] = {
    1: (
        Index((("expires_at", 1),), sparse=True),
        Index((("stored_at", -1), ("_id", 1), ("size", 1))),
    ),
}
"""Migration -> the indexes that it creates. A released migration never changes."""
LARGEST: Final = (1 << 24) - 1024
"""Bytes of the largest value: MongoDB limits a document to 16 MiB."""
_TOTALS: Final = [{"$group": {"_id": None, "entries": {"$sum": 1}, "bytes": {"$sum": "$size"}}}]


@requires_setup(CachePlanner)
class MongoCachePlanner:
    """The plans of a cache on MongoDB. An entry is a document, whose `_id` is its digest.

    Args:
        clock: returns epoch seconds, for the record of migrations.
    """

    is_set_up = False

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def setup(self) -> Plan[None]:
        """Run the missing migrations; if there are none, this only reads."""
        _, missing = yield from migrations(CACHE_MIGRATIONS, INDEXES)
        for migration in missing:
            yield CreateIndexes(INDEXES[migration.number], ENTRIES)
            where = {"_id": migration.number}
            noted = {**where, "applied_at": self._clock()}
            yield from write_all([Op(where, noted, upsert=True)], collection=CACHE_MIGRATIONS)

    def expect_setup(self) -> Plan[None]:
        """Check the record of migrations; raise as `expect_migrations` does."""
        yield from expect_migrations(CACHE_MIGRATIONS, INDEXES)

    def get(self, ids: Sequence[str], now: float) -> Plan[list[CacheEntry]]:
        """Read the entries that have not expired: one command."""
        is_shown = {"$not": {"$lte": now}}  # also true without the field: no expiry
        where = {"_id": {"$in": list(ids)}, "expires_at": is_shown}
        found = yield from find(Find(where, None, ENTRIES))
        return [CacheEntry(one["_id"], bytes(one["data"]), one.get("expires_at")) for one in found]

    def put(self, entries: Sequence[CacheEntry], now: float) -> Plan[None]:
        """Store entries: one command."""
        yield from self._write([_put(entry, now) for entry in entries])

    def delete(self, ids: Sequence[str]) -> Plan[None]:
        """Remove entries: one command."""
        yield from self._write([_delete(ids)])

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        """Remove the entries of namespaces, or all: one command."""
        if namespace_ids is None:
            yield from self._write([Op({})])
        elif namespace_ids:
            ranges = [{"$gte": digest, "$lt": digest + AFTER_DIGITS} for digest in namespace_ids]
            yield from self._write([Op({"_id": each}) for each in ranges])

    def sweep(self, now: float) -> Plan[int]:
        """Remove expired entries: one command."""
        return (yield from self._write([Op({"expires_at": {"$lte": now}})]))

    def trim(self, max_bytes: int) -> Plan[int]:
        """Remove the oldest entries until `max_bytes` are left: one command that reads sizes, and
        one that removes entries if there are too many.
        """
        order = {"stored_at": -1, "_id": 1}
        found = yield from find(Find({}, {"_id": 1, "size": 1}, ENTRIES, order))
        total, too_many = 0, []
        for one in found:
            total += one["size"]
            if total > max_bytes:
                too_many.append(one["_id"])
        return (yield from self._write([_delete(too_many)])) if too_many else 0

    def stats(self) -> Plan[CacheStats]:
        """Count documents and bytes."""
        deployment = yield from server()
        found = yield from documents(_TOTALS, ENTRIES)
        totals = found[0] if found else {"entries": 0, "bytes": 0}
        return CacheStats(
            backend="mongo",
            server=deployment.version,
            entries=totals["entries"],
            bytes=totals["bytes"],
        )

    def _write(self, ops: Sequence[Op]) -> Plan[int]:
        """Make changes, and return how many documents were deleted."""
        written = yield from write_all(ops, collection=ENTRIES)
        return 0 if written is None else written.deleted


def _put(entry: CacheEntry, now: float) -> Op:
    where = {"_id": entry.id}
    stored: dict[str, Any] = {"data": entry.data, "size": len(entry.data), "stored_at": now}
    if entry.expires_at is not None:
        stored["expires_at"] = entry.expires_at
    return Op(where, {**where, **stored}, upsert=True)


def _delete(ids: Sequence[str]) -> Op:
    where: Document = {"_id": {"$in": list(ids)}}
    return Op(where)


class MongoDBCache(SyncCache):
    """LangGraph's `BaseCache` in MongoDB 6.0 or later. Its async methods run in a worker thread.
    Call `setup()` once for each database and prefix.

    Args:
        client: a `MongoClient`, or one of its databases. The caller closes it.
        db_name: the database; ignored if `client` is a database.
        collection_prefix: goes before the names of the collections.
        options: `CacheOptions`. A value of more than 16 MiB is not stored.

    Raises:
        InvalidArgumentError: `client` has another type, or `db_name`, `collection_prefix`,
            `max_bytes` or `serde` is invalid.
        MissingDriverError: PyMongo is not installed.
    """

    _largest = LARGEST

    def __init__(
        self,
        client: MongoClient[Any] | Database[Any],
        db_name: str = DB_NAME,
        *,
        collection_prefix: str = "",
        **options: Unpack[CacheOptions],
    ) -> None:
        settings = CacheSettings.of(options)
        driver = sync_driver(
            type(self).__name__, client, db_name, collection_prefix, settings.call_timeout
        )
        super().__init__(MongoCachePlanner(settings.clock), driver, settings)
        self.db = driver.database
        self.client = self.db.client

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        db_name: str | None = None,
        collection_prefix: str = "",
        **options: Unpack[CacheOptions],
    ) -> AbstractContextManager[Self]:
        """Open a cache with a client of its own, which is closed when the context ends.

        Args:
            conn_string: as in `MongoDBSaver.from_conn_string`.
            db_name: as in `MongoDBSaver.from_conn_string`.
            collection_prefix: as in the constructor.
            options: `CacheOptions`.

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


class AsyncMongoDBCache(AsyncCache):
    """`MongoDBCache` for an event loop. Its sync methods may be called from other threads.

    Args:
        client: an `AsyncMongoClient`, or one of its databases. The caller closes it.
        db_name: as in `MongoDBCache`.
        collection_prefix: as in `MongoDBCache`.
        options: `CacheOptions`.

    Call `await cache.setup()` once for each database and prefix.

    Raises:
        InvalidArgumentError: `client` has another type, or `db_name`, `collection_prefix`,
            `max_bytes` or `serde` is invalid.
        MissingDriverError: PyMongo is not installed.
    """

    _largest = LARGEST

    def __init__(
        self,
        client: AsyncMongoClient[Any] | AsyncDatabase[Any],
        db_name: str = DB_NAME,
        *,
        collection_prefix: str = "",
        **options: Unpack[CacheOptions],
    ) -> None:
        settings = CacheSettings.of(options)
        driver = async_driver(
            type(self).__name__, client, db_name, collection_prefix, settings.call_timeout
        )
        super().__init__(MongoCachePlanner(settings.clock), driver, settings)
        self.db = driver.database
        self.client = self.db.client

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        db_name: str | None = None,
        collection_prefix: str = "",
        **options: Unpack[CacheOptions],
    ) -> AbstractAsyncContextManager[Self]:
        """`MongoDBCache.from_conn_string`, for an event loop."""
        return aopened(
            cls,
            conn_string,
            db_name,
            collection_prefix=collection_prefix,
            **options,
        )
