"""Which transaction a request runs in: one of its own, or the one that the caller has open on the
connection; and the locks that keep the requests on one connection apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from psycopg.pq import TransactionStatus

from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.errors import TransactionFailedError, UncommittedWarning
from checkpoint_base.sql.requests import Query

L = TypeVar("L")

BEGIN: Final = b"SHOW transaction_isolation"
"""Psycopg sends BEGIN before the first statement on a connection that does not autocommit. This
statement reads nothing, so it does not fix the transaction's snapshot.
"""

_LOCKS: Final[WeakKeyDictionary[Any, Any]] = WeakKeyDictionary()
_WARNED: Final[WeakSet[Any]] = WeakSet()
_REGISTRY: Final = Lock()


def lock_of(connection: Any, make: Callable[[], L]) -> L:
    """The lock of a connection, shared by all savers and stores that use it: a transaction of
    several statements must not mix with the statements of another thread or task.

    Args:
        connection: of psycopg.
        make: makes the lock if the connection has none yet.
    """
    with _REGISTRY:
        lock: L | None = _LOCKS.get(connection)
        if lock is None:
            lock = _LOCKS[connection] = make()
        return lock


@dataclass
class Use:
    """The state of a connection after a request has run on it."""

    deadline: Deadline
    joined: bool = False
    """the request ran in the caller's transaction"""
    lost: bool = False
    """the connection is gone"""
    closed: bool = False
    """it is gone because its owner closed it"""

    def ended(self, connection: Any) -> None:
        """Note how the request left the connection."""
        self.lost = connection.closed
        self.closed = connection.closed and not connection.broken


def joins(connection: Any, request: Any, *, status: TransactionStatus, from_pool: bool) -> bool:
    """Whether a request runs in the caller's transaction. Psycopg begins one by itself on a
    connection that does not autocommit: it is the caller's as well, unless the connection comes
    from a pool, which gives it to this request alone. A read leaves no such transaction behind.

    Raises:
        TransactionFailedError: the caller's transaction has failed.
    """
    if status == TransactionStatus.INERROR:
        raise TransactionFailedError(
            "the transaction that is open on this connection has failed before: roll it back "
            "(conn.rollback(), or leave the block of conn.transaction()), then call again"
        )
    if status == TransactionStatus.INTRANS:
        return True
    return not (from_pool or connection.autocommit) and _writes(request)


def _writes(request: Any) -> bool:
    return not isinstance(request, Query) and getattr(request, "write", True)


def warn_uncommitted(connection: Any) -> None:
    """Warn, once for each connection, that the caller has to commit."""
    with _REGISTRY:
        if connection in _WARNED:
            return
        _WARNED.add(connection)
    warnings.warn(
        "this connection does not autocommit: what a saver or a store writes on it is not "
        "committed before you call conn.commit(). Connect with autocommit=True, or give a pool, "
        "if each call is to be committed by itself",
        UncommittedWarning,
        stacklevel=2,
    )
