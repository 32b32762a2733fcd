"""Checksums of stored records, each bound to the record's identity.

A checksum covers a record's bytes, its key, and its thread's *salt*: random bytes in the thread's
row. So reading detects a damaged record, and one that was moved to another record's place.
`copy_thread` copies the salt too, so that the copied checksums stay valid.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from xxhash import xxh3_64_digest

from checkpoint_base.errors import CorruptValueError

SALT_SIZE: Final = 16
"""Bytes of a thread's salt."""
CHECKSUM_SIZE: Final = 8
"""Bytes of a record's checksum."""


def new_salt() -> bytes:
    """Draw a random salt for a new thread."""
    return secrets.token_bytes(SALT_SIZE)


def checksum(salt: bytes, names: Sequence[str], *data: bytes) -> bytes:
    """The checksum of a record.

    Args:
        salt: the thread's salt.
        names: the record's kind, its key and its other text, in a fixed order. They must not
            contain NUL, the separator that keeps different lists distinct.
        data: the record's bytes.
    """
    head = "\0".join([*names, *map(str, map(len, data))])
    return xxh3_64_digest(b"".join((salt, head.encode(), *data)))


def with_checksum(salt: bytes, names: Sequence[str], data: bytes, *more: bytes) -> bytes:
    """The data followed by its checksum, which also covers `more`."""
    return data + checksum(salt, names, data, *more)


def without_checksum(
    thread_id: str, salt: bytes, names: Sequence[str], stored: bytes, *more: bytes
) -> bytes:
    """Verify and strip the checksum of `with_checksum`; `thread_id` is only for the error.

    Raises:
        CorruptValueError: the record was damaged, or belongs to another key.
    """
    try:
        data, expected = stored[:-CHECKSUM_SIZE], stored[-CHECKSUM_SIZE:]
        is_intact = checksum(salt, names, data, *more) == expected
    except TypeError:  # SQLite types are per row, so a damaged row may contain another type
        is_intact = False
    if not is_intact:
        raise damaged(thread_id, names)
    return data


def damaged(thread_id: str, names: Sequence[str]) -> CorruptValueError:
    """The error for a record that does not match its checksum."""
    kind, *key = names
    return CorruptValueError(
        f"thread {thread_id!r}: the stored {kind} {' / '.join(map(repr, key[:4]))} does not match "
        "its checksum: it was damaged, or another record stands in its place"
    )
