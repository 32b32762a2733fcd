"""Harnesses of other packages' savers: `mongodb`, `postgres`, `redis`, `sqlite`, `in_memory`.

Only what their documentation shows is used: the constructors of the quick starts, then `setup`.
None of them takes a clock, so capabilities that need one are not looked at.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from conformance_tests import Place, SaverHarness
from conformance_tests.contract.verdicts import not_looked_at
from conformance_tests.samples import driver_adapter as facade
from conformance_tests.tests.peers.servers import SERVERS

facade.GIVE_UP_AFTER = 8.0  # what waits for itself need not wait for minutes


def class_at(path: str) -> Any:
    """`module:Class`."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class PeerHarness(SaverHarness):
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

    @contextmanager
    def open(self, **options: Any) -> Iterator[Any]:
        with class_at(self.sync).from_conn_string(*self.arguments()) as saver:
            if hasattr(saver, "setup"):
                saver.setup()
            yield with_options(saver, options)

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[Any]:
        if self.asynchronous == self.sync:
            with self.open(**options) as saver:
                yield saver
            return
        async with class_at(self.asynchronous).from_conn_string(*self.arguments()) as saver:
            await (saver.asetup() if hasattr(saver, "asetup") else saver.setup())
            yield with_options(saver, options)

    def version(self) -> str:
        return f"{self.package} {importlib.metadata.version(self.package)}"


def with_options(saver: Any, options: Mapping[str, Any]) -> Any:
    """Serializers are an attribute of every saver of LangGraph's."""
    for name, value in options.items():
        if name != "serde":
            not_looked_at(f"the option {name} is not LangGraph's")
        saver.serde = value
    return saver


class InMemory(PeerHarness):
    name = "InMemorySaver"
    place = Place.MEMORY
    package = "langgraph-checkpoint"

    def __init__(self) -> None:
        self.saver = InMemorySaver()

    @contextmanager
    def open(self, **options: Any) -> Iterator[Any]:
        before = self.saver.serde
        yield with_options(self.saver, options)
        self.saver.serde = before

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[Any]:
        with self.open(**options) as saver:
            yield saver

    def rows(self) -> Mapping[str, int]:
        found = self.saver.storage.values()
        return {
            "checkpoints": sum(len(some) for spaces in found for some in spaces.values()),
            "values": len(self.saver.blobs),
            "writes": sum(map(len, self.saver.writes.values())),
        }

    def stored(self) -> bytes:
        return repr([dict(self.saver.storage), self.saver.blobs, self.saver.writes]).encode()

    def close(self) -> None:
        """Nothing was made."""


class Sqlite(PeerHarness):
    name = "SqliteSaver"
    place = Place.FILES
    package = "langgraph-checkpoint-sqlite"
    sync = "langgraph.checkpoint.sqlite:SqliteSaver"
    asynchronous = "langgraph.checkpoint.sqlite.aio:AsyncSqliteSaver"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "peer.db"

    def arguments(self) -> tuple[Any, ...]:
        return (str(self.path),)

    def rows(self) -> Mapping[str, int]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            tables = [
                row[0]
                for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
                if "migration" not in row[0]
            ]
            return {
                name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                for name in tables
            }

    def stored(self) -> bytes:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return self.path.read_bytes()

    def close(self) -> None:
        """The folder is temporary."""


class OnServer(PeerHarness):
    """On a server that is started once; the database is this harness's own."""

    kind: str

    def __init__(self) -> None:
        self.database = SERVERS[self.kind]()

    def arguments(self) -> tuple[Any, ...]:
        return self.database.arguments

    def rows(self) -> Mapping[str, int]:
        return self.database.rows()

    def stored(self) -> bytes:
        return self.database.stored()

    def close(self) -> None:
        self.database.drop()


class Postgres(OnServer):
    name = "PostgresSaver"
    kind = "postgres"
    package = "langgraph-checkpoint-postgres"
    sync = "langgraph.checkpoint.postgres:PostgresSaver"
    asynchronous = "langgraph.checkpoint.postgres.aio:AsyncPostgresSaver"


class Redis(OnServer):
    name = "RedisSaver"
    kind = "redis"
    package = "langgraph-checkpoint-redis"
    sync = "langgraph.checkpoint.redis:RedisSaver"
    asynchronous = "langgraph.checkpoint.redis.aio:AsyncRedisSaver"


class PlainRedis(OnServer):
    name = "RedisSaver (plainredis)"
    kind = "redis"
    package = "langgraph-checkpoint-plainredis"

    @contextmanager
    def open(self, **options: Any) -> Iterator[Any]:
        saver = class_at("langgraph_checkpoint_plainredis:RedisSaver")(url=self.arguments()[0])
        try:
            yield with_options(saver, options)
        finally:
            saver.client.close()

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[Any]:
        saver = class_at("langgraph_checkpoint_plainredis:AsyncRedisSaver")(url=self.arguments()[0])
        try:
            yield with_options(saver, options)
        finally:
            await saver.client.aclose()


class MongoDB(OnServer):
    name = "MongoDBSaver"
    kind = "mongodb"
    package = "langgraph-checkpoint-mongodb"
    sync = asynchronous = "langgraph.checkpoint.mongodb:MongoDBSaver"
