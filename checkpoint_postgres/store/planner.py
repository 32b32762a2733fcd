"""Plans of a store on Postgres: the statements of each operation, in their order."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from checkpoint_base.plan import Plan, in_callers_transaction, read, unlimited, write
from checkpoint_base.saver.ttl.refresh import refresh_ttl_best_effort
from checkpoint_base.sql.requests import execute, row, rows
from checkpoint_base.sql.setup import SqlSetup, StoreSchema
from checkpoint_postgres.connection.requests import attempt, keeping_settings
from checkpoint_postgres.saver.statements import (
    statements,
    store_migrations,
    store_statement,
    store_statements,
)
from checkpoint_postgres.store.filters import setup_indexes
from checkpoint_postgres.store.reading import Browsing
from checkpoint_postgres.store.vector_search import PostgresVectorSearch
from checkpoint_postgres.store.vectors import Engine, is_new_enough, text_of_bytes
from store_vector.config import IndexSettings, StoreTTL
from store_vector.namespaces import NamespaceQuery
from store_vector.records import Found, Name, Put, Read, Record, Search, StoreStats

INDEXED_FROM: Final = 5000
"""Default of how many vectors there must be before `setup` builds an approximate index."""

_CONVERTED_AT_ONCE: Final = 500
_LOOK_AGAIN: Final = 60.0  # seconds
_DEEPEST: Final = 1 << 20
_log = logging.getLogger("checkpoint_postgres.store")


class PostgresStorePlanner(SqlSetup):
    """Plans of a store on Postgres.

    Args:
        settings: of vector search; None: no vector search.
        ttl: how items expire.
        clock: gives epoch seconds, which are stored with each migration.
        schema: the schema of the tables.
        indexed_from: how many vectors there must be before `setup` builds an approximate index.
        fields: the paths of declared fields, as in `filter_keys`.
    """

    database = "this Postgres schema"

    def __init__(
        self,
        settings: IndexSettings | None,
        ttl: StoreTTL,
        clock: Callable[[], float] = time.time,
        schema: str = "public",
        indexed_from: int = INDEXED_FROM,
        *,
        fields: Sequence[str] = (),
    ) -> None:
        self._schema = schema
        self._fields = fields
        self._queries = store_statements(schema)
        self._browsing = Browsing(self._queries, fields)
        self._savers = statements(schema)
        self._migrations = store_migrations(schema)
        self._store_schema = StoreSchema(self._queries, clock)
        self._ttl = ttl
        self._settings = settings
        self._meaning = None if settings is None else PostgresVectorSearch(self._queries, settings)
        self._indexed_from = indexed_from
        self._engine: Engine | None = None
        self._is_exact = settings is None or settings.engine == "exact"
        self._looked_at = -math.inf
        self._has_warned = False

    @property
    def _setup_schema(self) -> StoreSchema:
        return self._store_schema

    def _filled(self, name: str, **named: str) -> str:
        return store_statement(self._schema, name, **named)

    # ------------------------------------------------------------------ setup

    def setup(self, drop_undeclared: bool = False) -> Plan[None]:
        """Create or migrate the schema, pgvector's column and indexes, and the indexes of declared
        fields. With `drop_undeclared`, drop the indexes of other fields.
        """
        yield from unlimited(self._set_up(drop_undeclared))

    def _set_up(self, drop_undeclared: bool) -> Plan[None]:
        if (yield from read(self._missing)):
            yield from write(self._create)
        lock = self._savers["lock_setup"]
        yield from setup_indexes(self._queries, lock, self._fields, drop_undeclared=drop_undeclared)
        if self._settings is None or self._is_exact:
            return
        engine = yield from write(self._equip, self._settings)
        if engine is not None:
            yield from self._convert(engine)
            yield from write(self._build, engine)
        if not (yield from in_callers_transaction()):  # which may be rolled back
            self._engine = engine

    def _create(self) -> Plan[None]:
        yield from rows(self._savers["lock_setup"])
        if not (yield from rows(self._savers["has_schema"])):
            yield from execute(self._savers["create_schema"])
        yield from self._migrate()

    def _equip(self, settings: IndexSettings) -> Plan[Engine | None]:
        """Create the extension and a column of its type, if they are missing and this role may.
        None: there is no pgvector that can be used.
        """
        yield from rows(self._savers["lock_setup"])
        ((version, schema, is_possible),) = yield from rows(self._queries["extension"])
        if version is None and is_possible:
            yield from execute(self._queries["create_extension"])
            ((version, schema, _),) = yield from rows(self._queries["extension"])
        engine = self._engine_of(settings, version, schema)
        if engine and not (yield from rows(self._queries["has_column"], (engine.column,))):
            table = self._queries["embeddings"]
            yield from execute(f"ALTER TABLE {table} ADD COLUMN {engine.column} {engine.type}")
        return engine

    def _engine_of(
        self, settings: IndexSettings, version: str | None, schema: str | None
    ) -> Engine | None:
        if version is None or schema is None or not is_new_enough(version):
            self._warn("is not there" if version is None else f"is version {version}, before 0.8")
            return None
        return Engine(settings, schema)

    def _warn(self, there: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "pgvector %s: search by meaning is exact, and reads all vectors that pass namespace"
                " and filter. It is used when a role that may make it calls setup()",
                there,
            )

    def _convert(self, engine: Engine) -> Plan[None]:
        """Fill pgvector's column in rows that were put without it. Nothing is locked if there are
        none, so that a role that may only read can call `setup`.
        """
        any_left = self._filled("any_unconverted", missing=engine.unconverted)
        while (yield from rows(any_left)) and (yield from write(self._convert_some, engine)):
            pass

    def _convert_some(self, engine: Engine) -> Plan[bool]:
        """Convert some rows; returns whether there were any. They are locked, so that no put
        replaces their vectors meanwhile.
        """
        unconverted = self._filled("unconverted", missing=engine.unconverted)
        found = yield from rows(unconverted, (_CONVERTED_AT_ONCE,))
        entries = [
            {"ns": ns, "key": key, "digest": digest, "vector": text_of_bytes(data)}
            for ns, key, digest, data in found
        ]
        if entries:
            convert = self._filled("convert", column=engine.column, type=engine.type)
            yield from execute(convert, (json.dumps(entries),))
        return bool(entries)

    def _build(self, engine: Engine) -> Plan[None]:
        """Build the index of unconverted rows and, once there are enough vectors, the approximate
        index.
        """
        queries = self._queries
        yield from rows(self._savers["lock_setup"])
        if not (yield from rows(self._filled("has_index", index=engine.unconverted_index))):
            yield from execute(engine.unconverted_index_statement(queries))
        if not engine.is_approximate:
            return
        if (yield from rows(self._filled("has_index", index=engine.index))):
            return
        count_of = self._filled("count_embeddings", column=engine.column)
        ((count,),) = yield from rows(count_of, (self._indexed_from,))
        if count < self._indexed_from:
            return
        count_of = self._filled("all_embeddings", column=engine.column)
        ((count,),) = yield from rows(count_of)
        needed = min(count * (6 * engine.settings.dims + 1000), 1 << 30)
        build = self._build_with(needed, engine.index_statement(queries, count))
        yield from keeping_settings(["maintenance_work_mem"], build)

    def _build_with(self, memory: int, statement: str) -> Plan[None]:
        yield from rows(self._queries["give_memory"], (memory,))
        yield from execute(statement)

    def _look(self, now: float) -> Plan[Engine | None]:
        """The engine. While there is none, check every _LOOK_AGAIN seconds whether another process
        has set it up.
        """
        is_due = self._engine is None and abs(now - self._looked_at) >= _LOOK_AGAIN
        if not is_due or self._settings is None or self._is_exact:
            return self._engine
        ((version, schema, _),) = yield from rows(self._queries["extension"])
        engine = self._engine_of(self._settings, version, schema)
        if engine and not (yield from rows(self._queries["has_column"], (engine.column,))):
            engine = None
        if not (yield from in_callers_transaction()):
            self._engine, self._looked_at = engine, now
        return engine

    # ------------------------------------------------------------------ get

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        """Read items: one statement, and another if it refreshes a TTL."""
        if len(reads) == 1:
            ns, key, _ = reads[0]
            found = [(1, *one) for one in (yield from rows(self._queries["get"], (ns, key)))]
        else:
            found = yield from rows(self._queries["get_some"], (json.dumps(_columns(reads)),))
        horizon = self._ttl.horizon(now)
        shown: list[Record | None] = [None] * len(reads)
        moved: list[Name] = []
        for place, value, created_at, updated_at, expires_at, ttl in found:
            if horizon is None or expires_at is None or expires_at > horizon:
                ns, key, refresh = reads[place - 1]
                record = Record(ns, key, value, created_at, updated_at, expires_at, ttl)
                shown[place - 1] = record
                if refresh and ttl is not None and record.is_refresh_due(now):
                    moved.append(Name(ns, key))
        yield from self._move(moved, now)
        return shown

    def _move(self, names: Sequence[Name], now: float) -> Plan[None]:
        if names:
            values = [*_columns(sorted(names)), now, self._ttl.horizon(now)]
            refresh = execute(self._queries["moved"], values)
            yield from refresh_ttl_best_effort(refresh, f"one of {len(names)} items")

    # ------------------------------------------------------------------ search

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        """Search items: one statement if it finds enough, and another if it refreshes a TTL."""
        horizon = self._ttl.horizon(now)
        if search.vector is None or self._meaning is None:
            records = yield from self._browsing.search(search, horizon)
            found = [Found(record) for record in records]
        else:
            engine = yield from self._look(now)
            found = yield from self._meaning.search(engine, search, horizon)
        found = search.near_enough(found)
        if search.refresh:
            names = [one.record.name for one in found if one.record.is_refresh_due(now)]
            yield from self._move(names, now)
        return found

    def namespaces(self, query: NamespaceQuery, now: float) -> Plan[Iterable[str]]:
        """List namespaces: one statement, which does one index lookup for each."""
        first, end = query.bounds or ("", None)
        depth, enough = _DEEPEST, None
        if query.is_one_range:
            depth = query.max_depth or _DEEPEST
            enough = query.offset + query.limit
        values = (first, end, depth, enough, self._ttl.horizon(now))
        return [ns for (ns,) in (yield from rows(self._queries["namespaces"], values))]

    # ------------------------------------------------------------------ put

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        """Put and delete: one statement if the store has no embeddings, else one transaction."""
        puts = sorted(puts, key=lambda one: (one.ns, one.key))  # avoids deadlocks
        values = (json.dumps([_entry(one) for one in puts]), now, self._ttl.horizon(now))
        if not any(one.vectors for one in puts):
            name = "put_plain" if any(one.value is None for one in puts) else "put_only"
            if (yield from attempt(self._queries[name], values)):
                return
        engine = yield from self._look(now)
        yield from write(partial(self._put, puts, values, engine))

    def _put(self, puts: Sequence[Put], values: Sequence[Any], engine: Engine | None) -> Plan[None]:
        items, _, horizon = values
        unchanged = {
            Name(one.ns, one.key): one.unchanged for one in puts if one.unchanged is not None
        }
        if any(one.value is None for one in puts):
            yield from execute(self._queries["delete_items"], (items,))
        if any(one.value is not None for one in puts):
            may_expire = unchanged and horizon is not None
            name = "put_after_expiry" if may_expire else "put_items"
            yield from execute(self._queries[name], values)
        column = value = ""
        if engine is not None:
            column = f", {engine.column}"
            value = f", p.vector::{engine.type}"
        sql = self._filled("put_embeddings", column=column, value=value)
        others = yield from rows(sql, (*_embeddings(puts, engine), items))
        stale = [
            {"ns": ns, "key": key, "digest": digest}
            for ns, key, field, digest in others
            if not unchanged[Name(ns, key)].has(field, digest)
        ]
        if stale:
            yield from execute(self._queries["drop_embeddings"], (json.dumps(stale),))

    # ------------------------------------------------------------------ expiry, size

    def sweep(self, now: float) -> Plan[int]:
        """Remove expired items, and return their number: one statement."""
        ((count,),) = (yield from attempt(self._queries["sweep"], (now,))) or [(0,)]
        return int(count)

    def stats(self) -> Plan[StoreStats]:
        """Count rows and bytes: one read transaction."""
        return (yield from read(self._stats))

    def _stats(self) -> Plan[StoreStats]:
        ((server,),) = yield from rows(self._queries["server_version"])
        found = yield from row(self._queries["stats"])
        items, vectors, size = found or (0, 0, 0)
        return StoreStats("postgres", server, items, vectors, size)


def _columns(names: Sequence[Name] | Sequence[Read]) -> list[list[str]]:
    return [[one.ns for one in names], [one.key for one in names]]


def _entry(one: Put) -> dict[str, Any]:
    """A put as its statements read it from JSON, where a missing key is NULL."""
    item: dict[str, Any] = {"ns": one.ns, "key": one.key}
    if one.value is not None:
        item |= {"value": one.value, "keys": one.keys}
    if one.ttl is not None:
        item |= {"expires_at": one.expires_at, "ttl": one.ttl}
    if one.unchanged is not None:
        item |= {"fields": one.unchanged.fields, "digests": one.unchanged.digests}
    return item


def _embeddings(puts: Sequence[Put], engine: Engine | None) -> tuple[str, bytes]:
    """JSON of the embeddings, and their concatenated data."""
    entries: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    texts: dict[bytes, str] = {}
    at = 1  # SQL counts from 1
    for one in puts:
        for field, digest, data in one.vectors:
            place = {"field": field, "digest": digest, "at": at, "size": len(data)}
            entry: dict[str, Any] = {"ns": one.ns, "key": one.key, **place}
            if engine is not None:
                if data not in texts:
                    texts[data] = text_of_bytes(data)
                entry["vector"] = texts[data]
            entries.append(entry)
            pieces.append(data)
            at += len(data)
    return json.dumps(entries), b"".join(pieces)
