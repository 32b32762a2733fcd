"""How large values are before they are encoded: whether encoding would hold up an event loop."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any, Final

from checkpoint_base.plan import OFFLOADED

CACHED_SIZES: Final = 50_000
"""Channels whose last size is remembered: about 10 MB at most."""

_ENTRIES: Final = 16  # a longer collection is not looked at before it is encoded
_FIXED: Final = 16  # bytes of a number, about

SizeKey = tuple[str, str, bool]
"""(thread id, channel, whether it is a pending write)"""


class ChannelSizes:
    """The sizes that the channels of the threads used last had when they were encoded.

    A wrong size costs time, of the event loop or of a change to another thread, and nothing else.
    """

    def __init__(self, capacity: int = CACHED_SIZES) -> None:
        self._capacity = capacity
        self._sizes: dict[SizeKey, int] = {}
        self._lock = Lock()

    def note(self, key: SizeKey, value: Any, size: int) -> None:
        """Note that `value` was encoded as `size` bytes."""
        if _visible_size(value) is None and self._sizes.get(key) != size:
            with self._lock:
                self._sizes.pop(key, None)
                self._sizes[key] = size
                if len(self._sizes) > self._capacity:
                    del self._sizes[next(iter(self._sizes))]

    def estimate(self, values: Iterable[tuple[SizeKey, Any]]) -> int:
        """About how many bytes some values will be; too many to be encoded on an event loop, if
        there is one of which nothing is known.
        """
        total = 0
        for key, value in values:
            size = _visible_size(value)
            total += self._sizes.get(key, OFFLOADED + 1) if size is None else size
        return total


def _visible_size(value: Any, depth: int = 2) -> int | None:
    """About how many bytes a value will be, if a short look tells that."""
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
