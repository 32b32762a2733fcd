"""Retries after errors of Postgres, and the translation of other errors to this library's."""

from __future__ import annotations

import re
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed

from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    ClosedError,
    ConflictError,
    CorruptValueError,
    InvalidArgumentError,
    NotSetUpError,
    PermissionDeniedError,
    TransactionFailedError,
)
from checkpoint_base.plan import Plan
from checkpoint_base.sql.requests import rows
from checkpoint_postgres.connection.conninfo import is_refused_login
from checkpoint_postgres.connection.transactions import Use
from checkpoint_postgres.saver.statements import rights_statement

CONFLICTS: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,  # two transactions created the same thread
    errors.DuplicateTable,  # or the same tables: the snapshot was older than the setup lock
)
_DENIED: Final = (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)
# all values are bound with their types, so that only stored text can be malformed
_DAMAGED: Final = (
    errors.InvalidTextRepresentation,
    errors.DataCorrupted,
    errors.IndexCorrupted,
)
_PREPARED: Final = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)
_BEYOND_LIMITS: Final = "54"  # SQLSTATE's class "program limit exceeded"
_TOO_MANY_VALUES: Final = "number of parameters must be"  # libpq's, which has no SQLSTATE
_RECONNECTS: Final = 3  # the second connection may have died with the first
_ATTEMPTS: Final = 8
_JOINED_ATTEMPTS: Final = 2
_WORD: Final = re.compile(r'[^\s"“”„«»]+')
_PAUSE: Final = 0.01  # seconds; doubled after each conflict

ISOLATED: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class PostgresRetryPolicy:
    """Whether and when a failed request is retried. All requests are idempotent: to store or delete
    the same again changes nothing.

    Args:
        deadline: of all attempts together.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._conflicts = 0
        self._losses = 0

    @property
    def checked(self) -> bool:
        """Whether the next attempt needs a connection that is known to be alive."""
        return self._losses > 0

    def after(self, error: psycopg.Error, use: Use) -> float:
        """Seconds to wait before the next attempt.

        In the caller's transaction, only a unique violation is retried: the savepoint was rolled
        back, and the next attempt sees the other transaction's row. Other conflicts need a new
        transaction, and a lost connection a new connection: neither would be the caller's.

        Args:
            error: of this attempt.
            use: how this attempt left the connection.

        Raises:
            BackendUnavailableError: the server cannot be reached, or the deadline has passed.
            ClosedError: the owner of the connection or of the pool has closed it.
            ConflictError: every attempt conflicted with other transactions.
            CorruptValueError: Postgres found damaged rows.
            InvalidArgumentError: the request exceeds a limit of Postgres.
            NotSetUpError: the tables do not exist.
            PermissionDeniedError: the role lacks a right.
            TransactionFailedError: the caller's transaction has failed.
            CheckpointError: a pooler gives a session with prepared statements to several clients.
        """
        if self._deadline.expired:
            raise self._deadline.error() from error
        if use.closed or isinstance(error, PoolClosed):
            raise ClosedError(
                f"the connection or the pool was closed by its owner, or not opened: {_told(error)}"
            ) from error
        if isinstance(error, CONFLICTS) and self._may_repeat(error, use):
            self._conflicts += 1
            return _PAUSE * float(2**self._conflicts)
        if use.lost and not use.joined and self._losses < _RECONNECTS:
            self._losses += 1
            return 0.0
        raise translate_error(error) from error

    def _may_repeat(self, error: psycopg.Error, use: Use) -> bool:
        if use.joined:
            is_undone = isinstance(error, errors.UniqueViolation)
            return is_undone and self._conflicts < _JOINED_ATTEMPTS
        return self._conflicts < _ATTEMPTS


def is_denied(error: psycopg.Error, request: Any) -> bool:
    """Whether a right is missing, and the request is not the one that `denied` makes itself."""
    return isinstance(error, _DENIED) and getattr(request, "sql", None) != rights_statement()


def denied(error: psycopg.Error) -> Plan[CheckpointError]:
    """The error for a refused statement, which names the missing rights. Costs one statement.

    Postgres's message names the object, in the server's language, but not the right. So each word
    of the message is looked up as an object on which the role lacks a right. A standby refuses
    everybody's writes until it is promoted: that is a `BackendUnavailableError`.
    """
    words = _WORD.findall(error.diag.message_primary or "")
    found = yield from rows(rights_statement(), (words,))
    ((role, is_standby),) = {one[:2] for one in found}
    lacking = [f"{right} on {kind} {name}" for *_, kind, name, right in found if right is not None]
    if isinstance(error, errors.ReadOnlySqlTransaction):
        if is_standby:
            return BackendUnavailableError(f"the server is a standby: {_told(error)}")
        why = "default_transaction_read_only is on, or the caller's is READ ONLY"
        lacking = [f"a transaction that may write ({why})"]
    missing = f" lacks {', '.join(lacking)}" if lacking else " may not do this"
    return PermissionDeniedError(f"role {role}{missing}: {_told(error)}")


def translate_error(error: psycopg.Error) -> Exception:
    """The error to raise in place of psycopg's, which the caller makes its `__cause__`. An error
    without a translation is returned as it is.
    """
    if isinstance(error, (errors.UndefinedTable, errors.InvalidSchemaName)):
        return NotSetUpError(f"the tables are not there, call setup() once: {_told(error)}")
    if isinstance(error, _DENIED) or is_refused_login(error):
        return PermissionDeniedError(_told(error))
    if isinstance(error, _DAMAGED):
        return CorruptValueError(f"stored rows are damaged: {_told(error)}")
    if isinstance(error, errors.InFailedSqlTransaction):
        return TransactionFailedError(_told(error))
    if isinstance(error, CONFLICTS):
        return ConflictError(f"other transactions were in the way: {_told(error)}")
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
