"""Plans of a store on SQLite: the statements of each operation, in their order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from checkpoint_base.plan import Plan, read, unlimited, write
from checkpoint_base.saver.ttl.refresh import refresh_ttl_best_effort
from checkpoint_base.sql.migrations import load_migrations, load_queries
from checkpoint_base.sql.requests import Row, execute, execute_many, row, rows
from checkpoint_base.sql.setup import SqlSetup, StoreSchema
from checkpoint_sqlite.saver.reading import BATCH, wanted
from checkpoint_sqlite.store.filters import setup_indexes
from checkpoint_sqlite.store.namespaces import seek_namespaces
from checkpoint_sqlite.store.reading import browse
from checkpoint_sqlite.store.vector_search import SqliteVectorSearch
from store_vector.config import IndexSettings, StoreTTL
from store_vector.namespaces import NamespaceQuery
from store_vector.records import Found, Name, Put, Read, Record, Search, StoreStats

QUERIES: Final = load_queries("checkpoint_sqlite", "store_queries.sql")
MIGRATIONS: Final = load_migrations("checkpoint_sqlite", "store_migrations")
CACHE_BYTES: Final = 1 << 29
"""Limit of the matrix of vectors in memory; if they need more, each search reads the file."""

_REST: Final = "i.value, i.created_at, i.updated_at, i.expires_at, i.ttl"
"""The columns of a `Record` without its name."""
_ONE: Final = f"SELECT 0, {_REST} FROM store_items AS i WHERE i.ns = ? AND i.key = ?"  # noqa: S608
_SOME: Final = (
    f"SELECT want.at, {_REST} FROM want "  # noqa: S608 (a constant)
    "CROSS JOIN store_items AS i ON i.ns = want.ns AND i.key = want.key"
)
_EMBEDDED: Final = (
    "SELECT i.ns, i.key, e.count, e.texts, e.data FROM want "
    "CROSS JOIN store_items AS i ON i.ns = want.a AND i.key = want.b "
    "CROSS JOIN store_embeddings AS e ON e.item = i.id "
    "WHERE ? IS NULL OR i.expires_at IS NULL OR i.expires_at > ?"
)
_KEPT_CHANGES: Final = 20_000


class SqliteStorePlanner(SqlSetup):
    """Plans of a store on SQLite.

    Args:
        settings: of vector search; None: no vector search.
        ttl: how items expire.
        clock: gives epoch seconds, which are stored with each migration.
        cache_bytes: limit of the matrix of vectors in memory.
        fields: the paths of declared fields, as in `filter_keys`.
    """

    database = "this SQLite database"

    def __init__(
        self,
        settings: IndexSettings | None,
        ttl: StoreTTL,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        fields: Sequence[str] = (),
    ) -> None:
        self._migrations = MIGRATIONS
        self._fields = fields
        self._store_schema = StoreSchema(QUERIES, clock)
        self._ttl = ttl
        self._meaning = (
            None
            if settings is None
            else SqliteVectorSearch(settings, QUERIES, ttl, cache_bytes, fields)
        )

    @property
    def _setup_schema(self) -> StoreSchema:
        return self._store_schema

    def setup(self, drop_undeclared: bool = False) -> Plan[None]:
        """Create or migrate the schema, and create the missing indexes of declared fields; only
        reads if there is nothing to do. With `drop_undeclared`, drop the indexes of other fields.
        """
        yield from super().setup()
        yield from unlimited(setup_indexes(self._fields, drop_undeclared=drop_undeclared))

    # ------------------------------------------------------------------ get

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        """Read items: one statement, or a read transaction for more than BATCH of them; and a write
        if it refreshes a TTL.
        """
        if len(reads) == 1:
            rest = yield from rows(_ONE, reads[0][:2])
        elif len(reads) <= BATCH:
            rest = yield from _rest(reads)
        else:
            rest = yield from read(_all_rest, reads)
        horizon = self._ttl.horizon(now)
        found: list[Record | None] = [None] * len(reads)
        moved: list[Name] = []
        for at, value, created_at, updated_at, expires_at, ttl in rest:
            if horizon is None or expires_at is None or expires_at > horizon:
                ns, key, refresh = reads[at]
                record = Record(ns, key, value, created_at, updated_at, expires_at, ttl)
                found[at] = record
                if refresh and ttl is not None and record.is_refresh_due(now):
                    moved.append(Name(ns, key))
        if moved:
            yield from self._refresh(moved, now)
        return found

    def _refresh(self, names: Sequence[Name], now: float) -> Plan[None]:
        if names:
            horizon = self._ttl.horizon(now)
            values = [(now, *name, horizon) for name in names]
            refresh = write(partial(execute_many, QUERIES["refresh_item"], values))
            yield from refresh_ttl_best_effort(refresh, f"one of {len(names)} items")

    # ------------------------------------------------------------------ search

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        """Search items: one read transaction, or one to three statements without query and filter;
        and a write if it refreshes a TTL.
        """
        if search.vector is None or self._meaning is None:
            records = yield from browse(search, self._ttl.horizon(now), self._fields)
            found = [Found(record) for record in records]
        else:
            found = yield from self._meaning.search(search, now)
        found = search.near_enough(found)
        if search.refresh:
            names = [one.name for one, _ in found if one.is_refresh_due(now)]
            yield from self._refresh(names, now)
        return found

    def namespaces(self, query: NamespaceQuery, now: float) -> Plan[Iterable[str]]:
        """List namespaces: one statement, which does one index lookup for each."""
        return (yield from seek_namespaces(query, self._ttl.horizon(now)))

    # ------------------------------------------------------------------ put

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        """Put and delete: one transaction."""
        yield from write(self._put, puts, now)

    def _put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        horizon = self._ttl.horizon(now)
        stored = [one for one in puts if one.value is not None]
        deleted = [(one.ns, one.key) for one in puts if one.value is None]
        if deleted:
            yield from execute_many(QUERIES["delete_item"], deleted)
        bare = [one for one in stored if not one.vectors]
        embedded = [_embeddings(one) for one in stored if one.vectors]
        if bare and (yield from row(QUERIES["has_embeddings"])):
            kept, changed = yield from _unchanged(bare, horizon)
            gone = [(one.ns, one.key) for one in bare if Name(one.ns, one.key) not in kept]
            if gone:
                yield from execute_many(QUERIES["delete_embeddings"], gone)
            embedded += changed
        if stored:
            values = [
                (one.ns, one.key, one.value, now, one.expires_at, one.ttl, horizon, _json(one.keys))
                for one in stored
            ]
            yield from execute_many(QUERIES["put_item"], values)
        if embedded:
            yield from execute_many(QUERIES["put_embeddings"], embedded)
            yield from execute(QUERIES["forget_changes"], (_KEPT_CHANGES,))

    # ------------------------------------------------------------------ expiry, size

    def sweep(self, now: float) -> Plan[int]:
        """Remove expired items, and return their number: one transaction."""
        return (yield from write(partial(execute, QUERIES["sweep"], (now,))))

    def stats(self) -> Plan[StoreStats]:
        """Count rows and bytes: one read transaction."""
        return (yield from read(self._stats))

    def _stats(self) -> Plan[StoreStats]:
        ((server,),) = yield from rows(QUERIES["server_version"])
        ((items, vectors, size),) = yield from rows(QUERIES["stats"])
        return StoreStats("sqlite", server, items, vectors, size)


def _all_rest(reads: Sequence[Read]) -> Plan[list[Row]]:
    found: list[Row] = []
    for first in range(0, len(reads), BATCH):
        some = yield from _rest(reads[first : first + BATCH])
        found += [(first + at, *rest) for at, *rest in some]
    return found


def _rest(reads: Sequence[Read]) -> Plan[list[Row]]:
    """The stored items of `reads`, each with its position there: one statement."""
    values = [part for ns, key, _ in reads for part in (ns, key)]
    return (yield from rows(_of_some(len(reads)), values))


@lru_cache(512)
def _of_some(count: int) -> str:
    names = ", ".join(f"({at}, ?, ?)" for at in range(count))
    return f"WITH want (at, ns, key) AS (VALUES {names}) {_SOME}"


_json: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def _embeddings(one: Put) -> tuple[Any, ...]:
    texts = json.dumps([(vector.field, vector.digest) for vector in one.vectors])
    data = b"".join(vector.data for vector in one.vectors)
    return one.ns, one.key, len(one.vectors), texts, data


def _unchanged(
    puts: Sequence[Put], horizon: float | None
) -> Plan[tuple[set[Name], list[tuple[Any, ...]]]]:
    """Which embeddings the items keep that are put without vectors: those of unchanged texts.

    Returns:
        The items that keep embeddings, and rows with what is left for those that lose some.
    """
    kept: set[Name] = set()
    changed: list[tuple[Any, ...]] = []
    unchanged = {Name(one.ns, one.key): one.unchanged for one in puts if one.unchanged is not None}
    found = yield from wanted(_EMBEDDED, list(unchanged), (horizon, horizon))
    for ns, key, count, texts, data in found:
        name = Name(ns, key)
        pairs = json.loads(texts)
        size = len(data) // count
        stay = [at for at, pair in enumerate(pairs) if unchanged[name].has(*pair)]
        if stay:
            kept.add(name)
        if 0 < len(stay) < count:
            parts = b"".join(data[at * size : (at + 1) * size] for at in stay)
            changed.append((*name, len(stay), json.dumps([pairs[at] for at in stay]), parts))
    return kept, changed
