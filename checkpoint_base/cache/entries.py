"""Format of a cache entry: its id, and its bytes with a checksum.

An entry's id is the digest of its namespace followed by the digest of its key, 32 hexadecimal
digits each. So two names cannot collide through a separator in their text, names of any length fit
every index, and the entries of a namespace are a key range. The checksum covers the full names and
the expiry, and so detects a damaged entry, a moved entry and a digest collision.
"""

from __future__ import annotations

import json
import math
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from langgraph.cache.base import FullKey, Namespace

from checkpoint_base.errors import CorruptValueError, InvalidArgumentError
from checkpoint_base.saver.records.checksums import CHECKSUM_SIZE, checksum
from checkpoint_base.saver.records.kinds import Typed

_DIGEST: Final = 16  # bytes
AFTER_DIGITS: Final = "g"
"""A namespace's digest followed by this is the exclusive end of the range of its entries."""


class CacheEntry(NamedTuple):
    """A stored entry."""

    id: str
    data: bytes
    expires_at: float | None
    """epoch seconds; None: never"""


def namespace_id(namespace: Namespace) -> str:
    """The common prefix of the ids of a namespace's entries.

    Raises:
        InvalidArgumentError: the namespace is not a tuple or list of strings.
    """
    return _digest(_namespace_text(namespace))


def entry_id(name: FullKey) -> str:
    """The id of an entry.

    Raises:
        InvalidArgumentError: the name is not a (namespace, key) pair.
    """
    namespace, key = _texts(name)
    return _digest(namespace) + _digest(key)


def encode(name: FullKey, value: Typed, expires_at: float | None) -> bytes:
    """Encode an entry: serializer type, NUL, data, checksum. `expires_at` is in epoch seconds."""
    kind, data = value
    return b"".join((kind.encode(), b"\0", data, _checksum(name, kind, expires_at, data)))


def decode(name: FullKey, data: bytes, expires_at: float | None) -> Typed:
    """Verify an entry, and return the value that was passed to `encode`.

    Raises:
        CorruptValueError: the entry was damaged, or belongs to another name or expiry.
    """
    kind, found, rest = bytes(data).partition(b"\0")
    value, expected = rest[:-CHECKSUM_SIZE], rest[-CHECKSUM_SIZE:]
    text = kind.decode(errors="replace")
    if not found or _checksum(name, text, expires_at, value) != expected:
        raise CorruptValueError(
            "a stored entry does not match its checksum: it was damaged, or another one stands in "
            "its place"
        )
    return text, value


def expiry(ttl: Any, now: float) -> float | None:
    """The expiry, in epoch seconds, of an entry that is stored now for `ttl` seconds.

    Raises:
        InvalidArgumentError: `ttl` is neither a number nor None.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or math.isnan(ttl):
        raise InvalidArgumentError(f"ttl: wanted seconds, or None for ever, got {ttl!r:.80}")
    return now + ttl


def _checksum(name: FullKey, kind: str, expires_at: float | None, data: bytes) -> bytes:
    until = None if expires_at is None else float(expires_at)
    return checksum(b"", ("cache entry", *_texts(name), kind, repr(until)), data)


def _texts(name: Any) -> tuple[str, str]:
    if not isinstance(name, (tuple, list)) or len(name) != 2 or not isinstance(name[1], str):
        raise InvalidArgumentError(f"keys: wanted (namespace, key), got {name!r:.80}")
    return _namespace_text(name[0]), json.dumps(name[1])


def _namespace_text(namespace: Any) -> str:
    is_sequence = isinstance(namespace, (tuple, list))
    if not is_sequence or not all(isinstance(label, str) for label in namespace):
        raise InvalidArgumentError(f"namespace: wanted a tuple of texts, got {namespace!r:.80}")
    return json.dumps(list(namespace))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=_DIGEST).hexdigest()
