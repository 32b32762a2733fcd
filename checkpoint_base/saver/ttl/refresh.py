"""Best-effort refresh of an expiry after a read."""

from __future__ import annotations

import logging
from typing import Any, Final

from checkpoint_base.errors import (
    BackendUnavailableError,
    ConflictError,
    PermissionDeniedError,
)
from checkpoint_base.plan import Plan

logger = logging.getLogger(__name__)

NOT_MOVED: Final = (BackendUnavailableError, ConflictError, PermissionDeniedError)
"""Errors of the refresh that do not invalidate the read before it."""


def refresh_ttl_best_effort(move: Plan[Any], read: str) -> Plan[None]:
    """Run the plan `move`, which refreshes an expiry. If the database cannot write (locked file,
    read-only user, conflicting transaction), log a warning that names `read` and keep the expiry,
    so that the read itself succeeds.
    """
    try:
        yield from move
    except NOT_MOVED as error:
        warn_not_moved(read, error)


def warn_not_moved(read: str, reason: object) -> None:
    """Log that `read` was read, but that its expiry was not moved."""
    logger.warning("%s was read, but its expiry could not be moved: %s", read, reason)
