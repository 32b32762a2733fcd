"""Checksums of stored records, each bound to the record's identity.

A checksum covers a record's bytes, its key, and its thread's *salt*: random bytes in the thread's
row. So a record that was damaged, or that stands where another one belongs, is found when it is
read. `copy_thread` copies the salt with the rows, which therefore stay valid as they are.
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
    """The salt of a new thread."""
    return secrets.token_bytes(SALT_SIZE)


def checksum(salt: bytes, names: Sequence[str], *data: bytes) -> bytes:
    """The checksum of a record.

    Args:
        salt: of its thread.
        names: the kind of the record, its key and its other text, in a fixed order. None of them
            has a NUL, so that no two lists of names are the same when they are joined.
        data: its bytes.
    """
    head = "\0".join([*names, *map(str, map(len, data))])
    return xxh3_64_digest(b"".join((salt, head.encode(), *data)))


def with_checksum(salt: bytes, names: Sequence[str], data: bytes, *more: bytes) -> bytes:
    """A record's data with its checksum behind it, which covers `more` bytes as well."""
    return data + checksum(salt, names, data, *more)


def without_checksum(
    thread_id: str, salt: bytes, names: Sequence[str], stored: bytes, *more: bytes
) -> bytes:
    """The data that `with_checksum` was given; `thread_id` is for the error only.

    Raises:
        CorruptValueError: the record was damaged, or it is another one.
    """
    try:
        data, expected = stored[:-CHECKSUM_SIZE], stored[-CHECKSUM_SIZE:]
        is_intact = checksum(salt, names, data, *more) == expected
    except TypeError:  # in a SQLite file each row says of which types its columns are
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
