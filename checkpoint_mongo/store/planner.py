"""The planner of the stores on MongoDB. docs/adr/0011 gives the reasons for its design."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from checkpoint_base.lifecycle.setup_check import requires_setup
from checkpoint_base.plan import Plan, write
from checkpoint_base.saver.ttl.refresh import refresh_ttl_best_effort
from checkpoint_mongo.connection.requests import (
    ITEMS,
    STORE_MIGRATIONS,
    CreateIndexes,
    Document,
    Find,
    Index,
    Op,
    Write,
    Written,
    documents,
    find,
    server,
    write_all,
)
from checkpoint_mongo.saver.setup import expect_migrations, migrations
from checkpoint_mongo.store.documents import (
    RECORD,
    TEXTS,
    delete_op,
    name_of,
    put_op,
    record_of,
    refresh_op,
    vectors_of,
)
from checkpoint_mongo.store.keys import setup_indexes
from checkpoint_mongo.store.search import find_namespaces, find_newest
from checkpoint_mongo.store.vectors import MongoVectorSearch
from store_vector.config import IndexSettings, StoreTTL
from store_vector.namespaces import NamespaceQuery
from store_vector.planner import StorePlanner
from store_vector.records import Found, Put, Read, Record, Search, StoreStats, Vector

CACHE_BYTES: Final = 1 << 29
"""Limit of the vectors cached in memory, in bytes; beyond it each search reads the server."""

INDEXES: Final[dict[int, Sequence[Index]]] = {
    1: (
        Index((("ns", 1), ("stamp", 1), ("expires_at", 1))),
        Index((("updated_at", -1), ("_id", 1))),
        Index((("expires_at", 1),)),
        Index((("stamp", 1),), sparse=True),
    ),
}
"""Migration -> the indexes that it creates. A released migration never changes."""

_AT_ONCE: Final = 100
"""Items that one command changes or reads, so that no command runs into `call_timeout`."""


@requires_setup(StorePlanner)
class MongoStorePlanner:
    """The plans of a store on MongoDB. An item is a document, found by its namespace and key.

    Args:
        settings: the vector index; None: no vector search.
        ttl: time to live of items.
        clock: returns epoch seconds.
        cache_bytes: limit of the vectors cached in memory, in bytes.
        fields: the paths of declared fields (`filter_fields`).
        new_stamp: returns a new unique positive number of 63 bits.
    """

    is_set_up = False

    def __init__(
        self,
        settings: IndexSettings | None,
        ttl: StoreTTL,
        *,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        fields: Sequence[str] = (),
        new_stamp: Callable[[], int] = lambda: secrets.randbits(63) | 1,
    ) -> None:
        self._ttl, self._clock, self._new_stamp = ttl, clock, new_stamp
        self._fields = fields
        self.vectors = None if settings is None else MongoVectorSearch(settings, cache_bytes)

    def setup(self, drop_undeclared: bool = False) -> Plan[None]:
        """Run the missing migrations, and create the missing indexes of declared fields. If there
        is nothing to do, this only reads.
        """
        _, missing = yield from migrations(STORE_MIGRATIONS, INDEXES)
        for migration in missing:
            yield CreateIndexes(INDEXES[migration.number], ITEMS)
            where = {"_id": migration.number}
            noted = {**where, "applied_at": self._clock()}
            yield from write_all([Op(where, noted, upsert=True)], collection=STORE_MIGRATIONS)
        yield from setup_indexes(self._fields, drop_undeclared=drop_undeclared)

    def expect_setup(self) -> Plan[None]:
        """Check the record of migrations; raise as `expect_migrations` does."""
        yield from expect_migrations(STORE_MIGRATIONS, INDEXES)

    def _write(self, ops: Sequence[Op]) -> Plan[int]:
        """Make changes, and return how many documents were deleted."""
        deleted = 0
        for first in range(0, len(ops), _AT_ONCE):
            written: Written = yield Write(ops[first : first + _AT_ONCE], collection=ITEMS)
            deleted += written.deleted
        return deleted

    # ------------------------------------------------------------------ get, put

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        """Read items: one command for a hundred, and one more if an expiry is refreshed."""
        names = [name_of(one.ns, one.key) for one in reads]
        found = yield from self._named(names, {}, RECORD)
        records = {one["_id"]: record_of(one) for one in found}
        there = (records.get(name) for name in names)
        shown = [
            None if one is None or self._ttl.is_absent(one.expires_at, now) else one
            for one in there
        ]
        moved = [one for one, read in zip(shown, reads, strict=True) if one and read.refresh]
        yield from self._refresh(moved, now)
        return shown

    @staticmethod
    def _named(
        names: Sequence[str], where: Document, fields: Document
    ) -> Plan[list[dict[str, Any]]]:
        found: list[dict[str, Any]] = []
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            by_name = {"_id": some[0] if len(some) == 1 else {"$in": some}}
            found += yield from find(Find({**by_name, **where}, fields, ITEMS))
        return found

    def _refresh(self, records: Iterable[Record], now: float) -> Plan[None]:
        horizon = self._ttl.horizon(now)
        ops = [refresh_op(one.name, now, horizon) for one in records if one.is_refresh_due(now)]
        if ops:
            yield from refresh_ttl_best_effort(self._write(ops), f"one of {len(ops)} items")

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        """Put and delete items: one command for the puts, one for the deletions, and a commit if
        there are several; before these, one that reads if some puts embed nothing.
        """
        horizon = self._ttl.horizon(now)
        puts = yield from self._with_kept_vectors(puts, now)
        ops = [
            delete_op(one) if one.value is None else put_op(one, self._new_stamp(), now, horizon)
            for one in sorted(puts, key=lambda one: one.value is None)
        ]
        if len(ops) == 1:
            yield from self._write(ops)
        else:
            yield from write(self._write, ops)

    def _with_kept_vectors(self, puts: Sequence[Put], now: float) -> Plan[list[Put]]:
        """Puts that embed nothing keep the stored vectors of those texts that have not changed. If
        another process puts such an item meanwhile, it is overwritten, and the vectors kept still
        belong to the texts of this put.
        """
        unchanged = {name_of(one.ns, one.key): one.unchanged for one in puts}
        names = [name for name, texts in unchanged.items() if texts is not None]
        kept: dict[str, list[Vector]] = {}
        if names:
            for document in (yield from self._named(names, {"stamp": {"$exists": True}}, TEXTS)):
                texts = unchanged[document["_id"]]
                if texts and not self._ttl.is_absent(document["expires_at"], now):
                    kept[document["_id"]] = vectors_of(document, texts)
        return [
            one._replace(vectors=kept.get(name_of(one.ns, one.key), one.vectors)) for one in puts
        ]

    # ------------------------------------------------------------------ search

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        """Search items, as `find_newest` and `MongoVectorSearch` say; one more command if an expiry
        is refreshed.
        """
        horizon = self._ttl.horizon(now)
        if search.vector is not None and self.vectors is not None:
            found = yield from self.vectors.search(search, search.vector, horizon)
        else:
            records = yield from find_newest(search, horizon, self._fields)
            found = [Found(record) for record in records]
        found = search.near_enough(found)
        if search.refresh:
            yield from self._refresh([one.record for one in found], now)
        return found

    def namespaces(self, query: NamespaceQuery, now: float) -> Plan[Iterable[str]]:
        """List namespaces: one command."""
        return (yield from find_namespaces(query, self._ttl.horizon(now)))

    # ------------------------------------------------------------------ expiry, size

    def sweep(self, now: float) -> Plan[int]:
        """Remove expired items: one command."""
        return (yield from self._write([Op({"expires_at": {"$lte": now}})]))

    def stats(self) -> Plan[StoreStats]:
        """Count items, vectors, and bytes as BSON, before compression."""
        found = yield from server()
        sums = {
            "items": 1,
            "vectors": {"$size": {"$ifNull": ["$vectors", []]}},
            "bytes": {"$bsonSize": "$$ROOT"},
        }
        group = {"_id": None, **{name: {"$sum": one} for name, one in sums.items()}}
        (all_,) = (yield from documents([{"$group": group}], ITEMS)) or [dict.fromkeys(sums, 0)]
        told = f"{found.version}, {found.topology}"
        return StoreStats("mongo", told, all_["items"], all_["vectors"], all_["bytes"])
