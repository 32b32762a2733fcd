"""Plans' requests in PyMongo's words, the same for both of its clients."""

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
"""Documents in a reply: as many as go into its 16 MiB."""

OPTIONS: Final[Mapping[str, Any]] = {
    "codec_options": CodecOptions(document_class=dict),
    "read_preference": ReadPreference.PRIMARY,
}
"""Whatever the owner of a client has set: LangGraph reads what it has just written."""

SNAPSHOT: Final = ReadConcern("snapshot")
"""A transaction reads everything as of one moment."""


def transaction_options(concern: WriteConcern) -> dict[str, Any]:
    """How a transaction begins; `concern` is the database's own."""
    return {
        "read_concern": SNAPSHOT,
        "write_concern": concern if concern.document else WriteConcern("majority"),
        "read_preference": ReadPreference.PRIMARY,
    }


def changes(ops: Sequence[Op], *, is_sharded: bool) -> list[Any]:
    """What `bulk_write` takes. A sharded cluster needs the shard key beside the `_id`; others find
    a document by the `_id` alone without making a plan.
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
    # as an update, so that it is one command with other updates
    return ReplaceOne(op.where, op.what, upsert=op.upsert)


def written(result: BulkWriteResult) -> Written:
    """What became of the changes."""
    made = frozenset(result.upserted_ids or ())
    return Written(made, result.matched_count, result.deleted_count)


def index_models(indexes: Sequence[Index]) -> list[IndexModel]:
    """What `create_indexes` takes."""
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
    """What a server says that it is."""
    topology = "standalone"
    if hello.get("msg") == "isdbgrid":
        topology = SHARDED
    elif "setName" in hello:
        topology = "replica set"
    version = f"MongoDB {build['version']}"
    is_stand_in = "secantusVersion" in build
    if is_stand_in:
        version = f"SecantusDB {build['secantusVersion']} (protocol of {version})"
    # SecantusDB takes `atClusterTime` and reads what is newest all the same
    return Server(version, topology, pins_snapshots=not is_stand_in)
