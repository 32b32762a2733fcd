"""What is tried again after an error of Postgres, and what the others are called."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import errors

from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    InvalidArgumentError,
    NotSetUpError,
)

CONFLICTS: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,  # two transactions made the same thread
)
_PREPARED: Final = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)
_BEYOND_LIMITS: Final = "54"  # the class of such SQLSTATEs
_TOO_MANY_VALUES: Final = "number of parameters must be"  # libpq's, which has no SQLSTATE
_RECONNECTS: Final = 3  # the second connection may have died with the first
_ATTEMPTS: Final = 8
_PAUSE: Final = 0.01  # seconds, and twice as long each time

ISOLATED: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Attempts:
    """How often one request was tried. All that savers ask may be asked twice: what is stored
    again is the same, what is deleted again is gone.
    """

    def __init__(self) -> None:
        self._conflicts = 0
        self._losses = 0

    @property
    def checked(self) -> bool:
        """Whether the next attempt needs a connection that is known to be alive."""
        return self._losses > 0

    def after(self, error: psycopg.Error, *, lost: bool) -> float:
        """Seconds to wait before the next attempt.

        Args:
            error: what became of this one.
            lost: whether the connection is gone.

        Raises:
            BackendUnavailableError: there is no server, or it did not do it in time.
            InvalidArgumentError: what was asked for is beyond what Postgres takes.
            NotSetUpError: setup was never called.
            CheckpointError: somebody shares out prepared statements.
        """
        if isinstance(error, CONFLICTS) and self._conflicts < _ATTEMPTS:
            self._conflicts += 1
            return _PAUSE * float(2**self._conflicts)
        if lost and self._losses < _RECONNECTS:
            self._losses += 1
            return 0.0
        raise named(error) from error


def named(error: psycopg.Error) -> Exception:
    """The error to raise for one of the driver's, which becomes its cause."""
    if isinstance(error, (errors.UndefinedTable, errors.InvalidSchemaName)):
        return NotSetUpError(f"the tables are not there, call setup() once: {_told(error)}")
    if isinstance(error, _PREPARED):
        return CheckpointError(
            "connections share sessions and prepared statements, as behind PgBouncer before 1.21 "
            f"in transaction mode: connect with prepare_threshold=None. {_told(error)}"
        )
    if (error.sqlstate or "").startswith(_BEYOND_LIMITS) or _TOO_MANY_VALUES in str(error):
        return InvalidArgumentError(
            f"an id, a key, a namespace or a filter is too large for Postgres: {_told(error)}"
        )
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return BackendUnavailableError(f"Postgres could not do it: {_told(error)}")
    return error


def _told(error: psycopg.Error) -> str:
    return str(error).strip() or type(error).__name__
