"""Items as documents, and back. An item is one document, its vectors with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_mongo.requests import Document, Op
from store_vector.cache import Embeddings
from store_vector.namespaces import decode, encode
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

_LARGEST: Final = (16 << 20) - (1 << 16)  # MongoDB's 16 MiB, less what is around
_LARGEST_SELECTED: Final = 1 << 20  # characters of a value whose fields are kept for filters
_MOST_FIELDS: Final = 500
_LONGEST: Final = 256
_INT64: Final = range(-(2**63), 2**63)
_HEADER: Final = 2  # bytes that BSON's vectors begin with
_DIGEST: Final = 16

Pack = Callable[[bytes], Any]
"""Makes BSON's own vector of float32."""


def name_of(ns: str, key: str) -> str:
    """An item's `_id`: it sorts as (namespace, key) does."""
    return f"{ns}\0{key}"


# ---------------------------------------------------------------- fields that filters compare


def path_text(path: Sequence[str]) -> str | None:
    """How a field is called in `fields`; None: its name is too long for that."""
    text = json.dumps(path)  # names may have dots, NUL, anything
    return text if len(text) <= _LONGEST else None


def is_comparable(value: Any) -> bool:
    """Whether BSON has this very value, and compares it as filters do."""
    if isinstance(value, str):
        return len(value) <= _LONGEST and is_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value in _INT64
    return value is None or isinstance(value, (bool, float))


def is_text(value: str) -> bool:
    """Whether it has no lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def fields_of(value: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """All fields of a value, also those within objects, as (k: path, v: value); None: too many.

    Of objects and arrays it says only that they are there; x: what is there cannot be compared.
    """
    found: list[dict[str, Any]] = []
    for path, inner in _walk((), value):
        text = path_text(path)
        if text is None:
            continue
        if isinstance(inner, Mapping):
            found.append({"k": text, "v": {}})
        elif isinstance(inner, (list, tuple)):
            found.append({"k": text, "v": []})
        else:
            found.append({"k": text, "v": inner} if is_comparable(inner) else {"k": text, "x": 1})
        if len(found) > _MOST_FIELDS:
            return None
    return found


def _walk(path: tuple[str, ...], value: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        here = (*path, name)
        yield here, inner
        if isinstance(inner, Mapping) and path_text(here) is not None:
            yield from _walk(here, inner)


# ---------------------------------------------------------------- namespaces for a search index


def space_of(ns: str) -> str:
    """A namespace's name in `within`: short, whatever its labels are."""
    return blake2b(ns.encode(), digest_size=_DIGEST).hexdigest()


def within_of(ns: str) -> dict[str, str]:
    """The namespaces that an item is in, by how many labels they have."""
    labels = decode(ns)[:DEEPEST]
    return {f"{n}": space_of(encode(labels[:n])) for n in range(1, len(labels) + 1)}


# ---------------------------------------------------------------- puts


def put_op(put: Put, now: float, horizon: float | None, stamp: int, pack: Pack) -> Op:
    """What stores or deletes an item.

    Args:
        put: the operation.
        now: epoch seconds.
        horizon: an item that has expired by then is a new one; None: it is not.
        stamp: the name of the item's vectors, never given twice.
        pack: makes BSON's own vector.

    Raises:
        InvalidArgumentError: the item is too large for a document.
    """
    where = {"_id": name_of(put.ns, put.key)}
    if put.value is None:
        return Op(where)
    due = FOREVER if put.expires_at is None else min(put.expires_at, FOREVER)
    fields = {
        "ns": put.ns,
        "value": put.value,
        "ttl": None if put.ttl is None else float(put.ttl),
        "fields": fields_of(loads(put.value)) if len(put.value) <= _LARGEST_SELECTED else None,
        **(_embedding(put, stamp, pack) if put.vectors else dict.fromkeys(_EMBEDDING_FIELDS)),
    }
    literals = {
        name: "$$REMOVE" if one is None else {"$literal": one} for name, one in fields.items()
    }
    created: Any = {"$ifNull": ["$created_at", now]}
    if horizon is not None:  # what is missing is less than any number
        created = {"$cond": [{"$gt": ["$expires_at", horizon]}, "$created_at", now]}
    times = {"created_at": created, "updated_at": now, "expires_at": due}
    _refuse_too_large(put)
    return Op(where, [{"$set": {**literals, **times}}], upsert=True)


_EMBEDDING_FIELDS: Final = ("stamp", "count", "paths", "vector", "vectors", "aside", "within")


def _embedding(put: Put, stamp: int, pack: Pack) -> dict[str, Any]:
    """A search index takes one vector of a document; others are kept aside, where a search looks
    for itself. So is a vector without a direction, which an index for cosines refuses.
    """
    packed = [pack(one.data) for one in put.vectors]
    is_aside = len(packed) > 1 or _is_zero(put.vectors[0])
    return {
        "stamp": stamp,
        "count": len(packed),
        "paths": json.dumps([one.path for one in put.vectors]),
        "vector": None if is_aside else packed[0],
        "vectors": packed if is_aside else None,
        "aside": put.ns if is_aside else None,
        "within": within_of(put.ns),
    }


def _is_zero(vector: Vector) -> bool:
    return not vector.data.strip(b"\x00\x80")  # -0.0 is zero, too


def _refuse_too_large(put: Put) -> None:
    text = put.value or ""
    size = len(text) if text.isascii() else len(text.encode())
    size += sum(len(one.data) for one in put.vectors)
    if size > _LARGEST:
        raise InvalidArgumentError(
            f"value: wanted less than 16 MiB of JSON and vectors, which is what a document of "
            f"MongoDB can be, got {size} bytes for the key {put.key!r:.80}"
        )


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


def embeddings_of(document: Document) -> Embeddings:
    """The vectors of a document, which are called by their stamp."""
    packed = document.get("vectors") or [document["vector"]]
    ns = document["ns"]
    key = document["_id"][len(ns) + 1 :]
    data = b"".join(bytes(one)[_HEADER:] for one in packed)
    return Embeddings(document["stamp"], ns, key, len(packed), data)
