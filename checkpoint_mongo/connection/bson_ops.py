"""Requests of plans as arguments of PyMongo, the same for both of its clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bson.codec_options import CodecOptions
from pymongo import (
    DeleteMany,
    IndexModel,
    InsertOne,
    ReadPreference,
    ReplaceOne,
    UpdateOne,
)
from pymongo.read_concern import ReadConcern
from pymongo.results import BulkWriteResult
from pymongo.write_concern import WriteConcern

from checkpoint_mongo.connection.requests import SHARDED, Index, Op, Server, Written

BATCH: Final = 1_000_000
"""Documents in a reply: more than its 16 MiB can hold, so that the server fills it."""

OPTIONS: Final[Mapping[str, Any]] = {
    "codec_options": CodecOptions(document_class=dict),
    "read_preference": ReadPreference.PRIMARY,
}
"""They override the client's settings: LangGraph must read what it has just written."""

SNAPSHOT: Final = ReadConcern("snapshot")
"""A transaction reads everything as of one moment."""


def transaction_options(concern: WriteConcern) -> dict[str, Any]:
    """Options of `start_transaction`; `concern` is the database's write concern, which has
    precedence.
    """
    return {
        "read_concern": SNAPSHOT,
        "write_concern": concern if concern.document else WriteConcern("majority"),
        "read_preference": ReadPreference.PRIMARY,
    }


def changes(ops: Sequence[Op], *, is_sharded: bool) -> list[Any]:
    """The arguments of `bulk_write`. A sharded cluster needs the shard key beside the `_id`. Other
    servers find a document faster by the `_id` alone: they need no query plan.
    """
    return [_change(op if is_sharded else _by_id(op)) for op in ops]


def _by_id(op: Op) -> Op:
    has_all = isinstance(op.what, Mapping) and op.where.items() <= op.what.items()
    return op._replace(where={"_id": op.where["_id"]}) if has_all and "_id" in op.where else op


def _change(op: Op) -> Any:
    if op.what is None:
        return DeleteMany(op.where)
    if not isinstance(op.what, Mapping):
        return UpdateOne(op.where, list(op.what), upsert=op.upsert)
    if op.fresh:
        return InsertOne({**op.where, **op.what})
    if op.new:
        rest = {name: value for name, value in op.what.items() if name not in op.where}
        return UpdateOne(op.where, {"$setOnInsert": rest}, upsert=True)
    if any(name.startswith("$") for name in op.what):
        return UpdateOne(op.where, op.what, upsert=op.upsert)
    # MongoDB sends replacements and updates as one command
    return ReplaceOne(op.where, op.what, upsert=op.upsert)


def written(result: BulkWriteResult) -> Written:
    """The result of `bulk_write`."""
    made = frozenset(result.upserted_ids or ())
    return Written(made, result.matched_count, result.deleted_count)


def index_models(indexes: Sequence[Index]) -> list[IndexModel]:
    """The argument of `create_indexes`."""
    return [_model(index) for index in indexes]


def _model(index: Index) -> IndexModel:
    options = {
        "sparse": index.sparse,
        "partialFilterExpression": index.only,
        "name": index.name,
    }
    given: dict[str, Any] = {name: value for name, value in options.items() if value}
    return IndexModel(list(index.fields), **given)


def server_of(hello: Mapping[str, Any], build: Mapping[str, Any]) -> Server:
    """The server, from its replies to `hello` and `buildInfo`."""
    topology = "standalone"
    if hello.get("msg") == "isdbgrid":
        topology = SHARDED
    elif "setName" in hello:
        topology = "replica set"
    version = f"MongoDB {build['version']}"
    is_stand_in = "secantusVersion" in build
    if is_stand_in:
        version = f"SecantusDB {build['secantusVersion']} (protocol of {version})"
    # SecantusDB, a stand-in for MongoDB, accepts `atClusterTime`, but reads the newest data
    return Server(version, topology, pins_snapshots=not is_stand_in)
