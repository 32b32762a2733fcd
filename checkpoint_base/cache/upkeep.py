"""When a process removes expired entries of a cache, and when it checks the size limit."""

from __future__ import annotations

import math
from typing import Any, Final

from checkpoint_base.errors import InvalidArgumentError

_UPKEEP: Final = 3600.0  # seconds between two removals of expired entries
_PARTS: Final = 16  # check the size after storing this fraction of `max_bytes`


def checked_max_bytes(max_bytes: Any) -> float:
    """A checked `max_bytes`; infinite without a limit.

    Raises:
        InvalidArgumentError: it is not a number above 0.
    """
    if max_bytes is None:
        return math.inf
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes <= 0:
        raise InvalidArgumentError(
            f"max_bytes: wanted a number above 0, or None for no limit, got {max_bytes!r:.80}"
        )
    return max_bytes


class Upkeep:
    """Decides when this process removes expired entries and checks the total size.

    Attributes:
        max_bytes: maximum total bytes; infinite without a limit.
    """

    def __init__(self, max_bytes: float) -> None:
        self.max_bytes = max_bytes
        # the total that other processes have stored is unknown, so the first `set` checks it
        self._stored = math.inf if max_bytes < math.inf else 0.0
        self._due = -math.inf

    def is_full(self, size: int) -> bool:
        """Add `size` stored bytes; whether the total size must be checked now."""
        self._stored += size
        if self._stored < self.max_bytes / _PARTS or self.max_bytes == math.inf:
            return False
        self._stored = 0.0
        return True

    def is_due(self, now: float) -> bool:
        """Whether expired entries must be removed now: once an hour."""
        if now < self._due:
            return False
        self._due = now + _UPKEEP
        return True
