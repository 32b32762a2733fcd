"""Errors of redis-py: which of them are retried, and the library's error for each."""

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
"""Base classes of all errors of redis-py; the second does not inherit from the first."""

LOST: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,  # the primary has become a replica
    exceptions.ClusterDownError,
)
"""Errors after which a request is retried: the server may or may not have run it. Requests are
idempotent: storing the same again or deleting again changes nothing.
"""

_UNAVAILABLE: Final = (
    *LOST,
    exceptions.ClusterError,
    exceptions.RedisClusterException,
    exceptions.TryAgainError,
    exceptions.OutOfMemoryError,
)
_NOT_NOW: Final = ("NOREPLICAS ", "MISCONF ", "BUSY ")
"""How temporary errors begin for which redis-py has no class."""

_LOGIN: Final = (exceptions.AuthenticationError, exceptions.AuthorizationError)
_DENIED: Final = re.compile("no permissions? to|can't run this command|can't access at least one")
"""Messages by which servers since 6.2 deny a command by ACL. Inside a script they have no code."""
_COMMAND: Final = re.compile(r"to run the '([\w.|]+)' command")

_IN_SCRIPT: Final = re.compile(
    r"Error running script \(call to \w+\): @user_script: ?\d+: @user_script: ?\d+: -(\w+) (.*)",
    re.DOTALL,
)
_CORRUPT: Final = re.compile(r"\bCORRUPT (.*?)(?: script: \w+, on @user_script:\d+\.)?$", re.DOTALL)
"""How this library's scripts report damage; the server appends the place in the script."""
_UNKNOWN: Final = re.compile(r"unexpected keyword argument '(\w+)'")
_CODES: Final = {"OOM": exceptions.OutOfMemoryError, "READONLY": exceptions.ReadOnlyError}


def unwrapped(error: Exception) -> Exception:
    """The error of a command inside a script, without the prefix that Redis before 7 adds.

    The prefix, the place in the script, hides the error's code, and so its class, from redis-py.
    """
    match = _IN_SCRIPT.fullmatch(str(error))
    if match is None:
        return error
    code, told = match.groups()
    return _CODES[code](told) if code in _CODES else exceptions.ResponseError(f"{code} {told}")


@contextmanager
def accepted(url: str) -> Iterator[None]:
    """Translate what redis-py raises for invalid options of a URL.

    Raises:
        InvalidArgumentError: an option is unknown, or has an invalid value.
    """
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
        if "@" in url.partition("?")[2]:  # the part after '?' may belong to a password
            told = f"it has options that cannot be used ({ESCAPES})"
        raise InvalidArgumentError(f"conn_string: {told}")


def translate_error(error: Exception, call: ScriptCall | None = None) -> Exception:
    """The error to raise instead of an error of redis-py, which becomes its cause.

    Args:
        error: redis-py's.
        call: the script to which the server replied with it, if that is known.

    Returns:
        PermissionDeniedError, BackendUnavailableError, CorruptValueError or CheckpointError;
        `error` itself if it has no translation.
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
    # redis-py has a class for CROSSSLOT since 5.1
    if told.startswith("CROSSSLOT") or isinstance(
        error, (exceptions.ClusterCrossSlotError, exceptions.AskError)
    ):
        return CheckpointError(f"this server is a cluster, give the saver a RedisCluster: {told}")
    return error


def _behind(error: Exception) -> Exception:
    """The server's refusal that is the cause of a cluster client's "no node reached" error."""
    found: BaseException | None = error
    while isinstance(found, exceptions.RedisClusterException):
        found = found.__cause__ or found.__context__
    is_refusal = isinstance(found, (*_LOGIN, exceptions.NoPermissionError))
    return found if is_refusal and isinstance(found, Exception) else error


def _missing(told: str, call: ScriptCall | None) -> str:
    """The ACL rules that the user lacks for a call."""
    if command := _COMMAND.search(told):
        return f"+{command[1]}"
    if call is None:
        return "a command or a key"
    if "access" in told:
        return f"{' '.join(f'~{each}' for each in _patterns(call.keys))} (to read and to write)"
    return f"one of +{' +'.join(commands_of(call.script))}"


def _patterns(keys: Sequence[bytes]) -> list[str]:
    """ACL patterns of a saver's or a store's keys, without thread ids."""
    found: dict[str, None] = {}
    for key in keys:
        head, brace, rest = key.decode().partition("{")
        if brace and not head:  # a store or a cache: its prefix is the hash tag
            found[f"{{{rest.partition('}')[0]}}}:*"] = None
        else:
            found[f"{head}*" if brace else head] = None
    return list(found)
