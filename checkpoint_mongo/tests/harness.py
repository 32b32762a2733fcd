"""How the conformance suite opens the MongoDB savers, and looks into their database."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pymongo import MongoClient

from checkpoint_mongo import AsyncMongoDBSaver, MongoDBSaver
from checkpoint_mongo.bson_ops import server_of
from checkpoint_mongo.planner import MongoPlanner
from conformance_tests import Capability, MovableClock, SaverHarness
from conformance_tests.harness import FaultHooks
from tests.servers.mongo import SERVERS

# gives up soon; asks only once whether the server is there, which is no round trip of a saver
IMPATIENT = "serverSelectionTimeoutMS=1500&connectTimeoutMS=1500&socketTimeoutMS=5000"
IMPATIENT += "&heartbeatFrequencyMS=60000"

KINDS = {"": "threads", "b": "values", "c": "checkpoints", "s": "segments", "cw": "writes"}


class OnServer(FaultHooks):
    """What can be done to the server of a harness.

    Attributes:
        url: The server, and how to connect.
        db_name: The database.
    """

    url: str
    db_name: str
    ends_when_full = True

    @cached_property
    def client(self) -> MongoClient[Any]:
        """A look behind everybody's back."""
        return MongoClient(self.url)

    def address(self) -> tuple[str, int]:
        found = urlsplit(self.url)
        return str(found.hostname), int(found.port or 27017)

    def url_at(self, host: str, port: int) -> str:
        """The same server by way of another address, which is given up on soon."""
        at = urlsplit(self.url)
        named = at.netloc.rpartition("@")[0]  # user and password, on somebody's own server
        netloc = f"{named}@{host}:{port}" if named else f"{host}:{port}"
        # or else a replica set would tell where it really is
        query = f"{at.query}&{IMPATIENT}" if at.query else IMPATIENT
        if "directConnection" not in query:
            query += "&directConnection=true"
        return at._replace(netloc=netloc, path=at.path or "/", query=query).geturl()

    def server_killed(self) -> AbstractContextManager[None]:
        return SERVERS[self.address()[1]].killed()

    def disk_full(self) -> AbstractContextManager[None]:
        return SERVERS[self.address()[1]].full()

    def not_offered(self) -> dict[Capability, str]:
        missing = super().not_offered()
        server = SERVERS.get(self.address()[1])
        if server is None:
            for each in (Capability.SERVER_DEATH, Capability.STORE_SERVER_DEATH):
                missing[each] = "the server is somebody else's: nobody kills it"
        if not hasattr(server, "full"):
            for each in (Capability.DISK_FULL, Capability.STORE_DISK_FULL):
                missing[each] = "the disk is that of somebody's machine"
        return missing

    def version(self) -> str:
        admin = self.client.admin
        found = server_of(admin.command("hello"), admin.command("buildInfo"))
        return f"{found.version}, {found.topology}"

    def location(self) -> str:
        return f"{self.url} {self.db_name}"

    @classmethod
    def reopen(cls, location: str) -> Any:
        return cls(*location.split())

    def close(self) -> None:
        if self.address()[1] not in SERVERS:  # what the run's own server has ends with it
            self.client.drop_database(self.db_name)
        self.client.close()


class MongoHarness(OnServer, SaverHarness):
    """A database; sync and async savers open it side by side."""

    name = "mongo"
    budgets: ClassVar[Mapping[str, int]] = {
        "put": 2,
        "put_writes": 1,
        "get_tuple": 2,
        "list": 2,
        "delete_thread": 2,
    }

    def __init__(self, url: str, db_name: str | None = None) -> None:
        self.url = url
        self.db_name = db_name or f"saver_{secrets.token_hex(6)}"
        self.clock = MovableClock()

    @contextmanager
    def open(self, **options: Any) -> Iterator[MongoDBSaver]:
        opened = MongoDBSaver.from_conn_string(
            self.url, db_name=self.db_name, clock=self.clock, **options
        )
        with opened as saver:
            saver.setup()
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncMongoDBSaver]:
        opened = AsyncMongoDBSaver.from_conn_string(
            self.url, db_name=self.db_name, clock=self.clock, **options
        )
        async with opened as saver:
            await saver.setup()
            yield saver

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def through(self, host: str, port: int) -> MongoHarness:
        return MongoHarness(self.url_at(host, port), self.db_name)

    @property
    def records(self) -> Any:
        """The collection."""
        return self.client[self.db_name]["saver_records"]

    def rows(self) -> Mapping[str, int]:
        counts = dict.fromkeys(KINDS.values(), 0)
        for document in self.records.find({}, {"key": 1, "writes": 1, "values": 1}):
            kind = KINDS[document["key"].partition("\0")[0]]
            counts[kind] += len(document["writes"]) if kind == "writes" else kind != "values"
            counts["values"] += len(document.get("values", ()))
        return counts

    def stored(self) -> bytes:
        return b"\0".join(
            document.raw
            for document in self.client[self.db_name]
            .get_collection("saver_records", codec_options=_raw())
            .find()
        )

    def damage(self) -> None:
        segment = self.records.find_one({"data": {"$exists": True}, "digests": {"$exists": True}})
        if segment is None:
            raise LookupError("no segment is stored")
        data = bytearray(segment["data"])
        data[len(data) // 2] ^= 1
        self.records.update_one({"_id": segment["_id"]}, {"$set": {"data": bytes(data)}})


def _raw() -> Any:
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    return CodecOptions(document_class=RawBSONDocument)


def short_lived(saver: MongoDBSaver) -> MongoPlanner:
    """A write that never ended is dead at once."""
    planner = saver._planner
    assert isinstance(planner, MongoPlanner)
    planner._stale = 0.0
    return planner
