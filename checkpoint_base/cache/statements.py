"""What the caches on SQLite and Postgres share: a table of entries, and statements by name."""

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
    """Plans over named statements, all of them but that of `put`.

    Args:
        schema: the statements, and the clock for the record of migrations.
        migrations: of the schema.
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
        """Run a statement that writes, by itself; the number of rows it changed."""

    def get(self, ids: Sequence[str], now: float) -> Plan[list[CacheEntry]]:
        """Entries: one statement."""
        found = yield from rows(self._queries["get"], (json.dumps(ids), now))
        return [CacheEntry(digest, bytes(data), expires_at) for digest, data, expires_at in found]

    def delete(self, ids: Sequence[str]) -> Plan[None]:
        """Remove entries: one statement."""
        yield from self._change("delete", (json.dumps(ids),))

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        """Remove the entries of namespaces, or all: one statement."""
        if namespace_ids is None:
            yield from self._change("clear")
        elif namespace_ids:
            ranges = [(digest, digest + AFTER_DIGITS) for digest in namespace_ids]
            yield from self._change("clear_some", (json.dumps(ranges),))

    def sweep(self, now: float) -> Plan[int]:
        """Remove what has expired: one statement."""
        return (yield from self._change("sweep", (now,)))

    def trim(self, max_bytes: int) -> Plan[int]:
        """Remove what was stored longest ago: one statement."""
        return (yield from self._change("trim", (max_bytes,)))

    def stats(self) -> Plan[CacheStats]:
        """Count rows and bytes: one read transaction."""
        return (yield from read(self._stats))

    def _stats(self) -> Plan[CacheStats]:
        ((server,),) = yield from rows(self._queries["server_version"])
        entries, size = (yield from row(self._queries["stats"])) or (0, 0)
        return CacheStats(backend=self.backend, server=server, entries=entries, bytes=int(size))
