"""Names of documents: `key`, by which the index sorts those of a thread, and `_id`."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

THREAD: Final = "c\0\1"
"""The key of a thread's own document. It sorts right after the checkpoints of the root namespace
(`c`, NUL, NUL, id), so that one `find` reads the thread and its newest checkpoint. No checkpoint
can have this key, because there is always a NUL after its namespace.
"""

_ID_SIZE: Final = 16


def document_id(thread_id: str, key: str, *more: str) -> bytes:
    """The `_id` of a record: a digest of its thread, its key, and what else tells it apart."""
    names = "\0".join((thread_id, key, *more))
    return blake2b(names.encode(), digest_size=_ID_SIZE).digest()


def checkpoint_key(ns: str, checkpoint_id: str) -> str:
    """A checkpoint's key."""
    return f"c\0{ns}\0{checkpoint_id}"


def overflow_key(ns: str, checkpoint_id: str) -> str:
    """The key of all overflow documents of a checkpoint."""
    return f"o\0{ns}\0{checkpoint_id}"


def value_key(ns: str, channel: str, version: str) -> str:
    """A value's key."""
    return f"v\0{ns}\0{channel}\0{version}"


def writes_key(ns: str, checkpoint_id: str) -> str:
    """The key of all writes of a checkpoint."""
    return f"w\0{ns}\0{checkpoint_id}"


def segment_key(start: int) -> str:
    """A segment's key. Keys sort by offset."""
    return f"s\0{start:016x}"


def parts_of(key: str) -> list[str]:
    """The names in a key, without its kind."""
    return key.split("\0")[1:]


def under(prefix: str) -> dict[str, Any]:
    """The condition that a key begins with `prefix` and a NUL."""
    return {"$gte": f"{prefix}\0", "$lt": f"{prefix}\1"}
