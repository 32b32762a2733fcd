"""Names of Redis keys. A thread is in one slot, and so is each part of the registry."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.config import text

PARTS: Final = 16
"""Parts of the registry. Stored data depends on this number: do not change it."""


class KeyNames:
    """The keys below a prefix. A script gets those of one thread, or of one part of the registry.

    Attributes:
        parts: the keys of each part of the registry.

    Raises:
        InvalidArgumentError: the prefix is empty or has a brace.
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
        """The key of the schema version."""
        return self._prefix + b":schema"

    @property
    def lease(self) -> bytes:
        """The key of the lease of the process that applies a retention policy."""
        return self._prefix + b":lease"

    def thread(self, thread_id: str) -> list[bytes]:
        """A thread's keys: records (a hash), and their order (a sorted set)."""
        own = self._prefix + b":{" + _tag(thread_id) + b"}:"
        return [own + b"records", own + b"order"]

    def registry(self, thread_id: str) -> list[bytes]:
        """The keys of a thread's part of the registry: by update, by expiry, labels."""
        return self.parts[crc32(thread_id.encode()) % PARTS]

    def _part(self, number: int) -> list[bytes]:
        own = self._prefix + b":threads:{%d}:" % number
        return [own + b"updated", own + b"expires", own + b"labels"]


def _tag(thread_id: str) -> bytes:
    """A thread id, escaped for a hash tag: it has no `}`, is not empty, and is unique."""
    if not thread_id:
        return b"%"
    return thread_id.replace("%", "%25").replace("}", "%7D").encode()
