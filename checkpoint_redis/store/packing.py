"""Items and their vectors as bytes. Scripts take them apart, too: lua/store/common.lua."""

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
    """What a script joined: each piece is behind its length."""
    pieces, at, end = list[bytes](), 0, len(joined)
    length = _LENGTH.unpack_from
    while at < end:
        start = at + 4
        at = start + length(joined, at)[0]
        pieces.append(joined[start:at])
    return pieces


def name_of(ns: str, key: str) -> bytes:
    """An item's field."""
    return f"{ns}\0{key}".encode()


def split_name(name: bytes) -> Name:
    """What a field's name was made of."""
    ns, _, key = name.decode().partition("\0")
    return Name(ns, key)


def pack_item(put: Put, now: float) -> bytes:
    """An item's record, as of its first put."""
    due = math.inf if put.expires_at is None else put.expires_at
    keys = dumps(put.keys).encode()
    head = _ITEM.pack(now, now, due, put.ttl or 0.0, len(keys))
    return b"".join((head, keys, (put.value or "").encode()))


def unpack_item(ns: str, key: str, packed: bytes) -> Record:
    """The item again."""
    created, updated, due, ttl, keys = _ITEM.unpack_from(packed)
    expires_at = None if due == math.inf else due
    return Record(
        ns, key, packed[_ITEM.size + keys :].decode(), created, updated, expires_at, ttl or None
    )


def pack_vectors(vectors: Sequence[Vector]) -> bytes:
    """An item's vectors, behind JSON that says of which texts: [[field, digest], …]; nothing if it
    has none.
    """
    if not vectors:
        return b""
    texts = json.dumps([(one.field, one.digest) for one in vectors]).encode()
    return b"".join([_VECTORS.pack(len(vectors), len(texts)), texts, *(v.data for v in vectors)])


def pack_unchanged(texts: TextDigests | None) -> bytes:
    """JSON of the texts whose vectors a put keeps; nothing if it keeps none."""
    if texts is None:
        return b""
    return json.dumps({"fields": texts.fields, "digests": texts.digests}).encode()


def unpack_vectors(field: bytes, packed: bytes) -> Embeddings:
    """The vectors again, one after the other."""
    count, texts = _VECTORS.unpack_from(packed)
    name = split_name(field)
    return Embeddings(field, name.ns, name.key, count, packed[_VECTORS.size + texts :])
