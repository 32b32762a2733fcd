"""Where harnesses change single bytes and exchange rows, in the tables of SQL databases."""

from __future__ import annotations

COLUMNS = {
    "value": ("values", "data"),
    "write": ("writes", "data"),
    "body": ("checkpoints", "body"),
    "versions": ("checkpoints", "versions"),
    "metadata": ("checkpoints", "metadata"),
    "digests": ("segments", "digests"),
}
"""Where a byte is changed."""
_VALUE = ("type", "data", "layout")
CONTENTS = {
    "value": _VALUE,
    "write": ("task_path", *_VALUE),
    "checkpoint": ("parent_id", "v", "versions", "link_checksum", "body_type", "body", "metadata"),
}
"""The columns that a record has besides its key."""


def flipped(stored: bytes) -> bytes:
    """Bytes with one of them changed, in the middle."""
    middle = len(stored) // 2
    return stored[:middle] + bytes([stored[middle] ^ 1]) + stored[middle + 1 :]
