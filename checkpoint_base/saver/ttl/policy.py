"""Time to live of threads. One clock per thread: it expires whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from checkpoint_base.errors import InvalidArgumentError

STRATEGIES: Final = ("delete", "keep_latest")
DEFAULT_INTERVAL: Final = 60.0
"""Minutes between two sweeps when nobody says."""
LONGEST: Final = 4e9
"""Minutes; the moment so far from now has a date, which `list_threads` shows."""
_KEYS: Final = frozenset(
    {"strategy", "default_ttl", "sweep_interval_minutes", "refresh_on_read", "sweep_limit"}
)


def minutes(name: str, value: Any) -> float:
    """`value` as minutes: more than 0, and no more than `LONGEST`.

    Raises:
        InvalidArgumentError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidArgumentError(f"{name}: wanted minutes as a number, got {value!r}")
    if not 0 < value <= LONGEST:
        raise InvalidArgumentError(
            f"{name}: wanted more than 0 and at most {LONGEST:.0f} minutes, got {value!r}"
        )
    return float(value)


def switch(name: str, value: Any, *, default: bool) -> bool:
    """`value` as a switch; None, which is JSON's null, is the default.

    Raises:
        InvalidArgumentError: it is something else, such as "no", which is true in Python.
    """
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{name}: wanted True or False, got {value!r:.80}")
    return value


def refresh_threshold(ttl: float) -> float:
    """By more than how many seconds a read must move an expiry, so that it does: most reads then
    write nothing. 2 % of the time to live and at least a second, but never more than half of it.

    Args:
        ttl: minutes.
    """
    return min(max(1.2 * ttl, 1.0), 30.0 * ttl)


def is_refresh_due(expires_at: float, ttl: float, now: float) -> bool:
    """Whether a read at `now` moves an expiry: only if that moves it far enough, earlier or later.

    Args:
        expires_at: as it was read, epoch seconds.
        ttl: minutes.
        now: epoch seconds.
    """
    return abs(now + 60.0 * ttl - expires_at) > refresh_threshold(ttl)


@dataclass(frozen=True)
class TTLPolicy:
    """What `ttl=` of a saver means.

    Attributes:
        strategy: `"delete"` removes an expired thread; `"keep_latest"` prunes it to its newest
            checkpoints and lets it live on.
        default_ttl: minutes from a thread's last touch to its expiry; None: no expiry, unless a
            run asks for one with `config["configurable"]["ttl"]`.
        sweep_interval_minutes: minutes between two sweeps of `start_ttl_sweeper`.
        sweep_limit: how many threads one sweep deals with at most; None: all that have expired.
        refresh_on_read: whether reading a thread counts as a touch, as writing always does.
    """

    strategy: str = "delete"
    default_ttl: float | None = None
    sweep_interval_minutes: float = DEFAULT_INTERVAL
    refresh_on_read: bool = True
    sweep_limit: int | None = None

    @classmethod
    def of(cls, ttl: Mapping[str, Any] | TTLPolicy | None) -> TTLPolicy:
        """Read LangGraph's `langgraph.json` shape.

        Raises:
            InvalidArgumentError: an unknown key, strategy or unit.
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
        """Whether an expired thread is absent (otherwise a sweep only prunes it)."""
        return self.strategy == "delete"

    def refreshed(self, expires_at: float, override: float | None, now: float) -> float:
        """The expiry of a thread after a read at `now`: as it was, unless that moves it far enough.
        A reader whose policy has no time to live leaves a thread its expiry.
        """
        ttl = self.default_ttl if override is None else override
        if not self.refresh_on_read or ttl is None or not is_refresh_due(expires_at, ttl, now):
            return expires_at
        return now + ttl * 60.0

    def expiry(self, now: float, override: float | None) -> float | None:
        """When a thread touched at `now` (epoch seconds) expires; `override` is in minutes."""
        ttl = self.default_ttl if override is None else override
        return None if ttl is None else now + ttl * 60.0
