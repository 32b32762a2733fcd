"""Items as documents, and back. An item is one document, its vectors with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Final

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_mongo.requests import Document, Op
from checkpoint_mongo.store_keys import keys_of
from store_vector.cache import Embeddings
from store_vector.namespaces import decode, encode
from store_vector.paths import TextDigests
from store_vector.records import Name, Put, Record, Vector
from store_vector.values import loads

FOREVER: Final = 1e300
"""The `expires_at` of what never expires, so that one comparison tells what is shown."""
DEEPEST: Final = 8
"""So many of the namespaces that an item is in can be named to a search index."""
RECORD: Final[Mapping[str, int]] = dict.fromkeys(
    ("ns", "value", "created_at", "updated_at", "expires_at", "ttl"), 1
)
"""The fields of a record, besides its `_id`."""
EMBEDDING: Final[Mapping[str, int]] = dict.fromkeys(
    ("ns", "stamp", "count", "vector", "vectors"), 1
)
"""The fields of an item's embedding, besides its `_id`."""

TEXTS: Final[Mapping[str, int]] = dict.fromkeys(("expires_at", "texts", "vector", "vectors"), 1)
"""The fields that say which vectors an item keeps, besides its `_id`."""

_LARGEST: Final = (16 << 20) - (1 << 16)  # MongoDB's 16 MiB, less what is around
_LARGEST_WITH_KEYS: Final = 1 << 20  # characters of a value that has keys for filters
_HEADER: Final = 2  # bytes that BSON's vectors begin with
_DIGEST: Final = 16

Pack = Callable[[bytes], Any]
"""Makes BSON's own vector of float32."""


def name_of(ns: str, key: str) -> str:
    """An item's `_id`: it sorts as (namespace, key) does."""
    return f"{ns}\0{key}"


# ---------------------------------------------------------------- namespaces for a search index


def space_of(ns: str) -> str:
    """A namespace's name in `within`: short, whatever its labels are."""
    return blake2b(ns.encode(), digest_size=_DIGEST).hexdigest()


def within_of(ns: str) -> dict[str, str]:
    """The namespaces that an item is in, by how many labels they have."""
    labels = decode(ns)[:DEEPEST]
    return {f"{n}": space_of(encode(labels[:n])) for n in range(1, len(labels) + 1)}


# ---------------------------------------------------------------- puts


def stored(put: Put, stamp: int, pack: Pack) -> dict[str, Any]:
    """An item's fields, but its name and its times; None: the document has no such field.

    Args:
        put: no `delete`.
        stamp: the name of the item's vectors, never given twice.
        pack: makes BSON's own vector.

    Raises:
        InvalidArgumentError: the item is too large for a document.
    """
    value = put.value or ""
    _refuse_too_large(put, value)
    return {
        "ns": put.ns,
        "value": value,
        "ttl": None if put.ttl is None else float(put.ttl),
        "keys": keys_in(value),
        "fields": None,  # what filters asked for before there were keys
        **(_embedding(put, stamp, pack) if put.vectors else dict.fromkeys(_EMBEDDING_FIELDS)),
    }


def keys_in(value: str) -> list[str] | None:
    """The keys of a value; None: they are too many, or it is too long."""
    return keys_of(loads(value)) if len(value) <= _LARGEST_WITH_KEYS else None


def put_op(put: Put, fields: Document, now: float, horizon: float | None) -> Op:
    """What stores an item, whether one is there or not.

    Args:
        put: the operation.
        fields: the item's.
        now: epoch seconds.
        horizon: an item that has expired by then is a new one; None: it is not.
    """
    where = {"_id": name_of(put.ns, put.key)}
    times = {"updated_at": now, "expires_at": _due(put)}
    if horizon is None:
        given = {name: one for name, one in fields.items() if one is not None}
        gone = dict.fromkeys((name for name, one in fields.items() if one is None), "")
        made = {"created_at": now}
        what: Document = {"$set": {**given, **times}, "$unset": gone, "$setOnInsert": made}
        return Op(where, what, upsert=True)
    literals = {
        name: "$$REMOVE" if one is None else {"$literal": one} for name, one in fields.items()
    }
    # what is missing is less than any number
    created = {"$cond": [{"$gt": ["$expires_at", horizon]}, "$created_at", now]}
    return Op(where, [{"$set": {**literals, "created_at": created, **times}}], upsert=True)


def new_op(put: Put, fields: Document, now: float) -> Op:
    """What stores an item that is not there, and else is refused."""
    times = {"created_at": now, "updated_at": now, "expires_at": _due(put)}
    given = {name: one for name, one in fields.items() if one is not None}
    return Op({"_id": name_of(put.ns, put.key)}, {**given, **times}, fresh=True)


def delete_op(put: Put) -> Op:
    """What deletes an item."""
    return Op({"_id": name_of(put.ns, put.key)})


def _due(put: Put) -> float:
    return FOREVER if put.expires_at is None else min(put.expires_at, FOREVER)


_EMBEDDING_FIELDS: Final = ("stamp", "count", "texts", "vector", "vectors", "aside", "within")


def _embedding(put: Put, stamp: int, pack: Pack) -> dict[str, Any]:
    """A search index takes one vector of a document; others are kept aside, where a search looks
    for itself. So is a vector without a direction, which an index for cosines refuses.
    """
    packed = [pack(one.data) for one in put.vectors]
    is_aside = len(packed) > 1 or _is_zero(put.vectors[0])
    return {
        "stamp": stamp,
        "count": len(packed),
        "texts": json.dumps([(one.field, one.digest) for one in put.vectors]),
        "vector": None if is_aside else packed[0],
        "vectors": packed if is_aside else None,
        "aside": put.ns if is_aside else None,
        "within": within_of(put.ns),
    }


def _is_zero(vector: Vector) -> bool:
    return not vector.data.strip(b"\x00\x80")  # -0.0 is zero, too


def _refuse_too_large(put: Put, text: str) -> None:
    size = len(text) if text.isascii() else len(text.encode())
    size += sum(len(one.data) for one in put.vectors)
    if size > _LARGEST:
        raise InvalidArgumentError(
            f"value: wanted less than 16 MiB of JSON and vectors, which is what a document of "
            f"MongoDB can be, got {size} bytes for the key {put.key!r:.80}"
        )


def keys_op(document: Document) -> Op:
    """What gives keys to an item that an older version put, unless it has been put again."""
    keys = keys_in(document["value"])
    given = [] if keys is None else [{"$set": {"keys": {"$literal": keys}}}]
    where = {name: document[name] for name in ("_id", "updated_at")}
    return Op(where, [*given, {"$unset": "fields"}])


def refresh_op(name: Name, now: float, horizon: float | None) -> Op:
    """What moves the expiry of an item that was read, unless it has changed in between."""
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
    """The vectors of a document whose texts are among these."""
    packed = document.get("vectors") or [document["vector"]]
    pairs = zip(json.loads(document["texts"]), packed, strict=True)
    return [
        Vector(field, digest, bytes(one)[_HEADER:])
        for (field, digest), one in pairs
        if texts.has(field, digest)
    ]


def embeddings_of(document: Document) -> Embeddings:
    """The vectors of a document, which are called by their stamp."""
    packed = document.get("vectors") or [document["vector"]]
    ns = document["ns"]
    key = document["_id"][len(ns) + 1 :]
    data = b"".join(bytes(one)[_HEADER:] for one in packed)
    return Embeddings(document["stamp"], ns, key, len(packed), data)
