"""What is tried again after an error of Redis, and what the others are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import exceptions

from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    CorruptValueError,
    InvalidArgumentError,
)
from checkpoint_redis.connect import ESCAPES

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

_IN_SCRIPT: Final = re.compile(
    r"Error running script \(call to \w+\): @user_script: ?\d+: @user_script: ?\d+: -(\w+) (.*)",
    re.DOTALL,
)
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


def named(error: Exception) -> Exception:
    """The error to raise for one of the driver's, which becomes its cause."""
    told = str(error).strip() or type(error).__name__
    if isinstance(error, _UNAVAILABLE):
        return BackendUnavailableError(f"Redis could not do it: {told}")
    if told.startswith("CORRUPT "):
        return CorruptValueError(told.partition(" ")[2])
    # redis-py has had a class of its own for CROSSSLOT since 5.1
    if told.startswith("CROSSSLOT") or isinstance(
        error, (exceptions.ClusterCrossSlotError, exceptions.AskError)
    ):
        return CheckpointError(f"this server is a cluster, give the saver a RedisCluster: {told}")
    return error
