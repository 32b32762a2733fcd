"""The names of keys. All of a thread lies in one slot, each part of the registry in its own."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.config import text

PARTS: Final = 16
"""Parts of the registry; stored data depends on it."""


class KeyNames:
    """The keys below a prefix. A script reaches one thread, or one part of the registry.

    Attributes:
        parts: the keys of each part.
    """

    def __init__(self, prefix: str) -> None:
        name = text("prefix", prefix)
        if not name or "{" in name:
            raise InvalidArgumentError(
                f"prefix: wanted some text without '{{', which is for hash tags, got {prefix!r}"
            )
        self._prefix = name.encode()
        self.parts = [self._part(number) for number in range(PARTS)]

    @property
    def schema(self) -> bytes:
        """Where the version of what is stored is noted."""
        return self._prefix + b":schema"

    def thread(self, thread_id: str) -> list[bytes]:
        """A thread's keys: its records, and their order."""
        own = self._prefix + b":{" + _tag(thread_id) + b"}:"
        return [own + b"records", own + b"order"]

    def registry(self, thread_id: str) -> list[bytes]:
        """The part of the registry that has a thread: by update, by expiry, labels."""
        return self.parts[crc32(thread_id.encode()) % PARTS]

    def _part(self, number: int) -> list[bytes]:
        own = self._prefix + b":threads:{%d}:" % number
        return [own + b"updated", own + b"expires", own + b"labels"]


def _tag(thread_id: str) -> bytes:
    """A thread id that can stand between braces: no `}`, not empty, no two alike."""
    if not thread_id:
        return b"%"
    return thread_id.replace("%", "%25").replace("}", "%7D").encode()
