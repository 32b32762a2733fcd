"""The options that caches have in common, and what becomes of them when they are checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from langgraph.checkpoint.serde.base import SerializerProtocol
from typing_extensions import TypedDict

from checkpoint_base.cache.upkeep import checked_max_bytes
from checkpoint_base.deadlines.timeouts import checked_call_timeout

CACHE_TIMEOUT: Final = 5.0
"""Seconds; the default `call_timeout` of caches: short, so that a dead cache cannot stall runs."""


class CacheOptions(TypedDict, total=False):
    """Keyword arguments of every cache's constructor and `from_conn_string`.

    Attributes:
        serde: serializer of the values; None: LangGraph's `JsonPlusSerializer`. It must not pickle:
            anyone who can write to the cache could run code in its readers.
        encrypted: set it if `serde` encrypts, but is not LangGraph's `EncryptedSerializer` and
            has no `cipher`.
        max_bytes: maximum total bytes of entries; beyond that, the oldest-stored are removed. A
            process checks the total after it has stored a sixteenth of it, so each process may
            exceed the limit by that much. None: no limit.
        clock: returns the time in epoch seconds; a `CachePolicy`'s `ttl` (seconds) runs by it.
        call_timeout: seconds that each step of a call may take, with its retries and its wait for
            a connection; None: no limit.
    """

    serde: SerializerProtocol | None
    encrypted: bool
    max_bytes: int | None
    clock: Callable[[], float]
    call_timeout: float | None


@dataclass(frozen=True)
class CacheSettings:
    """Checked `CacheOptions`, with defaults for those that are not given.

    Attributes:
        max_bytes: infinite without a limit.
    """

    max_bytes: float
    serde: SerializerProtocol | None = None
    encrypted: bool = False
    clock: Callable[[], float] = time.time
    call_timeout: float | None = CACHE_TIMEOUT

    @classmethod
    def of(cls, options: CacheOptions) -> CacheSettings:
        """Check the options.

        Raises:
            InvalidArgumentError: `max_bytes` or `call_timeout` is invalid.
            TypeError: an option is unknown.
        """
        checked: dict[str, Any] = {
            "max_bytes": checked_max_bytes(options.get("max_bytes")),
            "call_timeout": checked_call_timeout(options.get("call_timeout", CACHE_TIMEOUT)),
        }
        return cls(**{**options, **checked})
