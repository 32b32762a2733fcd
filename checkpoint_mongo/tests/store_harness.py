"""How the conformance suite opens the MongoDB stores, and looks into their database."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from checkpoint_mongo import AsyncMongoDBStore, MongoDBStore
from checkpoint_mongo.tests.harness import OnServer
from checkpoint_mongo.tests.unclosed import noted
from conformance_tests import MovableClock, StoreHarness


class MongoStoreHarness(OnServer, StoreHarness):
    """A database; sync and async stores open it side by side."""

    name = "mongo-store"
    options: Mapping[str, Any] = {}
    engine: Mapping[str, Any] = {"engine": "exact"}

    def __init__(self, url: str, db_name: str | None = None) -> None:
        self.url = url
        self.db_name = db_name or f"saver_{secrets.token_hex(6)}"
        self.clock = MovableClock()

    def _arguments(self, **options: Any) -> dict[str, Any]:
        return {"db_name": self.db_name, "clock": self.clock, **self.options, **options}

    @contextmanager
    def open(self, **options: Any) -> Iterator[MongoDBStore]:
        with MongoDBStore.from_conn_string(self.url, **self._arguments(**options)) as store:
            store.setup()
            yield store

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncMongoDBStore]:
        opened = AsyncMongoDBStore.from_conn_string(self.url, **self._arguments(**options))
        async with noted(opened) as store:
            await store.setup()
            yield store

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    @property
    def items(self) -> Any:
        """The collection, behind the store's back."""
        return self.client[self.db_name]["store_items"]

    def rows(self) -> Mapping[str, int]:
        items = list(self.items.find({}, {"vectors": 1}))
        vectors = sum(len(one.get("vectors", ())) for one in items)
        return {"items": len(items), "vectors": vectors}

    def through(self, host: str, port: int) -> StoreHarness:
        return type(self)(self.url_at(host, port), self.db_name)

    def end_what_is_left(self) -> None:
        # what the server does by itself after transactionLifetimeLimitSeconds, a minute
        self.client.admin.command("killAllSessions", [])


class WithoutCache(MongoStoreHarness):
    """Vectors that are more than the cache may hold are read at each search."""

    options: Mapping[str, Any] = {"cache_bytes": 0}
