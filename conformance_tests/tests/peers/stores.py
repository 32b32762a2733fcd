"""Harnesses of other packages' stores."""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from langgraph.store.memory import InMemoryStore

from conformance_tests import Place, StoreHarness
from conformance_tests.contract.verdicts import not_looked_at
from conformance_tests.tests.peers.savers import class_at
from conformance_tests.tests.peers.servers import SERVERS


class PeerStore(StoreHarness):
    """One of them on an empty database.

    Attributes:
        package: The distribution that it comes from.
        sync, asynchronous: Where its classes are.
    """

    package: str
    sync: str
    asynchronous: str

    def arguments(self) -> tuple[Any, ...]:
        """What `from_conn_string` is given."""
        raise NotImplementedError

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those that the package takes."""
        return {name: value for name, value in given.items() if value is not None}

    @contextmanager
    def open(self, *_: Any, **options: Any) -> Iterator[Any]:
        opened = class_at(self.sync).from_conn_string(*self.arguments(), **self.options(options))
        with opened as store:
            if hasattr(store, "setup"):
                store.setup()
            yield store

    @asynccontextmanager
    async def aopen(self, *_: Any, **options: Any) -> AsyncIterator[Any]:
        if self.asynchronous == self.sync:
            with self.open(**options) as store:
                yield store
            return
        kind = class_at(self.asynchronous)
        async with kind.from_conn_string(*self.arguments(), **self.options(options)) as store:
            await store.setup()
            yield store

    def version(self) -> str:
        return f"{self.package} {importlib.metadata.version(self.package)}"


class InMemory(PeerStore):
    name = "InMemoryStore"
    place = Place.MEMORY
    package = "langgraph-checkpoint"

    def __init__(self) -> None:
        self.plain = InMemoryStore()
        self.used = False

    @contextmanager
    def open(self, *, index: Any = None) -> Iterator[Any]:
        if index and self.plain.index_config is None:
            if self.used:
                not_looked_at("what has no index cannot be opened with one: it is an object")
            self.plain = InMemoryStore(index=index)
        self.used = True
        yield self.plain  # the same one each time it is opened

    @asynccontextmanager
    async def aopen(self, *, index: Any = None) -> AsyncIterator[Any]:
        with self.open(index=index) as store:
            yield store


class Sqlite(PeerStore):
    name = "SqliteStore"
    place = Place.FILES
    package = "langgraph-checkpoint-sqlite"
    sync = "langgraph.store.sqlite:SqliteStore"
    asynchronous = "langgraph.store.sqlite.aio:AsyncSqliteStore"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "peer.db"

    def arguments(self) -> tuple[Any, ...]:
        return (str(self.path),)

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = super().options(given)
        if "fields" in found.get("index", {}):
            index = dict(found["index"])
            found["index"] = {**index, "text_fields": index.pop("fields")}  # its own name for them
        return found


class OnServer(PeerStore):
    """On a server that is started once; the database is this harness's own."""

    kind: str

    def __init__(self) -> None:
        self.database = SERVERS[self.kind]()

    def arguments(self) -> tuple[Any, ...]:
        return self.database.arguments

    def close(self) -> None:
        self.database.drop()


class Postgres(OnServer):
    name = "PostgresStore"
    kind = "postgres"
    package = "langgraph-checkpoint-postgres"
    sync = "langgraph.store.postgres:PostgresStore"
    asynchronous = "langgraph.store.postgres.aio:AsyncPostgresStore"


class Redis(OnServer):
    name = "RedisStore"
    kind = "redis"
    package = "langgraph-checkpoint-redis"
    sync = "langgraph.store.redis:RedisStore"
    asynchronous = "langgraph.store.redis:AsyncRedisStore"


class MongoDB(OnServer):
    name = "MongoDBStore"
    kind = "mongodb"
    package = "langgraph-store-mongodb"
    sync = asynchronous = "langgraph.store.mongodb:MongoDBStore"

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if {name for name, value in given.items() if value is not None}:
            not_looked_at("its index needs Atlas Vector Search, which SecantusDB has not")
        return {}
