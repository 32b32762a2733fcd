"""What the errors of SQLite are called, and which connections are none."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from checkpoint_base.errors import (
    BackendUnavailableError,
    CheckpointError,
    CorruptValueError,
    InvalidArgumentError,
)

T = TypeVar("T")

_BEYOND_LIMITS: Final = ("too many ", "Expression tree is too large")
"""These have no code of their own."""

_UNREADABLE: Final = ("not a database", "malformed")
"""sqlite3 has no class of its own for these, and tells their code since Python 3.11 only."""


def named(error: BaseException, connection: sqlite3.Connection) -> BaseException:
    """The error to raise for one of the driver's, which becomes its cause."""
    told = _told(error, connection)
    if told is None:
        return error
    told.__cause__ = error
    return told


def _told(error: BaseException, connection: sqlite3.Connection) -> CheckpointError | None:
    if isinstance(error, sqlite3.OperationalError) and str(error).startswith(_BEYOND_LIMITS):
        return InvalidArgumentError(f"a filter has more conditions than SQLite takes: {error}")
    if isinstance(error, sqlite3.OperationalError):
        return BackendUnavailableError(f"SQLite could not do it{_of(connection)}: {error}")
    if isinstance(error, sqlite3.ProgrammingError) and "same thread" in str(error):
        return InvalidArgumentError(
            "conn: graphs save from several threads, and this connection is for one only: open it "
            "with sqlite3.connect(path, check_same_thread=False), or use from_conn_string(path)"
        )
    if type(error) is sqlite3.DatabaseError and any(each in str(error) for each in _UNREADABLE):
        return CorruptValueError(
            f"SQLite cannot read the file{_of(connection)}: {error}. It is damaged, encrypted, or "
            "something else than a database of SQLite; the path of a new file makes a new one"
        )
    return None


def _of(connection: sqlite3.Connection) -> str:
    """The connection's file; this reads nothing of it."""
    try:
        cursor = connection.cursor()
        cursor.row_factory = None
        rows = cursor.execute("PRAGMA database_list").fetchall()
    except sqlite3.Error:
        return ""
    path = next((path for _, name, path in rows if name == "main"), "")
    return f" ({path})" if path else ""


def path_of(conn_string: str | os.PathLike[str]) -> str:
    """A checked path.

    Raises:
        InvalidArgumentError: it is none.
    """
    path: Any = conn_string
    try:
        path = os.fspath(path)
    except TypeError:
        path = None
    if not isinstance(path, str) or "\0" in path:
        raise InvalidArgumentError(
            "conn_string: wanted the path of a file, or ':memory:', "
            f"got {type(conn_string).__name__}"
        )
    if path.startswith("sqlite://"):
        raise InvalidArgumentError(
            f"conn_string: wanted the path of a file, got {path!r}: a URL is for "
            "checkpoint_base.open_saver and open_store"
        )
    return path


@contextmanager
def opening(path: str) -> Iterator[None]:
    """A file that cannot be opened is an error that names it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        file = Path(path).absolute()
        if not file.parent.exists():
            advice = f"there is no directory {str(file.parent)!r}, make it first"
        elif file.is_dir():
            advice = "it is a directory, and the path of a file is wanted"
        else:
            advice = "may this process read and write the file, and make files beside it?"
        raise BackendUnavailableError(
            f"SQLite cannot open {str(file)!r}: {error}: {advice}"
        ) from error


def connection_of(given: Any, wanted: type[T], argument: str = "conn") -> T:
    """A connection that was handed over.

    Raises:
        InvalidArgumentError: it is none of this class.
    """
    if isinstance(given, wanted):
        return given
    path = "; for a path there is from_conn_string" if isinstance(given, (str, Path)) else ""
    raise InvalidArgumentError(
        f"{argument}: wanted a connection of {_module(wanted)}, "
        f"got {type(given).__name__} of {_module(type(given))}{path}"
    )


def _module(cls: type[Any]) -> str:
    return cls.__module__.partition(".")[0]
