"""What the saver and the store share: an LMDB environment, and keys in it."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import lmdb
import ormsgpack

DIGEST = 16
"""Bytes. A key of LMDB has at most 511, and thread ids and namespaces are of any length."""


def open_environment(path: Path, *, map_size: int = 1 << 30) -> lmdb.Environment:
    """The environment at a path; a process must open it only once."""
    return lmdb.open(str(path), map_size=map_size, max_dbs=4, max_readers=512)


def digest(text: str) -> bytes:
    """A text of any length as a part of a key."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()


def scan(txn: Any, database: Any, prefix: bytes = b"") -> Iterator[tuple[bytes, Any]]:
    """The keys that begin with a prefix, with their records."""
    with txn.cursor(db=database) as cursor:
        there = cursor.set_range(prefix)
        while there and cursor.key().startswith(prefix):
            yield cursor.key(), ormsgpack.unpackb(cursor.value())
            there = cursor.next()
