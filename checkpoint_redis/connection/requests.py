"""The requests of plans on Redis: run one script, or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from checkpoint_base.plan import Plan
from checkpoint_redis.connection.scripts import Script

Arg = bytes | str | int | float


class ScriptCall(NamedTuple):
    """A script with its keys, all in one slot of a cluster, and its arguments."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[Arg]


class ScriptCalls(NamedTuple):
    """Request: run scripts that do not need each other's replies; the reply is the list of their
    replies. It is one round trip; with `in_order`, a cluster takes one for each script.

    Attributes:
        calls: the scripts.
        in_order: run them in this order.
    """

    calls: Sequence[ScriptCall]
    in_order: bool = False


def call(script: Script, keys: Sequence[bytes], args: Sequence[Arg]) -> Plan[Any]:
    """Run one script, and return its reply."""
    (reply,) = yield ScriptCalls((ScriptCall(script, keys, args),))
    return reply


def calls(some: Sequence[ScriptCall], *, in_order: bool = False) -> Plan[list[Any]]:
    """Run several scripts, and return their replies. Without scripts there is no request."""
    if not some:
        return []
    replies: list[Any] = yield ScriptCalls(some, in_order)
    return replies


def moment(seconds: float | None) -> bytes:
    """A time or a duration as an argument of scripts; None is empty."""
    return b"" if seconds is None else repr(seconds).encode()


def seconds(reply: bytes) -> float | None:
    """A time or a duration from a script's reply; empty is None."""
    return float(reply) if reply else None
