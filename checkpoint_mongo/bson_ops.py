"""Plans' requests in PyMongo's words, the same for both of its clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bson.binary import VECTOR_SUBTYPE, Binary
from bson.codec_options import CodecOptions
from pymongo import (
    DeleteMany,
    IndexModel,
    InsertOne,
    ReadPreference,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
)
from pymongo.operations import SearchIndexModel
from pymongo.read_concern import ReadConcern
from pymongo.results import BulkWriteResult

from checkpoint_mongo.requests import CreateSearchIndex, Index, Op, Server, Written

BATCH: Final = 1_000_000
"""Documents in a reply: as many as go into its 16 MiB."""

OPTIONS: Final[Mapping[str, Any]] = {
    "codec_options": CodecOptions(document_class=dict),
    "read_preference": ReadPreference.PRIMARY,
}
"""Whatever the owner of a client has set: LangGraph reads what it has just written."""

ONE_MOMENT: Final = ReadConcern("snapshot")
"""All that a transaction reads."""

_FLOAT32: Final = b"\x27\x00"  # BSON's vector of float32, which has no padding


def changes(ops: Sequence[Op]) -> list[Any]:
    """What `bulk_write` takes."""
    return [_change(op) for op in ops]


def _change(op: Op) -> Any:
    if op.what is None:
        return DeleteMany(op.where)
    if isinstance(op.what, Mapping) and op.fresh:
        return InsertOne({**op.where, **op.what})
    if isinstance(op.what, Mapping) and op.new:
        rest = {name: some for name, some in op.what.items() if name not in op.where}
        return UpdateOne(op.where, {"$setOnInsert": rest}, upsert=True)
    if isinstance(op.what, Mapping) and "$set" in op.what:
        return UpdateOne(op.where, op.what, upsert=op.upsert)
    if isinstance(op.what, Mapping):
        return ReplaceOne(op.where, op.what, upsert=op.upsert)
    kind = UpdateMany if op.many else UpdateOne
    return kind(op.where, list(op.what), upsert=op.upsert)


def written(result: BulkWriteResult) -> Written:
    """What became of the changes."""
    made = frozenset(result.upserted_ids or ())
    return Written(made, result.matched_count, result.deleted_count)


def index_models(indexes: Sequence[Index]) -> list[IndexModel]:
    """What `create_indexes` takes."""
    return [_model(index) for index in indexes]


def _model(index: Index) -> IndexModel:
    options = {"unique": index.unique, "sparse": index.sparse}
    wanted: dict[str, Any] = {name: True for name, some in options.items() if some}
    return IndexModel(list(index.fields), **wanted)


def search_index_model(wanted: CreateSearchIndex) -> SearchIndexModel:
    """What `create_search_index` takes."""
    return SearchIndexModel(dict(wanted.definition), wanted.name, type="vectorSearch")


def vector_of(data: bytes) -> Any:
    """Little-endian float32 as BSON's own vector, which is how `$vectorSearch` reads it."""
    return Binary(_FLOAT32 + data, VECTOR_SUBTYPE)


def server_of(hello: Mapping[str, Any], build: Mapping[str, Any]) -> Server:
    """What a server says that it is."""
    topology = "standalone"
    if hello.get("msg") == "isdbgrid":
        topology = "sharded cluster"
    elif "setName" in hello:
        topology = "replica set"
    version = f"MongoDB {build['version']}"
    if "secantusVersion" in build:
        version = f"SecantusDB {build['secantusVersion']} (protocol of {version})"
    return Server(version, topology)
