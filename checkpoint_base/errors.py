"""The exceptions of every backend. Messages name the argument, what was given, what is wanted."""

from __future__ import annotations

import asyncio


class CheckpointError(Exception):
    """Root of all errors that this library raises itself."""


class InvalidArgumentError(CheckpointError, ValueError):
    """An argument or a setting cannot be used. Nothing was read or written."""


class UnserializableValueError(InvalidArgumentError, TypeError):
    """The serializer cannot store a value; its error, mostly a `TypeError`, is the cause."""


class MissingDriverError(CheckpointError, ImportError):
    """The backend's driver is not installed; the message has the command that installs it."""

    @classmethod
    def of(cls, needed_by: str, extra: str) -> MissingDriverError:
        """The error for `needed_by`, whose driver comes with the extra named `extra`."""
        return cls(f"{needed_by} needs: pip install 'langgraph-checkpoint-suite[{extra}]'")


class SchemaVersionError(CheckpointError):
    """The database was set up by a newer version of this library."""


class NotSetUpError(CheckpointError):
    """The database has no schema of this library: `setup()` was never called on it. Nothing was
    read or written.
    """


class UnsupportedServerError(CheckpointError):
    """The server cannot do what was required of it: `setup(require_transactions=True)` on a
    standalone MongoDB. Nothing was written.
    """


class PermissionDeniedError(CheckpointError):
    """The database is there, but its user (or this process) may not do what the call needs.

    The message names the missing right, as far as the database says which; the driver's error is
    the cause. Nothing was read or written.
    """


class ConflictError(CheckpointError):
    """Another transaction was in the way: a serialization failure, a deadlock, a key that it has
    inserted. Nothing was written, and the call may be made again. In a transaction of the caller's
    nothing is retried: the caller rolls that transaction back and runs it again.
    """


class TransactionFailedError(CheckpointError):
    """The transaction that the caller has open on the connection had failed before this call. The
    caller has to roll it back; until then the database carries out nothing.
    """


class CorruptValueError(CheckpointError):
    """Stored bytes are missing or damaged. Never raised for something that was not stored."""


class UnreadableValueError(CheckpointError, ValueError):
    """A stored value is intact, but the serializer cannot rebuild it: its class was renamed or
    removed, is not on the allow-list, or refuses what was stored. See `on_unreadable`.
    """


class UnencryptedValueError(CheckpointError):
    """A value that should be encrypted is not: somebody else wrote it."""


class DecryptionError(CheckpointError, ValueError):
    """A value that was stored encrypted cannot be decrypted: another key, no key, or damage."""


class BackendUnavailableError(CheckpointError):
    """The database could not be reached or did not answer; the driver's error is the cause."""


class ClosedError(CheckpointError, RuntimeError):
    """A saver or a store was used after its `with` block, which closed its connection, or the
    caller has closed the connection or the pool that it was made with.
    """


class EventLoopError(CheckpointError, RuntimeError, asyncio.InvalidStateError):
    """A blocking call was made on the very thread that runs the event loop of the saver or the
    store, or that loop has ended. LangGraph's own async savers and stores raise asyncio's
    `InvalidStateError`, which it is as well.
    """


class UncommittedWarning(UserWarning):
    """The caller's connection does not autocommit: what a saver or a store writes on it belongs to
    a transaction that the caller has to commit. Given once for each connection.
    """
