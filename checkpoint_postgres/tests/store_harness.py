"""How the conformance suite opens the Postgres stores, and looks into their database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from checkpoint_postgres import AsyncPostgresStore, PostgresStore
from checkpoint_postgres.tests.harness import OTHERS, POOL, OnServer, looks
from conformance_tests import MovableClock, StoreHarness

SCHEMA = "memories"


_SET_UP: Final[set[tuple[str, str | None]]] = set()
"""Databases, and owners of the schema, whose tables are there in this process's eyes."""
COLUMNS: Final = 5
"""Of a table of embeddings without any of pgvector's."""


class PostgresStoreHarness(OnServer, StoreHarness):
    """A schema; sync and async stores open it side by side. `setup` builds every index at once.

    Tables without pgvector's columns stay and are emptied: making them takes longer than most
    clauses.

    Args:
        url: its database, which outlives it, with the extension if it was made there.
        engine: what an index is configured with.
        role: who the stores are, if not the owner of everything.
    """

    def __init__(self, url: str, engine: Mapping[str, Any], role: str | None = None) -> None:
        self.url, self.engine, self.role = url, engine, role
        self.clock, self.pool = MovableClock(), POOL
        ann = engine.get("ann_index_config", {})
        kind = "halfvec" if ann.get("vector_type") == "halfvec" else ann.get("kind")
        self.name = f"postgres-{kind or 'exact'}"

    @property
    def _arguments(self) -> dict[str, Any]:
        url = self.url.replace("//postgres@", f"//{self.role}@") if self.role else self.url
        more = {"schema": SCHEMA, "clock": self.clock, "indexed_from": 0}
        return {"conn_string": url, "pool": self.pool, **more}

    @contextmanager
    def open(self, **options: Any) -> Iterator[PostgresStore]:
        with PostgresStore.from_conn_string(**self._arguments, **options) as store:
            if self._needs_setup(options):
                store.setup()
                _SET_UP.add((self.url, self.role))
            yield store

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncPostgresStore]:
        opened = AsyncPostgresStore.from_conn_string(**self._arguments, **options)
        async with opened as store:
            if self._needs_setup(options):
                await store.setup()
                _SET_UP.add((self.url, self.role))
            yield store

    def _needs_setup(self, options: Mapping[str, Any]) -> bool:
        makes_indexes = "index" in options or "filter_fields" in options
        return makes_indexes or (self.url, self.role) not in _SET_UP

    def through(self, host: str, port: int) -> PostgresStoreHarness:
        far = PostgresStoreHarness(self.url_at(host, port), self.engine, self.role)
        far.pool = {**POOL, "timeout": 0.4}
        return far

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    @contextmanager
    def reading_only(self) -> Iterator[PostgresStoreHarness]:
        with self.reader() as role:
            restricted = PostgresStoreHarness(self.url, self.engine, role)
            restricted.clock = self.clock
            yield restricted

    def query(self, sql: str) -> list[Any]:
        """Raw read."""
        with looks(self.url).connection() as connection:
            return connection.execute(sql.encode()).fetchall()

    def rows(self) -> Mapping[str, int]:
        if self.query(f"SELECT to_regclass('{SCHEMA}.store_items')") == [(None,)]:
            return {"items": 0, "vectors": 0}
        counts = f"(SELECT count(*) FROM {SCHEMA}.store_%s)"
        sql = f"SELECT {counts % 'items'}, {counts % 'embeddings'}"
        return dict(zip(("items", "vectors"), self.query(sql)[0], strict=True))

    def version(self) -> str:
        ((server, vector),) = self.query(
            "SELECT current_setting('server_version'), "
            "(SELECT default_version FROM pg_available_extensions WHERE name = 'vector')"
        )
        return f"Postgres {server}" + ("" if "exact" in self.name else f", pgvector {vector}")

    def location(self) -> str:
        return json.dumps([self.url, dict(self.engine), self.role])

    @classmethod
    def reopen(cls, location: str) -> StoreHarness:
        return cls(*json.loads(location))

    def close(self) -> None:
        """Terminate the remaining connections, and empty the tables."""
        self.query(OTHERS)
        columns = self.query(
            "SELECT count(*) FROM pg_attribute WHERE attnum > 0 "
            f"AND attrelid = to_regclass('{SCHEMA}.store_embeddings')"
        )
        if columns != [(COLUMNS,)]:
            self.remove()
            return
        with looks(self.url).connection() as connection:
            for table in ("store_items", "store_embeddings"):
                connection.execute(f"DELETE FROM {SCHEMA}.{table}".encode())

    def remove(self) -> None:
        """Remove the schema; a role has an empty one again."""
        _SET_UP.discard((self.url, self.role))
        with looks(self.url).connection() as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
            if self.role:
                connection.execute(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {self.role}".encode())
