"""What is tried again after an error of Redis, and what the others are called."""

from __future__ import annotations

from typing import Final

from redis import exceptions

from checkpoint_base.errors import BackendUnavailableError, CheckpointError, CorruptValueError

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
