"""The LMDB environment that the saver and the store share, and the keys in it."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import lmdb
import ormsgpack

DIGEST = 16
"""Bytes of a hash. Keys contain hashes of thread ids and namespaces, which may have any length,
because an LMDB key has at most 511 bytes.
"""


def open_environment(path: Path, *, map_size: int = 1 << 30) -> lmdb.Environment:
    """Open the environment at a path. A process must open it only once."""
    return lmdb.open(str(path), map_size=map_size, max_dbs=4, max_readers=512)


def digest(text: str) -> bytes:
    """Hash a text of any length to a part of a key."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()


def scan(txn: Any, database: Any, prefix: bytes = b"") -> Iterator[tuple[bytes, Any]]:
    """The keys that begin with a prefix, in order, with their records."""
    with txn.cursor(db=database) as cursor:
        there = cursor.set_range(prefix)
        while there and cursor.key().startswith(prefix):
            yield cursor.key(), ormsgpack.unpackb(cursor.value())
            there = cursor.next()
