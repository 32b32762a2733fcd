"""Conversion between items and documents. A document has an item and its vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_mongo.connection.requests import Document, Op
from store_vector.embedding.paths import TextDigests
from store_vector.records import Name, Put, Record, Vector
from store_vector.vectors.cache import Embeddings

FOREVER: Final = 1e300
"""The `expires_at` of an item that never expires, so that one comparison finds expired items."""
RECORD: Final[Mapping[str, int]] = dict.fromkeys(
    ("ns", "value", "created_at", "updated_at", "expires_at", "ttl"), 1
)
"""The fields of a record, besides its `_id`."""
EMBEDDING: Final[Mapping[str, int]] = dict.fromkeys(("ns", "vectors"), 1)
"""The fields of an item's embedding, besides its `_id` and its stamp."""

TEXTS: Final[Mapping[str, int]] = dict.fromkeys(("expires_at", "texts", "vectors"), 1)
"""The fields that say which vectors an item keeps, besides its `_id`."""

_LARGEST: Final = (16 << 20) - (1 << 16)  # MongoDB's 16 MiB, less the other fields


def name_of(ns: str, key: str) -> str:
    """An item's `_id`: it sorts as (namespace, key) does."""
    return f"{ns}\0{key}"


# ---------------------------------------------------------------- puts


def put_op(put: Put, stamp: int, now: float, horizon: float | None) -> Op:
    """Insert or replace an item.

    Args:
        put: the put, which is no deletion.
        stamp: a new unique number, which identifies the item's vectors.
        now: epoch seconds.
        horizon: epoch seconds; an item that expired by then counts as absent, and gets a new
            creation time; None: items do not expire.

    Raises:
        InvalidArgumentError: the item is too large for a document.
    """
    where = {"_id": name_of(put.ns, put.key)}
    fields = {**_fields(put, stamp), "updated_at": now}
    if horizon is None:
        stored = {name: field for name, field in fields.items() if field is not None}
        absent = {name: "" for name, field in fields.items() if field is None}
        changes: dict[str, Any] = {"$set": stored, "$setOnInsert": {"created_at": now}}
        return Op(where, {**changes, "$unset": absent} if absent else changes, upsert=True)
    literals = {
        name: "$$REMOVE" if field is None else {"$literal": field} for name, field in fields.items()
    }
    # in MongoDB's order a missing field is less than any number
    created = {"$cond": [{"$gt": ["$expires_at", horizon]}, "$created_at", now]}
    return Op(where, [{"$set": {**literals, "created_at": created}}], upsert=True)


def _fields(put: Put, stamp: int) -> dict[str, Any]:
    """An item's fields, except `_id`, creation and update; None: the document lacks the field."""
    value = put.value or ""
    _refuse_too_large(put, value)
    fields = {
        "ns": put.ns,
        "value": value,
        "keys": dict(put.keys),
        "ttl": None if put.ttl is None else float(put.ttl),
        "expires_at": FOREVER if put.expires_at is None else min(put.expires_at, FOREVER),
    }
    if not put.vectors:
        return {**fields, "stamp": None, "texts": None, "vectors": None}
    texts = json.dumps([(one.field, one.digest) for one in put.vectors])
    vectors = [one.data for one in put.vectors]
    return {**fields, "stamp": stamp, "texts": texts, "vectors": vectors}


def delete_op(put: Put) -> Op:
    """Delete an item."""
    return Op({"_id": name_of(put.ns, put.key)})


def _refuse_too_large(put: Put, text: str) -> None:
    size = len(text) if text.isascii() else len(text.encode())
    size += sum(len(one.data) for one in put.vectors)
    size += sum(len(path) + len(key.encode()) + 7 for path, key in put.keys.items())
    if size > _LARGEST:
        raise InvalidArgumentError(
            f"value: wanted less than 16 MiB of JSON, filter keys and vectors, which is what a "
            f"document of MongoDB can be, got {size} bytes for the key {put.key!r:.80}"
        )


def refresh_op(name: Name, now: float, horizon: float | None) -> Op:
    """Refresh the expiry of an item that was read, unless it has expired since or has no `ttl`."""
    is_shown = {"$gt": ["$expires_at", -FOREVER if horizon is None else horizon]}
    has_ttl = {"$eq": [{"$type": "$ttl"}, "double"]}
    due = {"$min": [FOREVER, {"$add": [now, {"$multiply": ["$ttl", 60.0]}]}]}
    moved = {"$cond": [{"$and": [has_ttl, is_shown]}, due, "$expires_at"]}
    return Op({"_id": name_of(*name)}, [{"$set": {"expires_at": moved}}])


# ---------------------------------------------------------------- reading


def record_of(document: Document) -> Record:
    """The item of a document."""
    ns, due = document["ns"], document["expires_at"]
    return Record(
        ns,
        document["_id"][len(ns) + 1 :],
        document["value"],
        document["created_at"],
        document["updated_at"],
        None if due >= FOREVER else due,
        document.get("ttl"),
    )


def vectors_of(document: Document, texts: TextDigests) -> list[Vector]:
    """Those vectors of a document whose texts are among `texts`."""
    pairs = zip(json.loads(document["texts"]), document["vectors"], strict=True)
    return [
        Vector(field, digest, one) for (field, digest), one in pairs if texts.has(field, digest)
    ]


def embeddings_of(document: Document) -> Embeddings:
    """The vectors of a document, under their stamp."""
    ns, vectors = document["ns"], document["vectors"]
    key = document["_id"][len(ns) + 1 :]
    return Embeddings(document["stamp"], ns, key, len(vectors), b"".join(vectors))
