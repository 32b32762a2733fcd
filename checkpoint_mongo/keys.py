"""What documents are found by: a `key` within their thread, a `ref` that others name them by, and
where they stand among those of all threads.

No id may have a NUL, so that it separates them: keys are unambiguous, and sort as the tuples of
their parts do.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

THREAD: Final = ""
"""The key of a thread's own document."""

_REF_SIZE: Final = 16
_POSITION: Final = "{:017.6f}\0{}"


def checkpoint_key(ns: str, checkpoint_id: str) -> str:
    """Checkpoints of a namespace lie in the order of their ids."""
    return f"c\0{ns}\0{checkpoint_id}"


def value_key(ns: str, channel: str, version: str) -> str:
    """A channel's value that is a document of its own; values that a checkpoint carries are only
    looked up by the `ref` of this.
    """
    return f"b\0{ns}\0{channel}\0{version}"


def left_key(ns: str, checkpoint_id: str, number: int) -> str:
    """The values that a checkpoint carried which is gone. It may come back, and go again."""
    return f"b\0{ns}\0\0\0{checkpoint_id}\0{number:x}"


def segment_key(start: int) -> str:
    """Segments lie in the order of the log."""
    return f"s\0{start:016x}"


def task_key(ns: str, checkpoint_id: str, task_id: str, part: int) -> str:
    """The writes of a task, so many of them."""
    return f"cw\0{ns}\0{checkpoint_id}\0{task_id}\0{part:08x}"


def under(prefix: str) -> dict[str, str]:
    """The condition that a key begins with `prefix` and a NUL."""
    return {"$gte": prefix + "\0", "$lt": prefix + "\1"}


def ref_of(thread_id: str, key: str) -> bytes:
    """The short name of a value, or of all writes of a checkpoint (by the checkpoint's key)."""
    return blake2b(f"{thread_id}\0{key}".encode(), digest_size=_REF_SIZE).digest()


def ref_of_thread(thread_id: str) -> bytes:
    """The `ref` of a thread's own document. It is longer than others, and so behind them in the
    index: of all that a query names by its refs, the thread is what is read last.
    """
    return ref_of(thread_id, THREAD) + b"\0"


PLACES: Final = "c"
RECENT: Final = "t"


def place_of(thread_id: str, ns: str, checkpoint_id: str) -> str:
    """Where a checkpoint stands in a list over all threads: its field `seek`."""
    return f"{PLACES}\0{checkpoint_id}\0{thread_id}\0{ns}"


def recent_of(updated_at: float, thread_id: str) -> str:
    """Where a thread stands in the list of threads: its field `seek`."""
    return f"{RECENT}\0" + _POSITION.format(updated_at, thread_id)
