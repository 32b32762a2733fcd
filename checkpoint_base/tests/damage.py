"""Where harnesses change single bytes and exchange rows, in the tables of SQL databases."""

from __future__ import annotations

COLUMNS = {
    "value": ("checkpoints", "small"),
    "longer value": ("values", "data"),
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
    "checkpoint": (
        *("parent_id", "v", "versions", "link_checksum", "body_type", "body", "metadata", "small"),
    ),
}
"""The columns that a record has besides its key."""


CONDITIONS = {
    "value": "WHERE small IS NOT NULL",
    "longer value": "WHERE layout IS NULL AND length(data) BETWEEN 1000 AND 2100",
}
"""Of which rows."""


def flipped(stored: bytes, record: str = "") -> bytes:
    """Bytes with one of them changed: in the middle, or of embedded values the last but one, which
    is none of those that say what there is.
    """
    at = len(stored) - 2 if record == "value" else len(stored) // 2
    return stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
