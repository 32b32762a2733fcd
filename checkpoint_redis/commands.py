"""Scripts as commands: by their digest, and whole for a server that does not know them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redis.client import NEVER_DECODE
from redis.exceptions import NoScriptError

from checkpoint_redis.failures import LOST, named, unwrapped
from checkpoint_redis.requests import Call

Command = list[Any]

RAW: Final[dict[str, Any]] = {NEVER_DECODE: []}
"""Option of commands whose reply is bytes, whatever the client makes of others."""


def known(call: Call) -> Command:
    """The command for a server that has seen the script."""
    return [
        "EVALSHA",
        memoryview(bytearray(call.script.sha)),
        len(call.keys),
        *call.keys,
        *call.args,
    ]


def whole(call: Call) -> Command:
    """The command for one that has not; afterwards it has."""
    return ["EVAL", memoryview(bytearray(call.script.text)), len(call.keys), *call.keys, *call.args]


def withdraw(commands: Sequence[Command]) -> None:
    """Make commands void whose caller is cancelled. redis-py takes their bytes when it sends them,
    also when it sends them again: what it has not sent by then names no script, or one that does
    nothing.
    """
    for command in commands:
        command[1][:] = b" " * len(command[1])


def unknown(replies: Sequence[Any]) -> list[int]:
    """Which calls were not run because their script was not known."""
    return [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]


def checked(calls: Sequence[Call], replies: list[Any]) -> list[Any]:
    """The replies to calls, if none is an error.

    Raises:
        LOST: as they are, for they are asked again. All others as `named`.
    """
    for call, reply in zip(calls, replies, strict=True):
        if isinstance(reply, Exception):
            error = unwrapped(reply)
            if isinstance(error, LOST):
                raise error
            raise named(error, call) from reply
    return replies
