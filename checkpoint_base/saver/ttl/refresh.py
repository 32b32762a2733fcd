"""Moving an expiry because something was read."""

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
"""Errors of a write that leave what was read as good as it was."""


def refresh_ttl_best_effort(move: Plan[Any], read: str) -> Plan[None]:
    """Run the plan `move`. Where the database does not let it write (the file is locked, the user
    may only read, another transaction has just moved it), `read`, which moves no expiry then, is
    given all the same.
    """
    try:
        yield from move
    except NOT_MOVED as error:
        warn_not_moved(read, error)


def warn_not_moved(read: str, reason: object) -> None:
    """Log that `read` was read and that its expiry stays what it was."""
    logger.warning("%s was read, but its expiry could not be moved: %s", read, reason)
