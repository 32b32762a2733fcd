"""The cache planner shared by SQLite and Postgres, over named SQL statements."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from checkpoint_base.cache.entries import AFTER_DIGITS, CacheEntry
from checkpoint_base.cache.planner import CacheStats
from checkpoint_base.plan import Plan, read
from checkpoint_base.sql.migrations import Migration
from checkpoint_base.sql.requests import row, rows
from checkpoint_base.sql.setup import SqlSetup, StoreSchema


class StatementCachePlanner(SqlSetup):
    """All plans of a cache in SQL, except `put`.

    Args:
        schema: the named statements, and the clock that dates applied migrations.
        migrations: the schema's migrations.
    """

    backend: ClassVar[str]

    def __init__(self, schema: StoreSchema, migrations: Sequence[Migration]) -> None:
        self._cache_schema = schema
        self._queries = schema.queries
        self._migrations = migrations

    @property
    def _setup_schema(self) -> StoreSchema:
        return self._cache_schema

    @abstractmethod
    def _change(self, name: str, values: Sequence[Any] = ()) -> Plan[int]:
        """Run one writing statement in a transaction of its own; returns the rows changed."""

    def get(self, ids: Sequence[str], now: float) -> Plan[list[CacheEntry]]:
        """Read entries: one statement."""
        found = yield from rows(self._queries["get"], (json.dumps(ids), now))
        return [CacheEntry(digest, bytes(data), expires_at) for digest, data, expires_at in found]

    def delete(self, ids: Sequence[str]) -> Plan[None]:
        """Remove entries: one statement."""
        yield from self._change("delete", (json.dumps(ids),))

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        """Remove the entries of these namespaces, or all: one statement."""
        if namespace_ids is None:
            yield from self._change("clear")
        elif namespace_ids:
            ranges = [(digest, digest + AFTER_DIGITS) for digest in namespace_ids]
            yield from self._change("clear_some", (json.dumps(ranges),))

    def sweep(self, now: float) -> Plan[int]:
        """Remove expired entries: one statement."""
        return (yield from self._change("sweep", (now,)))

    def trim(self, max_bytes: int) -> Plan[int]:
        """Remove the oldest-stored entries: one statement."""
        return (yield from self._change("trim", (max_bytes,)))

    def stats(self) -> Plan[CacheStats]:
        """Count rows and bytes: one read transaction."""
        return (yield from read(self._stats))

    def _stats(self) -> Plan[CacheStats]:
        ((server,),) = yield from rows(self._queries["server_version"])
        entries, size = (yield from row(self._queries["stats"])) or (0, 0)
        return CacheStats(backend=self.backend, server=server, entries=entries, bytes=int(size))
