"""Estimate a value's encoded size in advance, to decide whether to encode it off the event loop."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any, Final

from checkpoint_base.plan import OFFLOADED

CACHED_SIZES: Final = 50_000
"""Maximum number of channels whose last size is cached: about 10 MB."""

_ENTRIES: Final = 16  # the size of a longer collection is not estimated from its items
_FIXED: Final = 16  # approximate bytes of a number

SizeKey = tuple[str, str, bool]
"""(thread id, channel, whether it is a pending write)"""


class ChannelSizes:
    """Cache of the last encoded size of each channel, for the most recently encoded channels.

    A wrong size only costs time: a blocked event loop, or a needless switch to a worker thread.
    """

    def __init__(self, capacity: int = CACHED_SIZES) -> None:
        self._capacity = capacity
        self._sizes: dict[SizeKey, int] = {}
        self._lock = Lock()

    def note(self, key: SizeKey, value: Any, size: int) -> None:
        """Record that `value` was encoded as `size` bytes."""
        if _visible_size(value) is None and self._sizes.get(key) != size:
            with self._lock:
                self._sizes.pop(key, None)
                self._sizes[key] = size
                if len(self._sizes) > self._capacity:
                    del self._sizes[next(iter(self._sizes))]

    def estimate(self, values: Iterable[tuple[SizeKey, Any]]) -> int:
        """Estimate the total encoded bytes. A value of unknown size counts as too large to encode
        on the event loop.
        """
        total = 0
        for key, value in values:
            size = _visible_size(value)
            total += self._sizes.get(key, OFFLOADED + 1) if size is None else size
        return total


def _visible_size(value: Any, depth: int = 2) -> int | None:
    """Estimate a value's encoded bytes if it is a scalar or a small collection, or else None."""
    kind = type(value)
    if kind is str or kind is bytes or kind is bytearray:
        return len(value)
    if value is None or kind is int or kind is float or kind is bool:
        return _FIXED
    if kind not in (list, tuple, dict) or not depth or len(value) > _ENTRIES:
        return None
    total = 0
    for entry in (*value, *value.values()) if kind is dict else value:
        size = _visible_size(entry, depth - 1)
        if size is None:
            return None
        total += size
    return total
