"""The options that savers have in common, and what becomes of them when they are checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from typing_extensions import TypedDict

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT, checked_call_timeout
from checkpoint_base.saver.codec.values import OnUnreadable
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.saver.ttl.retention import Retention


class CommonSaverOptions(TypedDict, total=False):
    """`SaverOptions` without `serde`, for constructors that also take that one by position."""

    on_unreadable: OnUnreadable
    encrypted: bool
    deduplicate: bool
    ttl: Mapping[str, Any] | TTLPolicy | None
    clock: Callable[[], float]
    call_timeout: float | None
    retention: Retention | None


class SaverOptions(CommonSaverOptions, total=False):
    """Keyword arguments of every saver's constructor and `from_conn_string`.

    Attributes:
        serde: serializer of the values; None: LangGraph's `JsonPlusSerializer`.
        on_unreadable: what a read does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError; `"skip"` the channel or write, with a warning; or
            `"langgraph"`: return what LangGraph's serializer makes of it.
        encrypted: set it if `serde` encrypts, but is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: then metadata is encrypted as well.
        deduplicate: store chunks that a thread's large values share only once. False: store each
            value whole, which is faster if values are replaced rather than extended.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        clock: returns the time in epoch seconds; `ttl` runs by it.
        call_timeout: seconds that each step of a call may take, with its retries and its wait for
            a connection (`checkpoint_base.deadlines.timeouts`); None: no limit.
        retention: a policy that sweeps apply; of several processes one at a time.
    """

    serde: SerializerProtocol | None


@dataclass(frozen=True)
class SaverSettings:
    """Checked `SaverOptions`, with defaults for those that are not given."""

    serde: SerializerProtocol | None = None
    on_unreadable: OnUnreadable = "raise"
    encrypted: bool = False
    deduplicate: bool = True
    ttl: TTLPolicy = field(default_factory=TTLPolicy)
    clock: Callable[[], float] = time.time
    call_timeout: float | None = CALL_TIMEOUT
    retention: Retention | None = None

    @classmethod
    def of(cls, options: SaverOptions) -> SaverSettings:
        """Check the options.

        Raises:
            InvalidArgumentError: `ttl`, `call_timeout` or `retention` is invalid.
            TypeError: an option is unknown.
        """
        retention = options.get("retention")
        checked: dict[str, Any] = {
            "ttl": TTLPolicy.of(options.get("ttl")),
            "call_timeout": checked_call_timeout(options.get("call_timeout", CALL_TIMEOUT)),
            "retention": None if retention is None else Retention.of(retention),
        }
        return cls(**{**options, **checked})
