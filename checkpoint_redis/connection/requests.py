"""What this backend's plans ask of its drivers: scripts, one or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from checkpoint_base.plan import Plan
from checkpoint_redis.connection.scripts import Script

Arg = bytes | str | int | float


class ScriptCall(NamedTuple):
    """A script with its keys, all of which lie in one slot, and its arguments."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[Arg]


class ScriptCalls(NamedTuple):
    """Request: run these scripts, none of which needs another's reply; the reply is the list of
    theirs. They are one round trip, or two where they are in order and in different slots.

    Attributes:
        calls: the scripts.
        in_order: none may run before the ones in front of it.
    """

    calls: Sequence[ScriptCall]
    in_order: bool = False


def call(script: Script, keys: Sequence[bytes], args: Sequence[Arg]) -> Plan[Any]:
    """The reply of one script."""
    (reply,) = yield ScriptCalls((ScriptCall(script, keys, args),))
    return reply


def calls(some: Sequence[ScriptCall], *, in_order: bool = False) -> Plan[list[Any]]:
    """The replies of several scripts; nothing is asked if there are none."""
    if not some:
        return []
    replies: list[Any] = yield ScriptCalls(some, in_order)
    return replies


def moment(seconds: float | None) -> bytes:
    """A time as scripts take it; empty for never."""
    return b"" if seconds is None else repr(seconds).encode()


def seconds(reply: bytes) -> float | None:
    """A time as scripts reply it."""
    return float(reply) if reply else None
