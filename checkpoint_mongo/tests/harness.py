"""How the conformance suite opens the MongoDB savers, and looks into their database."""

from __future__ import annotations

import atexit
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import cache
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pymongo import MongoClient

from checkpoint_base.tests.damage import COLUMNS, CONTENTS, flipped
from checkpoint_mongo import AsyncMongoDBSaver, MongoDBSaver
from checkpoint_mongo.connection.bson_ops import server_of
from checkpoint_mongo.saver.keys import parts_of
from checkpoint_mongo.tests.unclosed import noted
from conformance_tests import Capability, MovableClock, SaverHarness
from conformance_tests.harness import FaultHooks
from tests.servers.mongo import SERVERS

# gives up soon; asks only once whether the server is there, which is no round trip of a saver
IMPATIENT = "serverSelectionTimeoutMS=1500&connectTimeoutMS=1500&socketTimeoutMS=5000"
IMPATIENT += "&heartbeatFrequencyMS=60000"

READER = "reader"
WRITES = ["insert", "update", "delete", "createIndexes"]

KINDS = ("thread", "checkpoint", "value", "segment", "write", "overflow")


@cache
def client_of(url: str) -> MongoClient[Any]:
    """One client for the harnesses of a process: each would connect anew, for every test."""
    client: MongoClient[Any] = MongoClient(url)
    atexit.register(client.close)
    return client


class OnServer(FaultHooks):
    """What can be done to the server of a harness.

    Attributes:
        url: The server, and how to connect.
        db_name: The database.
    """

    url: str
    db_name: str
    clock: MovableClock
    ends_when_full = True

    @property
    def client(self) -> MongoClient[Any]:
        """A look behind everybody's back."""
        return client_of(self.url)

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

    def not_looked_at(self) -> dict[Capability, str]:
        missing = super().not_looked_at()
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

    @contextmanager
    def reading_only(self) -> Iterator[Any]:
        """The server without users refuses writes of one application as one with users would."""
        harness: Any = type(self)
        restricted = harness(f"{self.url}&appName={READER}", self.db_name)
        restricted.clock = self.clock
        data = {"failCommands": WRITES, "errorCode": 13, "appName": READER}
        fail_point = {"configureFailPoint": "failCommand", "data": data}
        self.client.admin.command({**fail_point, "mode": "alwaysOn"})
        try:
            yield restricted
        finally:
            self.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    def location(self) -> str:
        return f"{self.url} {self.db_name}"

    @classmethod
    def reopen(cls, location: str) -> Any:
        return cls(*location.split())

    def close(self) -> None:
        if self.address()[1] not in SERVERS:  # what the run's own server has ends with it
            self.client.drop_database(self.db_name)


class MongoHarness(OnServer, SaverHarness):
    """A database; sync and async savers open it side by side."""

    name = "mongo"
    # reads end with an abort, which a server that pins snapshot sessions is not sent
    budgets: ClassVar[Mapping[str, int]] = {
        "put": 2,
        "put_writes": 2,
        "get_tuple": 3,
        "list": 4,
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
        async with noted(opened) as saver:
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
        counts = {f"{kind}s": 0 for kind in KINDS}
        for document in self.records.find({}, {"kind": 1}):
            counts[f"{document['kind']}s"] += 1
        return counts

    def stored(self) -> bytes:
        return b"\0".join(
            document.raw
            for document in self.client[self.db_name]
            .get_collection("saver_records", codec_options=_raw())
            .find()
        )

    def damage(self) -> None:
        segment = self.records.find_one({"kind": "segment"})
        if segment is None:
            raise LookupError("no segment is stored")
        self._change(segment, "data")

    def damage_record(self, record: str) -> None:
        table, column = COLUMNS[record]
        wanted = {"kind": table.removesuffix("s"), column: {"$exists": True}}
        if record == "longer value":
            wanted["layout"] = {"$exists": False}
        # of several the first, whose text of versions names a channel
        self._change(self.records.find_one(wanted, sort=[("_id", 1)]), column, record)

    def _change(self, document: Any, column: str, record: str = "") -> None:
        stored = document[column]
        changed: Any = flipped(stored.encode() if isinstance(stored, str) else stored, record)
        changed = changed.decode() if isinstance(stored, str) else changed
        self.records.update_one({"_id": document["_id"]}, {"$set": {column: changed}})

    def lose_value(self, channel: str) -> None:
        for document in self.records.find({"kind": "value"}):
            if parts_of(document["key"])[1] == channel:
                self.records.delete_one({"_id": document["_id"]})

    def swap_records(self, record: str) -> None:
        wanted = {"kind": record}
        one, other = self.records.find(wanted).sort([("thread_id", 1), ("key", 1)]).limit(2)
        for to, source in ((one, other), (other, one)):
            columns = {name: source.get(name) for name in CONTENTS[record]}
            given = {name: value for name, value in columns.items() if value is not None}
            gone = dict.fromkeys(columns.keys() - given.keys(), "")
            self.records.update_one({"_id": to["_id"]}, {"$set": given, "$unset": gone})


def _raw() -> Any:
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    return CodecOptions(document_class=RawBSONDocument)
