"""TTL policy of threads. Each thread has one expiry, for all of its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from checkpoint_base.errors import InvalidArgumentError

STRATEGIES: Final = ("delete", "keep_latest")
DEFAULT_INTERVAL: Final = 60.0
"""Default minutes between two sweeps."""
LONGEST: Final = 4e9
"""Maximum minutes. An expiry that far ahead is still a valid timestamp."""
_KEYS: Final = frozenset(
    {"strategy", "default_ttl", "sweep_interval_minutes", "refresh_on_read", "sweep_limit"}
)


def minutes(name: str, value: Any) -> float:
    """Validate `value` as minutes: more than 0, and at most `LONGEST`.

    Raises:
        InvalidArgumentError: the value is not such a number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidArgumentError(f"{name}: wanted minutes as a number, got {value!r}")
    if not 0 < value <= LONGEST:
        raise InvalidArgumentError(
            f"{name}: wanted more than 0 and at most {LONGEST:.0f} minutes, got {value!r}"
        )
    return float(value)


def switch(name: str, value: Any, *, default: bool) -> bool:
    """Validate `value` as a bool; None (JSON's null) becomes the default.

    Raises:
        InvalidArgumentError: the value is not a bool, such as "no", which is true in Python.
    """
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{name}: wanted True or False, got {value!r:.80}")
    return value


def refresh_threshold(ttl: float) -> float:
    """The minimum change of an expiry, in seconds, that a read writes; so most reads write nothing.

    2 % of the time to live, at least a second, but at most half of the time to live.

    Args:
        ttl: time to live in minutes.
    """
    return min(max(1.2 * ttl, 1.0), 30.0 * ttl)


def is_refresh_due(expires_at: float, ttl: float, now: float) -> bool:
    """Whether a read at `now` must move an expiry, earlier or later: see `refresh_threshold`.

    Args:
        expires_at: the current expiry in epoch seconds.
        ttl: time to live in minutes.
        now: epoch seconds.
    """
    return abs(now + 60.0 * ttl - expires_at) > refresh_threshold(ttl)


@dataclass(frozen=True)
class TTLPolicy:
    """The validated `ttl=` argument of a saver.

    Attributes:
        strategy: `"delete"` removes an expired thread; `"keep_latest"` prunes it to its newest
            checkpoints and removes its expiry.
        default_ttl: minutes from a thread's last write (or read) to its expiry; None: no expiry,
            unless a run sets `config["configurable"]["ttl"]`.
        sweep_interval_minutes: minutes between two sweeps of `start_ttl_sweeper`.
        sweep_limit: maximum number of threads per sweep; None: all that have expired.
        refresh_on_read: whether a read moves the expiry, as a write always does.
    """

    strategy: str = "delete"
    default_ttl: float | None = None
    sweep_interval_minutes: float = DEFAULT_INTERVAL
    refresh_on_read: bool = True
    sweep_limit: int | None = None

    @classmethod
    def of(cls, ttl: Mapping[str, Any] | TTLPolicy | None) -> TTLPolicy:
        """Validate a mapping in the format of `langgraph.json`; None: no time to live.

        Raises:
            InvalidArgumentError: a key or the strategy is unknown, or a value is invalid.
        """
        if ttl is None:
            return cls()
        if isinstance(ttl, TTLPolicy):
            return ttl
        if not isinstance(ttl, Mapping):
            raise InvalidArgumentError(f"ttl: wanted a mapping with {sorted(_KEYS)}, got {ttl!r}")
        if unknown := sorted(set(ttl) - _KEYS):
            raise InvalidArgumentError(f"ttl: unknown keys {unknown}, known are {sorted(_KEYS)}")
        strategy = ttl.get("strategy", "delete")
        if strategy not in STRATEGIES:
            raise InvalidArgumentError(f"ttl['strategy']: wanted {STRATEGIES}, got {strategy!r}")
        default, interval = ttl.get("default_ttl"), ttl.get("sweep_interval_minutes")
        limit = ttl.get("sweep_limit")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise InvalidArgumentError(f"ttl['sweep_limit']: wanted 1 or more, got {limit!r}")
        return cls(
            strategy=strategy,
            default_ttl=None if default is None else minutes("ttl['default_ttl']", default),
            sweep_interval_minutes=DEFAULT_INTERVAL
            if interval is None
            else minutes("ttl['sweep_interval_minutes']", interval),
            refresh_on_read=switch(
                "ttl['refresh_on_read']", ttl.get("refresh_on_read"), default=True
            ),
            sweep_limit=limit,
        )

    @property
    def expires_whole(self) -> bool:
        """Whether an expired thread reads as absent; otherwise a sweep only prunes it."""
        return self.strategy == "delete"

    def refreshed(self, expires_at: float, override: float | None, now: float) -> float:
        """The expiry of a thread, in epoch seconds, after a read at `now`.

        It stays the same if the change would be too small, if `refresh_on_read` is off, or if
        neither the thread nor this policy has a time to live.

        Args:
            expires_at: the current expiry in epoch seconds.
            override: the thread's own time to live in minutes; None: the default.
            now: epoch seconds.
        """
        ttl = self.default_ttl if override is None else override
        if not self.refresh_on_read or ttl is None or not is_refresh_due(expires_at, ttl, now):
            return expires_at
        return now + ttl * 60.0

    def expiry(self, now: float, override: float | None) -> float | None:
        """The expiry, in epoch seconds, of a thread that is read or written at `now`; `override`
        is the thread's own time to live in minutes.
        """
        ttl = self.default_ttl if override is None else override
        return None if ttl is None else now + ttl * 60.0
