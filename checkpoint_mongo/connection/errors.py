"""Errors of PyMongo: which of them are retried, and the library's error for each."""

from __future__ import annotations

import math
import random
import time
from typing import Any, Final

from bson.errors import InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from checkpoint_base.deadlines.timeouts import timed_out
from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    ClosedError,
    ConflictError,
    InvalidArgumentError,
    PermissionDeniedError,
)

_STEP: Final = "a command of MongoDB"
_DUPLICATE: Final = 11000
_PATIENCE: Final = 60.0  # seconds, as PyMongo's own with_transaction has 120
_LOSSES: Final = 3
# Seconds after which a request is not retried on a new connection: selecting a server may take 10
# more, and a call may take 15. PyMongo may cancel a connection after 13.
_REPLACED_WITHIN: Final = 3.0
_PAUSE: Final = 0.002  # seconds; doubled with each attempt
_LONGEST: Final = 0.05
_DOUBLED: Final = 30  # limit of the exponent, so that the float does not overflow
# a primary steps down, a node shuts down, or an operation was interrupted by either
_STEPPED: Final = frozenset({91, 189, 10107, 11600, 11602, 13435, 13436, 262, 9001})
_CONFLICTS: Final = frozenset({112, 24, 246, 251, 256})
# wrong user or password, as MongoDB and as Atlas report it; missing privilege
_LOGIN: Final = frozenset({18, 8000})
_FORBIDDEN: Final = 13
_TOO_LARGE: Final = frozenset({10334, 17419, 17420})
_SHORT: Final = 300
_TRANSIENT: Final = "TransientTransactionError"
_UNKNOWN_COMMIT: Final = "UnknownTransactionCommitResult"
ABORT: Final = 0.8
"""Seconds that an abort may take; if it takes longer, the server aborts on its own later."""


def pause_of(attempt: int) -> float:
    """Seconds to wait before the next attempt, with jitter."""
    longest = min(_LONGEST, _PAUSE * 2.0 ** min(attempt, _DOUBLED))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 (spreads attempts, is no secret)


def codes_of(error: PyMongoError) -> set[int]:
    """The server's error codes of a command and of its writes."""
    found: set[int] = set()
    if isinstance(error, OperationFailure) and error.code is not None:
        found.add(error.code)
    if isinstance(error, BulkWriteError):
        found.update(entry["code"] for entry in error.details.get("writeErrors", ()))
    return found


def is_refusal(error: PyMongoError) -> bool:
    """Whether an insert failed because the document exists."""
    return _DUPLICATE in codes_of(error)


def commit_is_unknown(error: PyMongoError) -> bool:
    """Whether a commit may have succeeded; committing again is safe and tells."""
    return error.has_error_label(_UNKNOWN_COMMIT)


def own_timeout(client: Any) -> float:
    """Seconds after which a client itself gives up on a server that does not reply."""
    options = client.options
    socket = options.pool_options.socket_timeout
    return math.inf if socket is None else socket + float(options.server_selection_timeout)


def refused_login(client: Any) -> OperationFailure | None:
    """The refusal of a client's login, if it is why no server is available. After a refusal PyMongo
    closes its connections, and has no server until the monitor has asked again: until then calls
    fail or time out without a word about the login.
    """
    for server in client.topology_description.server_descriptions().values():
        error = server.error
        if isinstance(error, OperationFailure) and error.code in _LOGIN:
            return error
    return None


class MongoRetryPolicy:
    """Counts the retries of one request. Requests are idempotent: storing the same again or
    deleting again changes nothing.

    Args:
        client: PyMongo's client.
        call_timeout: seconds after which nothing is retried; None: `_PATIENCE`.
        limit: seconds that a call of PyMongo may take; None: the client's own limits.
    """

    def __init__(self, client: Any, call_timeout: float | None, limit: float | None) -> None:
        self._client, self._limit = client, limit
        self._begin = time.monotonic()
        self._end = self._begin + (_PATIENCE if call_timeout is None else call_timeout)
        self._conflicts = 0
        self._losses = 0

    def after(self, error: PyMongoError) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            BackendUnavailableError: no server can be reached, or it did not reply in time.
            ConflictError: other transactions were in the way until the time was over.
            ClosedError: the caller has closed the client.
            PermissionDeniedError: the login failed, or the user lacks a privilege.
            InvalidArgumentError: a document is too large, or cannot be encoded.
            CheckpointError: any other error of MongoDB.
        """
        codes = codes_of(error)
        if isinstance(error, InvalidOperation):  # first: in a transaction it is labelled transient
            raise translate_error(error) from error
        if isinstance(error, ConnectionFailure) and (refused := refused_login(self._client)):
            raise translate_error(refused) from refused
        if error.timeout:
            ended = None if self._limit is None else timed_out(self._limit, _STEP)
            raise ended or translate_error(error) from without_values(error)
        if isinstance(error, AutoReconnect) or codes & _STEPPED:
            self._losses += 1
            if self._losses <= _LOSSES and time.monotonic() < self._begin + _REPLACED_WITHIN:
                return pause_of(self._losses + 3)
        elif error.has_error_label(_TRANSIENT) or codes & _CONFLICTS:
            self._conflicts += 1
            if time.monotonic() < self._end:
                return pause_of(self._conflicts)
        raise translate_error(error) from without_values(error)


def translate_error(error: PyMongoError) -> Exception:
    """The error to raise instead of an error of PyMongo, which becomes its cause."""
    unreachable = (ConnectionFailure, ExecutionTimeout, WTimeoutError, ConfigurationError)
    if isinstance(error, unreachable) or codes_of(error) & _STEPPED:
        return BackendUnavailableError(f"MongoDB could not do it: {error}")
    if isinstance(error, InvalidOperation):
        return ClosedError(f"the client of PyMongo's is closed: {error}")
    if error.has_error_label(_TRANSIENT) or codes_of(error) & _CONFLICTS:
        return ConflictError(f"other transactions were in the way at each attempt: {_said(error)}")
    if codes_of(error) & _LOGIN:
        return PermissionDeniedError(
            f"MongoDB does not let this user in: {_said(error)}: are user, password and authSource "
            "of the URL right?"
        )
    if _FORBIDDEN in codes_of(error):
        return PermissionDeniedError(f"MongoDB does not let this user do it: {_said(error)}")
    if isinstance(error, (InvalidDocument, DocumentTooLarge)) or codes_of(error) & _TOO_LARGE:
        return InvalidArgumentError(f"MongoDB cannot store it: {_said(error)}")
    return CheckpointError(f"MongoDB could not do it: {_said(error)}")


def without_values(error: PyMongoError) -> PyMongoError | None:
    """The error, to be a cause; None for a BulkWriteError, whose text has the user's documents."""
    return None if isinstance(error, BulkWriteError) else error


def _said(error: PyMongoError) -> str:
    """The server's message, without the command, which has the user's values in it."""
    if isinstance(error, BulkWriteError):
        entries = (
            error.details.get("writeErrors") or error.details.get("writeConcernErrors") or [{}]
        )
        text = str(entries[0].get("errmsg", ""))
    else:
        text = str(error)
    return text.partition(", full error")[0].partition(" {")[0][:_SHORT]
