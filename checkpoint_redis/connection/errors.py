"""What is tried again after an error of Redis, and what the others are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from redis import exceptions

from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    CorruptValueError,
    InvalidArgumentError,
    PermissionDeniedError,
)
from checkpoint_redis.connection.connect import ESCAPES
from checkpoint_redis.connection.requests import ScriptCall
from checkpoint_redis.connection.scripts import commands_of

ERRORS: Final = (exceptions.RedisError, exceptions.RedisClusterException)
"""All that redis-py raises; the second is not one of the first."""

LOST: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,  # the primary has become a replica
    exceptions.ClusterDownError,
)
"""After these all that savers ask may be asked again: what is stored again is the same, what is
deleted again is gone.
"""

_UNAVAILABLE: Final = (
    *LOST,
    exceptions.ClusterError,
    exceptions.RedisClusterException,
    exceptions.TryAgainError,
    exceptions.OutOfMemoryError,
)
_NOT_NOW: Final = ("NOREPLICAS ", "MISCONF ", "BUSY ")
"""What errors without a class of redis-py's begin with that pass by themselves."""

_LOGIN: Final = (exceptions.AuthenticationError, exceptions.AuthorizationError)
_DENIED: Final = re.compile("no permissions? to|can't run this command|can't access at least one")
"""What servers since 6.2 say of a user's ACL; of a command in a script without a code."""
_COMMAND: Final = re.compile(r"to run the '([\w.|]+)' command")

_IN_SCRIPT: Final = re.compile(
    r"Error running script \(call to \w+\): @user_script: ?\d+: @user_script: ?\d+: -(\w+) (.*)",
    re.DOTALL,
)
_CORRUPT: Final = re.compile(r"\bCORRUPT (.*?)(?: script: \w+, on @user_script:\d+\.)?$", re.DOTALL)
"""What our scripts say of damage, and where in the script, which the server adds."""
_UNKNOWN: Final = re.compile(r"unexpected keyword argument '(\w+)'")
_CODES: Final = {"OOM": exceptions.OutOfMemoryError, "READONLY": exceptions.ReadOnlyError}


def unwrapped(error: Exception) -> Exception:
    """An error of a command in a script, as servers since Redis 7 tell it.

    Earlier ones put before it where in the script it happened, and redis-py sees no class in it.
    """
    match = _IN_SCRIPT.fullmatch(str(error))
    if match is None:
        return error
    code, told = match.groups()
    return _CODES[code](told) if code in _CODES else exceptions.ResponseError(f"{code} {told}")


@contextmanager
def accepted(url: str) -> Iterator[None]:
    """What redis-py does not take is an option of the URL that is wrong."""
    told = ""
    try:
        yield
    except (TypeError, ValueError) as error:
        told = str(error)
    except exceptions.RedisError as error:
        if type(error) is not exceptions.RedisError:
            raise
        told = str(error)
    if told:
        if unknown := _UNKNOWN.search(told):
            told = f"there is no option {unknown[1]!r}"
        if "@" in url.partition("?")[2]:  # then what looks like options is part of a password
            told = f"it has options that cannot be used ({ESCAPES})"
        raise InvalidArgumentError(f"conn_string: {told}")


def translate_error(error: Exception, call: ScriptCall | None = None) -> Exception:
    """The error to raise for one of the driver's, which becomes its cause.

    Args:
        error: the driver's.
        call: the script that the server answered with it, if it was one.
    """
    error = _behind(error)
    told = str(error).strip() or type(error).__name__
    if isinstance(error, _LOGIN):
        return PermissionDeniedError(
            f"Redis does not let this user in: {told}: are user and password right?"
        )
    if _DENIED.search(told.lower()):
        return PermissionDeniedError(
            f"Redis does not let this user do it, the ACL lacks {_missing(told, call)}: {told}"
        )
    if isinstance(error, _UNAVAILABLE) or told.startswith(_NOT_NOW):
        return BackendUnavailableError(f"Redis could not do it: {told}")
    if damage := _CORRUPT.search(told):
        key = f" (key {call.keys[0].decode(errors='replace')!r})" if call and call.keys else ""
        return CorruptValueError(damage[1] + key)
    # redis-py has had a class of its own for CROSSSLOT since 5.1
    if told.startswith("CROSSSLOT") or isinstance(
        error, (exceptions.ClusterCrossSlotError, exceptions.AskError)
    ):
        return CheckpointError(f"this server is a cluster, give the saver a RedisCluster: {told}")
    return error


def _behind(error: Exception) -> Exception:
    """The error because of which a client of a cluster says that it has reached no node."""
    found: BaseException | None = error
    while isinstance(found, exceptions.RedisClusterException):
        found = found.__cause__ or found.__context__
    is_refusal = isinstance(found, (*_LOGIN, exceptions.NoPermissionError))
    return found if is_refusal and isinstance(found, Exception) else error


def _missing(told: str, call: ScriptCall | None) -> str:
    """The rules of an ACL without which a call cannot run."""
    if command := _COMMAND.search(told):
        return f"+{command[1]}"
    if call is None:
        return "a command or a key"
    if "access" in told:
        return f"{' '.join(f'~{each}' for each in _patterns(call.keys))} (to read and to write)"
    return f"one of +{' +'.join(commands_of(call.script))}"


def _patterns(keys: Sequence[bytes]) -> list[str]:
    """The patterns of a saver's or a store's keys, without the names of threads."""
    found: dict[str, None] = {}
    for key in keys:
        head, brace, rest = key.decode().partition("{")
        if brace and not head:  # all of a store is in one slot
            found[f"{{{rest.partition('}')[0]}}}:*"] = None
        else:
            found[f"{head}*" if brace else head] = None
    return list(found)
