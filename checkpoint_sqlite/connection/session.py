"""Transactions on a sqlite3 connection, shared by both drivers, which call on the right thread."""

from __future__ import annotations

import sqlite3
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from checkpoint_base.errors import (
    BackendUnavailableError,
    NotSetUpError,
    PermissionDeniedError,
    UncommittedWarning,
)
from checkpoint_base.plan import (
    Atomic,
    InCallersTransaction,
    Plan,
    Unlimited,
    run,
)
from checkpoint_base.sql.requests import Execute, ExecuteMany, Query, Row
from checkpoint_sqlite.connection.errors import translate_error
from checkpoint_sqlite.connection.jobs import Job, Single, in_snapshot, taken, withdraw
from checkpoint_sqlite.connection.limits import StatementLimit

T = TypeVar("T")

MINIMUM_VERSION = (3, 35)  # the first with RETURNING
_USUAL_CACHE, _CACHE = -2000, -32_000  # KiB
_WAL_ATTEMPTS, _WAL_PAUSE = 500, 0.02
_MANUAL = (
    "conn was opened with autocommit=False: it is always in a transaction of its owner, who must "
    "call conn.commit() for anything to be saved"
)


class SqliteSession:
    """Runs jobs on one connection. The driver lets only one thread use it at a time.

    If the caller has a transaction open on the connection, jobs run as savepoints in it. The
    session never commits it or rolls it back.

    Args:
        connection: open.
        waiting: the queue to which drivers append jobs that write. A job is taken out when it
            begins; until then it can be withdrawn.
        call_timeout: seconds that a statement may take; None: no limit.

    Attributes:
        lock: held by the thread that uses the connection. The driver for event loops does not need
            it, since it uses the connection from one thread only.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        waiting: deque[Job[Any]] | None = None,
        call_timeout: float | None = None,
    ) -> None:
        if sqlite3.sqlite_version_info < MINIMUM_VERSION:
            wanted = ".".join(map(str, MINIMUM_VERSION))
            raise BackendUnavailableError(
                f"SQLite {wanted} or later is needed, Python has {sqlite3.sqlite_version}"
            )
        self.lock = Lock()
        self.waiting: deque[Job[Any]] = deque() if waiting is None else waiting
        self._connection = connection
        self._owns_transaction = False
        self._limit = StatementLimit(connection)
        try:
            self._cursor = self._new_cursor()
            self._limit.lower(call_timeout)
        except sqlite3.Error as error:
            raise self._named(error) from error
        if getattr(connection, "autocommit", None) is False:  # since Python 3.12
            warnings.warn(_MANUAL, UncommittedWarning, stacklevel=5)

    def lower_limit(self, call_timeout: float | None) -> None:
        """Apply the `call_timeout` of a saver or store on this connection, if it is smallest."""
        try:
            self._limit.lower(call_timeout)
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _new_cursor(self) -> sqlite3.Cursor:
        cursor = self._connection.cursor()
        cursor.row_factory = None  # the caller may have set one on the connection
        return cursor

    # ------------------------------------------------------------------ requests

    def perform(self, request: Any) -> Any:
        """Perform a request that a plan yields inside a transaction."""
        cursor, kind = self._cursor, type(request)
        self._limit.next_statement()
        if kind is Query:
            return cursor.execute(request.sql, _bound(request.sql, request.values)).fetchall()
        if kind is Execute:
            return cursor.execute(request.sql, _bound(request.sql, request.values)).rowcount
        if kind is ExecuteMany:
            rows = map(partial(_bound, request.sql), request.rows)
            return cursor.executemany(request.sql, rows).rowcount
        if kind is InCallersTransaction:
            return not self._owns_transaction
        raise TypeError(f"a transaction cannot perform {request!r}")

    def query(self, request: Query) -> list[Row]:
        """The rows of one statement, which is consistent without an explicit transaction."""
        self._begin()
        try:
            rows: list[Row] = self._with_text(lambda: self.perform(request))
        except sqlite3.Error as error:
            raise self._named(error) from error
        except BaseException:
            self._end_statement()
            raise
        finally:
            self._limit.end()
        return rows

    def single(self, request: Single) -> tuple[Any, bool]:
        """The reply to a `Single`. Its statement reads one checkpoint by its key, outside of a
        transaction: it is short, so that only its wait for a locked file is limited.
        """
        connection = self._connection
        if connection.text_factory is str:
            answer = request.read(self._single_rows(request))
            if answer is not None:
                return answer, connection.in_transaction
        job = Job(partial(in_snapshot, request), write=False)
        self.read([job])
        return job.result()

    def _single_rows(self, request: Single) -> list[Row]:
        try:
            return self._cursor.execute(request.sql, request.values).fetchall()
        except sqlite3.Error as error:
            raise self._named(error) from error
        except BaseException:
            self._end_statement()
            raise

    def _begin(self, job: Job[Any] | None = None) -> None:
        """Limit the time of the statements that follow. Not in the caller's transaction: if a write
        is interrupted, SQLite rolls back the whole transaction.
        """
        limited = job is None or job.limited
        self._limit.begin(limited=limited and not self.in_callers_transaction)

    def _end_statement(self) -> None:
        """End a statement that an interruption left with unread rows. While it is active, SQLite
        releases neither savepoint nor snapshot.
        """
        with suppress(sqlite3.Error):  # closed
            self._cursor.close()
            self._cursor = self._new_cursor()

    @property
    def in_callers_transaction(self) -> bool:
        """Whether the caller has a transaction open on the connection. Any thread may ask. The
        answer may be wrongly True while another thread ends a transaction of this session.
        """
        try:
            return self._connection.in_transaction and not self._owns_transaction
        except sqlite3.ProgrammingError:  # closed
            return False

    # ------------------------------------------------------------------ jobs

    def commit_waiting(self, own: Job[Any] | None = None) -> list[Job[Any]]:
        """Run the jobs that wait, in one transaction; returns the jobs that are done.

        A KeyboardInterrupt may take jobs of other threads out of the queue without running them.
        So each thread passes the job that it waits for as `own`, to queue it again.
        """
        if own is not None and own not in self.waiting:
            self.waiting.append(own)
        return self._commit(self.waiting)

    def _commit(self, waiting: deque[Job[Any]]) -> list[Job[Any]]:
        waited = tuple(waiting)
        begun: list[Job[Any]] = []
        try:
            self._with_text(partial(self._run_writes, waiting, begun))
        except Exception as error:
            begun = begun or [job for job in waited if withdraw(job, waiting)]
            for job in begun:
                job.error = job.error or self._named(error)
            self._finish(begun)
        finally:
            self._limit.end()
        return begun

    def _run_writes(self, waiting: deque[Job[Any]], begun: list[Job[Any]]) -> None:
        if self._connection.in_transaction:
            for job in taken(waiting, len(waiting)):
                begun.append(job)
                self._run_in_savepoint(job)
                job.done = True
        else:
            self._run_and_commit(waiting, begun)

    def _run_and_commit(self, waiting: deque[Job[Any]], begun: list[Job[Any]]) -> None:
        execute, has_run = self._connection.execute, False
        self._owns_transaction = True
        try:
            execute("BEGIN IMMEDIATE")
            count = len(waiting)
            for job in taken(waiting, count):
                begun.append(job)
                if count > 1:  # a job that fails must not undo the others
                    self._run_in_savepoint(job)
                else:
                    self._begin(job)
                    job.run(self.perform)
            has_run = True
            execute("COMMIT")
        except BaseException as error:
            rolled_back = self._roll_back()
            if isinstance(error, Exception) or rolled_back or not has_run:
                raise
            self._finish(begun)  # interrupted when SQLite had committed already
            raise
        finally:
            self._owns_transaction = False
        self._finish(begun)

    @staticmethod
    def _finish(jobs: Iterable[Job[Any]]) -> None:
        for job in jobs:
            job.done = True

    def _run_in_savepoint(self, job: Job[Any]) -> None:
        connection = self._connection
        self._begin(job)
        connection.execute("SAVEPOINT langgraph_suite")
        try:
            job.run(self.perform)
        except BaseException as error:
            if not connection.in_transaction:
                raise  # SQLite rolled everything back: a full disk, a broken file
            self._end_statement()
            connection.execute("ROLLBACK TO langgraph_suite")
            connection.execute("RELEASE langgraph_suite")
            if not isinstance(error, Exception):
                raise
            job.error = self._named(error)
        else:
            connection.execute("RELEASE langgraph_suite")

    def read(self, jobs: Sequence[Job[Any]]) -> None:
        """Run jobs that only read, on one snapshot."""
        self._with_text(lambda: self._read(jobs))

    def _read(self, jobs: Sequence[Job[Any]]) -> None:
        try:
            if self._connection.in_transaction:
                self._run_reads(jobs)
            else:
                self._run_in_snapshot(jobs)
        except Exception as error:
            for job in jobs:
                job.error = job.error or self._named(error)
        finally:
            self._limit.end()
        self._finish(jobs)

    def _run_in_snapshot(self, jobs: Sequence[Job[Any]]) -> None:
        self._owns_transaction = True
        try:
            self._connection.execute("BEGIN")
            self._run_reads(jobs)
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._owns_transaction = False

    def _run_reads(self, jobs: Sequence[Job[Any]]) -> None:
        for job in jobs:
            self._begin(job)
            try:
                job.run(self.perform)
            except Exception as error:
                job.error = self._named(error)

    def _roll_back(self) -> bool:
        """Roll back the session's own transaction; returns whether it was open."""
        self._end_statement()
        try:
            was_open = self._connection.in_transaction
            if was_open:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:  # closed, or the file is gone: SQLite rolls back when it is reopened
            return True
        return was_open

    def _with_text(self, work: Callable[[], T]) -> T:
        """Call `work` while `text_factory` is str, whatever the caller has set it to."""
        connection = self._connection
        factory = connection.text_factory
        try:
            connection.text_factory = str
            return work()
        finally:
            connection.text_factory = factory

    # ------------------------------------------------------------------ setting up

    def prepare(self, setup: Callable[[], Plan[None]], synchronous: str | None) -> bool:
        """Set pragmas (WAL, cache size, `synchronous`), and create or migrate the schema.

        Returns:
            False in the caller's transaction, where pragmas cannot be changed, and the schema may
            be rolled back: then it has to be called again. Otherwise True.

        Raises:
            NotSetUpError: there is no schema, and this process may not create it.
        """
        try:
            in_callers_transaction = self._connection.in_transaction
            if not in_callers_transaction:
                self._with_text(partial(self._set_pragmas, synchronous))
        except sqlite3.Error as error:
            raise self._named(error) from error
        run(setup(), self._set_up)
        return not in_callers_transaction

    def _set_pragmas(self, synchronous: str | None) -> None:
        self._use_wal()
        ((size,),) = self._cursor.execute("PRAGMA cache_size").fetchall()
        if size == _USUAL_CACHE:
            # SQLite's default of 2 MB holds a few hundred rows. A size set by the owner stays.
            self._cursor.execute(f"PRAGMA cache_size = {_CACHE}")
        if synchronous is not None:
            self._cursor.execute(f"PRAGMA synchronous = {synchronous}")

    def _set_up(self, unlimited: Unlimited) -> Any:
        request: Atomic[Any] = unlimited.request
        job = Job(request.make, write=request.write, limited=False)
        if request.write:
            self._commit(deque([job]))
        else:
            self.read([job])
        if request.write and isinstance(job.error, PermissionDeniedError):
            raise NotSetUpError(
                "this version of the library has not set up this SQLite database: "
                f"{job.error}; call setup() once where that is allowed"
            ) from job.error
        return job.result()

    def _use_wal(self) -> None:
        # Changing the mode needs an exclusive lock, for which SQLite does not wait: retry.
        for attempt in range(_WAL_ATTEMPTS):
            try:
                self._cursor.execute("PRAGMA journal_mode = WAL").fetchall()
            except sqlite3.OperationalError as error:
                if "readonly" in str(error):
                    return  # reading works in any mode
                if "locked" not in str(error) or attempt == _WAL_ATTEMPTS - 1:
                    raise
                time.sleep(_WAL_PAUSE)
            else:
                return

    def _named(self, error: BaseException) -> BaseException:
        """The error to raise in place of sqlite3's."""
        return self._limit.error(error) or translate_error(error, self._connection)


def _bound(sql: str, values: Sequence[Any]) -> Sequence[Any] | dict[str, Any]:
    """Values in the form that sqlite3 takes: for numbered parameters (`?1`) a dict by number, since
    Python 3.14 refuses a sequence for them.
    """
    return {str(n): value for n, value in enumerate(values, 1)} if "?1" in sql else values
