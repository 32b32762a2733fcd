"""The binary format of items and vectors. Scripts unpack it, too: lua/store/common.lua."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Final

from store_vector.embedding.paths import TextDigests
from store_vector.records import Name, Put, Record, Vector
from store_vector.values import dumps
from store_vector.vectors.cache import Embeddings

_ITEM: Final = struct.Struct("<4dI")  # created, updated, expires, ttl, length of the filter keys
_LENGTH: Final = struct.Struct("<I")
_VECTORS: Final = struct.Struct("<2I")  # how many, size of the JSON before them


def parted(joined: bytes) -> list[bytes]:
    """Split the string in which a script joined pieces, each after its length."""
    pieces, at, end = list[bytes](), 0, len(joined)
    length = _LENGTH.unpack_from
    while at < end:
        start = at + 4
        at = start + length(joined, at)[0]
        pieces.append(joined[start:at])
    return pieces


def name_of(ns: str, key: str) -> bytes:
    """An item's field in the hashes of items and vectors."""
    return f"{ns}\0{key}".encode()


def split_name(name: bytes) -> Name:
    """Namespace and key, from an item's field."""
    ns, _, key = name.decode().partition("\0")
    return Name(ns, key)


def pack_item(put: Put, now: float) -> bytes:
    """Pack an item that is created `now` (epoch seconds)."""
    due = math.inf if put.expires_at is None else put.expires_at
    keys = dumps(put.keys).encode()
    head = _ITEM.pack(now, now, due, put.ttl or 0.0, len(keys))
    return b"".join((head, keys, (put.value or "").encode()))


def unpack_item(ns: str, key: str, packed: bytes) -> Record:
    """Unpack an item."""
    created, updated, due, ttl, keys = _ITEM.unpack_from(packed)
    expires_at = None if due == math.inf else due
    return Record(
        ns, key, packed[_ITEM.size + keys :].decode(), created, updated, expires_at, ttl or None
    )


def pack_vectors(vectors: Sequence[Vector]) -> bytes:
    """Pack an item's vectors after JSON of the texts they embed, [[field, digest], …]; empty if it
    has none.
    """
    if not vectors:
        return b""
    texts = json.dumps([(one.field, one.digest) for one in vectors]).encode()
    return b"".join([_VECTORS.pack(len(vectors), len(texts)), texts, *(v.data for v in vectors)])


def pack_unchanged(texts: TextDigests | None) -> bytes:
    """JSON of the texts whose stored vectors a put keeps; empty if it keeps none."""
    if texts is None:
        return b""
    return json.dumps({"fields": texts.fields, "digests": texts.digests}).encode()


def unpack_vectors(field: bytes, packed: bytes) -> Embeddings:
    """Unpack an item's vectors, as one array of bytes."""
    count, texts = _VECTORS.unpack_from(packed)
    name = split_name(field)
    return Embeddings(field, name.ns, name.key, count, packed[_VECTORS.size + texts :])
