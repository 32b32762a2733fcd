"""The operations of a store on MongoDB. See docs/adr/0011 for why they are what they are."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Final

from checkpoint_base.looking import looks_first
from checkpoint_base.plan import Plan
from checkpoint_base.touch import moved_if_possible
from checkpoint_mongo.requests import (
    ITEMS,
    STORE_MIGRATIONS,
    CreateIndexes,
    Find,
    Index,
    Op,
    Written,
    documents,
    find,
    pause,
    server,
    write_all,
)
from checkpoint_mongo.setup import expect_migrations, migrations
from checkpoint_mongo.store_browsing import Browsing
from checkpoint_mongo.store_documents import (
    RECORD,
    TEXTS,
    delete_op,
    name_of,
    new_op,
    put_op,
    record_of,
    refresh_op,
    stored,
    vectors_of,
)
from checkpoint_mongo.store_meaning import Meaning
from checkpoint_mongo.store_reading import seek_namespaces
from store_vector.config import IndexSettings, StoreTTL
from store_vector.namespaces import NamespaceQuery
from store_vector.planner import StorePlanner
from store_vector.records import Found, Put, Read, Record, Search, StoreStats, Vector

CACHE_BYTES: Final = 1 << 29
"""How large the matrix of vectors in memory may be; beyond, searches read the server."""

INDEXES: Final[dict[int, Sequence[Index]]] = {
    1: (
        Index((("ns", 1), ("stamp", 1), ("expires_at", 1))),
        Index((("updated_at", -1), ("_id", 1))),
        Index((("expires_at", 1),)),
        Index((("stamp", 1),), sparse=True),
        Index((("keys", 1), ("updated_at", 1), ("_id", -1))),
    ),
}
"""Migration -> the indexes that it creates. What was released never changes."""

_OFTEN: Final = 3


@looks_first(StorePlanner)
class MongoStorePlanner:
    """Plans for MongoDB. An item is a document, found by its namespace and key.

    Args:
        settings: the index, or None.
        ttl: how items expire.
        clock: epoch seconds.
        prefix: what the names of collections begin with.
        cache_bytes: how large the matrix of vectors in memory may be.
        new_stamp: positive numbers of 63 bits that do not come twice.
    """

    is_set_up = False

    def __init__(
        self,
        settings: IndexSettings | None,
        ttl: StoreTTL,
        *,
        clock: Callable[[], float] = time.time,
        prefix: str = "",
        cache_bytes: int = CACHE_BYTES,
        new_stamp: Callable[[], int] = lambda: secrets.randbits(63) | 1,
    ) -> None:
        self._ttl, self._clock, self._new_stamp = ttl, clock, new_stamp
        self._browsing = Browsing(prefix)
        self._all_new = 0  # batches in a row whose items were all new; just a guess
        self.meaning = None if settings is None else Meaning(settings, ttl, cache_bytes)

    def setup(self) -> Plan[None]:
        """Create what is missing; only reads when there is nothing to do."""
        _, missing = yield from migrations(STORE_MIGRATIONS, INDEXES)
        for migration in missing:
            yield CreateIndexes(INDEXES[migration.number], ITEMS)
            where = {"_id": migration.number}
            noted = {**where, "applied_at": self._clock()}
            yield from self._write([Op(where, noted, upsert=True)], STORE_MIGRATIONS)
        self._browsing.expect_keys()

    def expect_setup(self) -> Plan[None]:
        """Look for the record of migrations."""
        yield from expect_migrations(STORE_MIGRATIONS, INDEXES)

    @staticmethod
    def _written(
        ops: Sequence[Op], collection: str = ITEMS, *, whole: bool = False
    ) -> Plan[Written]:
        """Make changes. Who upserts the same document at the same time makes it try again, which
        changes nothing that was done already.
        """
        for attempt in count(1):
            written = yield from write_all(ops, whole=whole, collection=collection)
            if written is not None:
                return written
            yield from pause(attempt)
        raise AssertionError("there is always another attempt")

    def _write(self, ops: Sequence[Op], collection: str = ITEMS) -> Plan[int]:
        """Make changes; says how many documents were deleted."""
        return (yield from self._written(ops, collection)).deleted

    # ------------------------------------------------------------------ get, put

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        """Items: one command, and one more where reading moves an expiry."""
        names = [name_of(one.ns, one.key) for one in reads]
        where = {"_id": names[0] if len(names) == 1 else {"$in": names}}
        found = yield from find(Find(where, RECORD, ITEMS))
        records = {one["_id"]: record_of(one) for one in found}
        there = (records.get(name) for name in names)
        shown = [
            None if one is None or self._ttl.is_absent(one.expires_at, now) else one
            for one in there
        ]
        moved = [one for one, read in zip(shown, reads, strict=True) if one and read.refresh]
        yield from self._refresh(moved, now)
        return shown

    def _refresh(self, records: Iterable[Record], now: float) -> Plan[None]:
        horizon = self._ttl.horizon(now)
        ops = [refresh_op(one.name, now, horizon) for one in records if one.is_refresh_due(now)]
        if ops:
            yield from moved_if_possible(self._write(ops), f"one of {len(ops)} items")

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        """Put and delete: one command for the puts and one for the deletes, and the commit where
        they are several and there are transactions; one before that if there are puts that embed
        nothing.

        After some batches whose items were all new, those of the next ones are expected to be new,
        which is less to do for the server. Where that is wrong, that batch is made once more.
        """
        horizon = self._ttl.horizon(now)
        puts = yield from self._with_kept_vectors(puts, now)
        items = [(one, stored(one, self._new_stamp())) for one in puts if one.value is not None]
        if any(fields["keys"] is None for _, fields in items):
            yield from self._browsing.note()
        deletes = [delete_op(one) for one in puts if one.value is None]
        whole = len(puts) > 1 and (yield from server()).has_transactions
        if len(items) > 1 and self._all_new >= _OFTEN:
            ops = [*(new_op(one, fields, now) for one, fields in items), *deletes]
            if (yield from write_all(ops, whole=whole, collection=ITEMS)) is not None:
                return
        ops = [*(put_op(one, fields, now, horizon) for one, fields in items), *deletes]
        written = yield from self._written(ops, whole=whole)
        if len(items) > 1:
            self._all_new = self._all_new + 1 if len(written.made) == len(items) else 0

    def _with_kept_vectors(self, puts: Sequence[Put], now: float) -> Plan[list[Put]]:
        """Puts that embed nothing, with the vectors that their items have of texts that they have,
        too. Whoever puts such an item meanwhile is overwritten: its vectors are of these texts.
        """
        unchanged = {name_of(one.ns, one.key): one.unchanged for one in puts}
        names = [name for name, texts in unchanged.items() if texts is not None]
        kept: dict[str, list[Vector]] = {}
        if names:
            where = {"_id": {"$in": names}, "stamp": {"$exists": True}}
            for document in (yield from find(Find(where, TEXTS, ITEMS))):
                texts = unchanged[document["_id"]]
                if texts and not self._ttl.is_absent(document["expires_at"], now):
                    kept[document["_id"]] = vectors_of(document, texts)
        return [
            one._replace(vectors=kept.get(name_of(one.ns, one.key), one.vectors)) for one in puts
        ]

    # ------------------------------------------------------------------ search

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        """Items found: see `Browsing` and `Meaning`; one command more to move an expiry."""
        if search.vector is not None and self.meaning is not None:
            found = yield from self.meaning.search(search, search.vector, now)
        else:
            records = yield from self._browsing.search(search, self._ttl.horizon(now))
            found = [Found(record) for record in records]
        if search.refresh:
            yield from self._refresh([one.record for one in found], now)
        return found

    def namespaces(self, query: NamespaceQuery, now: float) -> Plan[Iterable[str]]:
        """Namespaces: one command."""
        return (yield from seek_namespaces(query, self._ttl.horizon(now)))

    # ------------------------------------------------------------------ expiry, size

    def sweep(self, now: float) -> Plan[int]:
        """Remove what has expired: one command."""
        return (yield from self._write([Op({"expires_at": {"$lte": now}})]))

    def stats(self) -> Plan[StoreStats]:
        """Count items, their vectors, and bytes as BSON, before compression."""
        found = yield from server()
        sums = {"items": 1, "vectors": "$count", "bytes": {"$bsonSize": "$$ROOT"}}
        group = {"_id": None, **{name: {"$sum": one} for name, one in sums.items()}}
        (all_,) = (yield from documents([{"$group": group}], ITEMS)) or [dict.fromkeys(sums, 0)]
        told = f"{found.version}, {found.topology}"
        return StoreStats("mongo", told, all_["items"], all_["vectors"], all_["bytes"])
