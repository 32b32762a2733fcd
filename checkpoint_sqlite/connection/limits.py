"""`call_timeout` on SQLite: a limit for each statement, and for the wait for a locked file."""

from __future__ import annotations

import math
import sqlite3
from contextlib import suppress
from typing import Final

from checkpoint_base.deadlines.timeouts import Deadline, timed_out
from checkpoint_base.deadlines.watchdog import Watch
from checkpoint_base.errors import BackendUnavailableError

STEP: Final = "a statement of SQLite"
WAIT: Final = "the wait for a connection or a file of SQLite that others use"
"""What took too long, in the error of a `call_timeout`."""


class StatementLimit:
    """Interrupts the statements of one connection that take longer than `call_timeout`.

    `sqlite3.Connection.interrupt` does not end the wait for a locked file. That is limited by
    `busy_timeout`, which is lowered to `call_timeout`.

    Args:
        connection: open.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._seconds: float | None = None
        self._lowered = False
        self._deadline = Deadline(None, STEP)
        self._watch = Watch(self._deadline, connection, None, _interrupt)

    def lower(self, seconds: float | None) -> None:
        """Apply a `call_timeout`, unless a smaller one of the same connection is in force."""
        if seconds is None or (self._seconds is not None and self._seconds <= seconds):
            return
        self._seconds = seconds
        cursor = self._connection.cursor()
        cursor.row_factory = None
        ((busy,),) = cursor.execute("PRAGMA busy_timeout").fetchall()
        most = math.ceil(seconds * 1000)
        if busy > most:
            cursor.execute(f"PRAGMA busy_timeout = {most}").fetchall()
            self._lowered = True
        cursor.close()

    def begin(self, *, limited: bool = True) -> None:
        """Begin a job. Each of its statements may take `call_timeout`."""
        self._deadline = Deadline(self._seconds if limited else None, STEP)
        self._watch.watch(self._deadline)

    def next_statement(self) -> None:
        """Restart the limit for a job's next statement.

        Raises:
            BackendUnavailableError: the statement before was interrupted.
        """
        self._deadline.restart()

    def end(self) -> None:
        """Stop watching: no statement runs."""
        self._watch.__exit__()

    def error(self, error: BaseException) -> BackendUnavailableError | None:
        """The error to raise in place of sqlite3's, if a limit caused it; else None."""
        is_locked = self._lowered and isinstance(error, sqlite3.OperationalError)
        if self._deadline.expired or (is_locked and str(error).endswith("is locked")):
            limit_error = timed_out(self._seconds, STEP)
            limit_error.__cause__ = error
            return limit_error
        return None


def _interrupt(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # the connection is closed
        connection.interrupt()
