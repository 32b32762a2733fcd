"""EVALSHA and EVAL commands, and the retry of a request: what both drivers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis
from redis.client import NEVER_DECODE
from redis.exceptions import NoScriptError, ReadOnlyError

from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.plan import Plan
from checkpoint_redis.connection.errors import ERRORS, LOST, translate_error, unwrapped
from checkpoint_redis.connection.requests import Arg, ScriptCall, ScriptCalls

Command = list[Any]

TAKES_NAME: Final = tuple(map(int, redis.__version__.split(".")[:2])) < (5, 3)
"""Whether `get_connection` of a pool takes the name of a command: redis-py before 5.3."""

_LARGE: Final = 1 << 16
"""Bytes. A larger request is sent on its own connection, so that it does not delay others."""

RAW: Final[dict[str, Any]] = {NEVER_DECODE: []}
"""Option of a command whose reply is bytes even if the client decodes responses."""


class CommandBatch:
    """Script calls of one caller, sent to the server together.

    Args:
        calls: the scripts.
        whole: send the text of the scripts (EVAL) instead of their digest (EVALSHA).

    Attributes:
        withdrawn: the caller was cancelled: if the batch is not sent yet, it must not be.
    """

    __slots__ = ("_commands", "_encoded", "calls", "whole", "withdrawn")

    def __init__(self, calls: Sequence[ScriptCall], *, whole: bool = False) -> None:
        self.calls = calls
        self.whole = whole
        self.withdrawn = False
        self._commands: list[Command] | None = None
        self._encoded: bytes | None = None

    def encoded(self) -> bytes:
        """The commands in Redis's protocol, to be written to a connection."""
        if self._encoded is None:
            self._encoded = self._encode()
        return self._encoded

    @property
    def is_large(self) -> bool:
        """Whether it would delay other batches on its connection."""
        if self._encoded is not None:
            return len(self._encoded) > _LARGE
        return any(
            type(arg) is bytes and len(arg) > _LARGE for one in self.calls for arg in one.args
        )

    def _encode(self) -> bytes:
        name = b"EVAL" if self.whole else b"EVALSHA"
        pieces = []
        for script, keys, args in self.calls:
            text = script.text if self.whole else script.sha
            pieces.append(b"*%d\r\n" % (3 + len(keys) + len(args)))
            for arg in (name, text, b"%d" % len(keys), *keys, *args):
                data = arg if type(arg) is bytes else _encoded(arg)
                pieces.append(b"$%d\r\n%b\r\n" % (len(data), data))
        return b"".join(pieces)

    def commands(self) -> list[Command]:
        """The commands as lists, for a client that encodes them itself."""
        if self._commands is None:
            name = "EVAL" if self.whole else "EVALSHA"
            self._commands = [
                [name, _withdrawable(self.whole, call), len(call.keys), *call.keys, *call.args]
                for call in self.calls
            ]
        return self._commands

    def withdraw(self) -> None:
        """Make the batch harmless if it is not sent yet: its caller was cancelled.

        A client reads the arguments when it sends them, also when it retries. So the digest is
        overwritten by blanks, which no script has, and the text by an empty script.
        """
        self.withdrawn = True
        for command in self._commands or ():
            command[1][:] = b" " * len(command[1])


def _withdrawable(whole: bool, call: ScriptCall) -> memoryview:
    return memoryview(bytearray(call.script.text if whole else call.script.sha))


def _encoded(arg: Arg) -> bytes:
    if isinstance(arg, str):
        return arg.encode()
    return arg if isinstance(arg, bytes) else repr(arg).encode()


class LeavePrimary:
    """Request: drop idle connections. After a failover new ones reach the new primary, at the same
    address.
    """


def exchange(request: ScriptCalls, deadline: Deadline, *, of_cluster: bool) -> Plan[list[Any]]:
    """Perform a planner's request, with one retry if the connection failed. This is a plan whose
    own requests are `CommandBatch` and `LeavePrimary`.

    Args:
        request: the scripts.
        deadline: after it there is no retry.
        of_cluster: whether the client is of a cluster.

    Raises:
        BackendUnavailableError: the retry failed, too, or the time is over.
        CheckpointError: as `translate_error` says.
    """
    try:
        try:
            return (yield from attempt(request, of_cluster=of_cluster))
        except LOST as error:
            if deadline.is_over:
                raise
            if isinstance(error, ReadOnlyError) and not of_cluster:
                yield LeavePrimary()
            return (yield from attempt(request, of_cluster=of_cluster))
    except ERRORS as error:
        is_late = isinstance(error, LOST) and deadline.is_over
        raise (deadline.error() if is_late else translate_error(error)) from error


def attempt(request: ScriptCalls, *, of_cluster: bool) -> Plan[list[Any]]:
    """`exchange` without the retry. One server runs a pipeline in order; a cluster does not, so
    calls that must be in order are sent one by one.
    """
    if not request.in_order or not of_cluster:
        return (yield from _together(request.calls))
    replies: list[Any] = []
    for call in request.calls:
        replies += yield from _together((call,))
    return replies


def _together(calls: Sequence[ScriptCall]) -> Plan[list[Any]]:
    replies: list[Any] = yield CommandBatch(calls)
    unknown = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if unknown:
        found: list[Any] = yield CommandBatch([calls[n] for n in unknown], whole=True)
        for n, reply in zip(unknown, found, strict=True):
            replies[n] = reply
    for call, reply in zip(calls, replies, strict=True):
        if isinstance(reply, Exception):
            error = unwrapped(reply)
            if isinstance(error, LOST):
                raise error
            raise translate_error(error, call) from reply
    return replies
