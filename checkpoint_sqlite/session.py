"""Transactions on a `sqlite3.Connection`, for both drivers: the caller is on the right thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Generic, TypeVar

from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.plan import Atomic, Offload, Plan, run
from checkpoint_base.statements.requests import Execute, ExecuteMany, Query, Row
from checkpoint_sqlite.failures import named

T = TypeVar("T")

MINIMUM_VERSION = (3, 35)  # RETURNING
_USUAL_CACHE, _CACHE = -2000, -32_000  # KiB
_WAL_ATTEMPTS, _WAL_PAUSE = 500, 0.02


class Job(Generic[T]):
    """A plan that waits to be run in a transaction, and what came of it."""

    def __init__(self, plan: Plan[T], *, write: bool) -> None:
        self.plan = plan
        self.write = write
        self.done = False
        self.error: BaseException | None = None
        self._result: Any = None

    def succeed(self, result: T) -> None:
        """The plan returned."""
        self._result = result

    def result(self) -> T:
        """What the plan returned, or raised."""
        if self.error is not None:
            raise self.error
        value: T = self._result
        return value


class Session:
    """One connection. Knows nothing of threads or event loops; its drivers let one in at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        if sqlite3.sqlite_version_info < MINIMUM_VERSION:
            wanted = ".".join(map(str, MINIMUM_VERSION))
            raise BackendUnavailableError(
                f"SQLite {wanted} or later is needed, Python has {sqlite3.sqlite_version}"
            )
        self._connection = connection
        try:
            self._cursor = connection.cursor()
        except sqlite3.Error as error:
            raise self._named(error) from error
        self._cursor.row_factory = None  # the connection may be the user's, with one of theirs

    def perform(self, request: Any) -> Any:
        """Answer a request of a plan that is in a transaction."""
        cursor, kind = self._cursor, type(request)
        if kind is Query:
            return cursor.execute(request.sql, _bound(request.sql, request.values)).fetchall()
        if kind is Execute:
            return cursor.execute(request.sql, _bound(request.sql, request.values)).rowcount
        if kind is ExecuteMany:
            rows = map(partial(_bound, request.sql), request.rows)
            return cursor.executemany(request.sql, rows).rowcount
        if kind is Offload:
            return request.work()
        raise TypeError(f"a transaction cannot perform {request!r}")

    def query(self, request: Query) -> list[Row]:
        """The rows of one statement, which needs no transaction of its own to be consistent."""
        try:
            values = _bound(request.sql, request.values)
            return self._cursor.execute(request.sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._named(error) from error

    def run_all(self, jobs: Sequence[Job[Any]]) -> None:
        """Run all jobs: the writes together in one transaction, then the reads in another."""
        if writes := [job for job in jobs if job.write]:
            self._commit_together(writes)
        if reads := [job for job in jobs if not job.write]:
            self._read_together(reads)

    def _commit_together(self, jobs: Sequence[Job[Any]]) -> None:
        try:
            with self._transaction("BEGIN IMMEDIATE") as own:
                savepoints = len(jobs) > 1 or not own
                for job in jobs:
                    if savepoints:
                        self._run_in_savepoint(job)
                    else:
                        job.succeed(run(job.plan, self.perform))
        except BaseException as error:
            self._fail(jobs, error)
        finally:
            for job in jobs:
                job.done = True

    def _run_in_savepoint(self, job: Job[Any]) -> None:
        execute = self._connection.execute
        execute("SAVEPOINT job")
        try:
            job.succeed(run(job.plan, self.perform))
        except Exception as error:
            if not self._connection.in_transaction:
                raise  # SQLite rolled everything back: a full disk, a broken file
            execute("ROLLBACK TO job")
            job.error = self._named(error)
        execute("RELEASE job")

    def _read_together(self, jobs: Sequence[Job[Any]]) -> None:
        try:
            with self._transaction("BEGIN"):
                for job in jobs:
                    try:
                        job.succeed(run(job.plan, self.perform))
                    except Exception as error:
                        job.error = self._named(error)
        except BaseException as error:
            self._fail(jobs, error)
        finally:
            for job in jobs:
                job.done = True

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[bool]:
        """A transaction; yields whether it is ours. One that the connection's owner has open is
        used as it is, and committed, as LangGraph's own saver does; if that fails, and it is still
        open, it has nothing of us.
        """
        connection = self._connection
        own = not connection.in_transaction
        connection.execute(begin if own else "SAVEPOINT ours")
        try:
            yield own
            if own:
                connection.execute("COMMIT")
            elif begin != "BEGIN":
                connection.commit()
            else:
                connection.execute("RELEASE ours")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK" if own else "ROLLBACK TO ours")
                if not own:
                    connection.execute("RELEASE ours")
            raise

    def _fail(self, jobs: Sequence[Job[Any]], error: BaseException) -> None:
        """The transaction did not come to be: no job of it did."""
        shared = error
        if not isinstance(error, Exception):
            shared = BackendUnavailableError("the transaction was interrupted")
            shared.__cause__ = error
        for job in jobs:
            job.error = job.error or self._named(shared)
        if not isinstance(error, Exception):
            raise error

    def prepare(self, setup: Callable[[], Plan[None]], synchronous: str | None) -> None:
        """Set the connection up for concurrent use, and the schema if it is not there."""
        try:
            with self._outside_transactions():
                self._use_wal()
                self._enlarge_cache()
            if synchronous is not None:
                self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        except sqlite3.Error as error:
            raise self._named(error) from error
        run(setup(), self._perform_atomic)

    def _enlarge_cache(self) -> None:
        """Beyond SQLite's 2 MB, which a few hundred rows leave, unless the owner has chosen."""
        ((size,),) = self._cursor.execute("PRAGMA cache_size").fetchall()
        if size == _USUAL_CACHE:
            self._cursor.execute(f"PRAGMA cache_size = {_CACHE}")

    def _perform_atomic(self, request: Atomic[T]) -> T:
        job = Job(request.make(), write=request.write)
        self.run_all([job])
        return job.result()

    @contextmanager
    def _outside_transactions(self) -> Iterator[None]:
        """What the owner has open is committed, as with any write of ours."""
        connection = self._connection
        manual = getattr(connection, "autocommit", None) is False  # since Python 3.12
        if manual:
            connection.autocommit = True  # type: ignore[attr-defined,unused-ignore]
        elif connection.in_transaction:
            connection.commit()
        yield
        if manual:
            connection.autocommit = False  # type: ignore[attr-defined,unused-ignore]

    def _use_wal(self) -> None:
        # Changing the mode needs the file for itself for a moment, and SQLite does not wait for it.
        for attempt in range(_WAL_ATTEMPTS):
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or attempt == _WAL_ATTEMPTS - 1:
                    raise
                time.sleep(_WAL_PAUSE)
            else:
                return

    def close(self) -> None:
        """Close the connection."""
        with suppress(sqlite3.ProgrammingError):  # the owner closed it already
            self._connection.close()

    def _named(self, error: BaseException) -> BaseException:
        """The error to raise for one of the driver's."""
        return named(error, self._connection)


def _bound(sql: str, values: Sequence[Any]) -> Sequence[Any] | dict[str, Any]:
    """Values as Python takes them: of parameters with numbers, by number (since 3.14 it takes
    nothing else).
    """
    return {str(n): value for n, value in enumerate(values, 1)} if "?1" in sql else values
