"""How long a statement may take on a connection, and wait for a file that is locked."""

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
"""What the error of a `call_timeout` names."""


class StatementLimit:
    """Interrupts the statements of one connection that take longer than `call_timeout`.

    An interruption does not end the wait for a locked file: SQLite waits for that as long as
    `busy_timeout` says, which is lowered.

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
        """Take a `call_timeout`, if it is the least of those that use the connection."""
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
        """A job begins. After this each of its statements has as much time."""
        self._deadline = Deadline(self._seconds if limited else None, STEP)
        self._watch.watch(self._deadline)

    def next_statement(self) -> None:
        """A job's next statement begins.

        Raises:
            BackendUnavailableError: the one before was interrupted.
        """
        self._deadline.restart()

    def end(self) -> None:
        """No statement is under way."""
        self._watch.__exit__()

    def error(self, error: BaseException) -> BackendUnavailableError | None:
        """The error to raise for the driver's, if a limit was its cause; else None."""
        is_locked = self._lowered and isinstance(error, sqlite3.OperationalError)
        if self._deadline.expired or (is_locked and str(error).endswith("is locked")):
            limit_error = timed_out(self._seconds, STEP)
            limit_error.__cause__ = error
            return limit_error
        return None


def _interrupt(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # it is closed
        connection.interrupt()
