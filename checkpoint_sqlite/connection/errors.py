"""Translation of sqlite3's errors to this library's, and checks of connections and paths."""

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
    ClosedError,
    CorruptValueError,
    InvalidArgumentError,
    NotSetUpError,
    PermissionDeniedError,
)

T = TypeVar("T")

_BEYOND_LIMITS: Final = ("too many ", "Expression tree is too large")
"""Messages about limits of SQLite, which have no error code of their own."""

_NO_TABLE: Final = ("no such table: saver_", "no such table: store_")
_READ_ONLY: Final = "attempt to write a readonly database"
_REFUSED: Final = (_READ_ONLY, "unable to open database file")

_NO_TEXT: Final = "Could not decode to UTF-8 column"
_UNREADABLE: Final = ("not a database", "malformed")
"""Messages about damaged files. sqlite3 has no class for them, and no code before Python 3.11."""


def translate_error(error: BaseException, connection: sqlite3.Connection) -> BaseException:
    """The error to raise in place of sqlite3's, which becomes its `__cause__`. An error without a
    translation is returned as it is.
    """
    told = _told(error, connection)
    if told is None:
        return error
    told.__cause__ = error
    return told


def closed_by_its_owner(error: BaseException) -> ClosedError:
    """The error for a connection that is closed."""
    told = ClosedError(
        "the SQLite connection is closed: its owner has to keep it open for as long as the saver "
        "or store that it was given to is used"
    )
    told.__cause__ = error
    return told


def _told(error: BaseException, connection: sqlite3.Connection) -> CheckpointError | None:
    if isinstance(error, sqlite3.OperationalError):
        return _operational(str(error), connection)
    if isinstance(error, sqlite3.ProgrammingError) and "closed database" in str(error):
        return closed_by_its_owner(error)
    if isinstance(error, sqlite3.ProgrammingError) and "same thread" in str(error):
        return InvalidArgumentError(
            "conn: graphs save from several threads, and this connection is for one only: open it "
            "with sqlite3.connect(path, check_same_thread=False), or use from_conn_string(path)"
        )
    if type(error) is sqlite3.DatabaseError and any(each in str(error) for each in _UNREADABLE):
        return CorruptValueError(
            f"SQLite cannot read the file{_of(_path_of_main(connection))}: {error}. It is damaged, "
            "encrypted, or something else than a database of SQLite; the path of a new file makes "
            "a new one"
        )
    return None


def _operational(told: str, connection: sqlite3.Connection) -> CheckpointError:
    if told.startswith(_NO_TEXT):
        column = told.removeprefix(_NO_TEXT).partition(" with text ")[0]
        return CorruptValueError(f"a stored text is damaged: it is no UTF-8, in the column{column}")
    if told.startswith(_BEYOND_LIMITS):
        return InvalidArgumentError(f"a filter has more conditions than SQLite takes: {told}")
    path = _path_of_main(connection)
    file = _of(path)
    if told.startswith(_NO_TABLE):
        return NotSetUpError(f"this SQLite database{file} is not set up, call setup(): {told}")
    missing = _missing_right(Path(path)) if path and told.startswith(_REFUSED) else None
    if missing is None and told.startswith(_READ_ONLY):
        missing = "writing to the file; the connection or the file system is for reading only"
    if missing is not None:
        return PermissionDeniedError(f"SQLite cannot do it{file}: {told}. Missing right: {missing}")
    return BackendUnavailableError(f"SQLite could not do it{file}: {told}")


def _of(path: str) -> str:
    return f" ({path})" if path else ""


def _missing_right(file: Path) -> str | None:
    """The rights on a database's files that this process lacks; None: it seems to have all."""
    missing = []
    if file.exists() and not _may(file, os.R_OK):
        missing.append(f"reading the file {str(file)!r}")
    elif file.exists() and not _may(file, os.W_OK):
        missing.append(f"writing to the file {str(file)!r}")
    if file.parent.exists() and not _may(file.parent, os.W_OK | os.X_OK):
        missing.append(f"making files in the directory {str(file.parent)!r}")
    return ", and ".join(missing) or None


def _may(path: Path, mode: int) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, mode, effective_ids=effective)


def _path_of_main(connection: sqlite3.Connection) -> str:
    """The path of the connection's main file, or "" if it has none. The file is not read."""
    try:
        cursor = connection.cursor()
        cursor.row_factory = None
        rows = cursor.execute("PRAGMA database_list").fetchall()
    except sqlite3.Error:
        return ""
    return next((path for _, name, path in rows if name == "main"), "")


def path_of(conn_string: str | os.PathLike[str]) -> str:
    """Check the path of a database file; returns it as a string.

    Raises:
        InvalidArgumentError: it is not a path, or it is a URL.
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
    """Translate the error about a file that cannot be opened: name the file and the reason.

    Raises:
        PermissionDeniedError: this process lacks a right on the file or its directory.
        BackendUnavailableError: the file cannot be opened for another reason.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        file = Path(path).absolute()
        told = f"SQLite cannot open {str(file)!r}: {error}"
        if not file.parent.exists():
            advice = f"there is no directory {str(file.parent)!r}, make it first"
        elif file.is_dir():
            advice = "it is a directory, and the path of a file is wanted"
        elif missing := _missing_right(file):
            raise PermissionDeniedError(f"{told}. Missing right: {missing}") from error
        else:
            advice = "may this process read and write the file, and make files beside it?"
        raise BackendUnavailableError(f"{told}: {advice}") from error


def connection_of(given: Any, wanted: type[T], argument: str = "conn") -> T:
    """Check that an argument is a connection of the class `wanted`.

    Raises:
        InvalidArgumentError: it is of another class.
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
