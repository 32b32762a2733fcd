"""The exceptions of every backend. Messages name the argument, the value given and the expected."""

from __future__ import annotations

import asyncio


class CheckpointError(Exception):
    """Base class of this library's errors."""


class InvalidArgumentError(CheckpointError, ValueError):
    """An argument or a setting is invalid. Nothing was read or written."""


class UnserializableValueError(InvalidArgumentError, TypeError):
    """The serializer cannot encode a value. `__cause__` is its error, usually a `TypeError`."""


class MissingDriverError(CheckpointError, ImportError):
    """The backend's package or driver cannot be imported. The message says what to install."""

    @classmethod
    def of(cls, needed_by: str, extra: str) -> MissingDriverError:
        """The error for `needed_by`, whose driver the package extra `extra` installs."""
        return cls(f"{needed_by} needs: pip install 'langgraph-checkpoint-suite[{extra}]'")


class SchemaVersionError(CheckpointError):
    """The database was set up by a newer version of this library."""


class NotSetUpError(CheckpointError):
    """The database lacks this library's schema; call `setup()`. Nothing was read or written."""


class UnsupportedServerError(CheckpointError):
    """The server lacks a required feature, such as transactions on a standalone MongoDB under
    `setup(require_transactions=True)`. Nothing was written.
    """


class PermissionDeniedError(CheckpointError):
    """The database user, or this process, lacks a permission that the call needs.

    The message names the permission if the database reports it; `__cause__` is the driver's error.
    Nothing was read or written.
    """


class ConflictError(CheckpointError):
    """Another transaction conflicted with this call: a serialization failure, a deadlock, or a
    duplicate key. Nothing was written, and the call may be repeated. Inside a transaction of the
    caller the library does not retry: the caller rolls that transaction back and runs it again.
    """


class TransactionFailedError(CheckpointError):
    """The caller's open transaction had failed before this call. The database rejects every
    statement until the caller rolls it back.
    """


class CorruptValueError(CheckpointError):
    """Stored bytes are missing or damaged. Never raised for a value that was never stored."""


class UnreadableValueError(CheckpointError, ValueError):
    """A stored value is intact, but the serializer cannot rebuild it: its class was renamed or
    removed, is not on the allow-list, or rejects the stored data. See `on_unreadable`.
    """


class UnencryptedValueError(CheckpointError):
    """A stored value is unencrypted although the serializer encrypts: another writer stored it."""


class DecryptionError(CheckpointError, ValueError):
    """An encrypted value cannot be decrypted: the key is wrong or missing, or the value damaged."""


class BackendUnavailableError(CheckpointError):
    """The database could not be reached or did not answer in time. `__cause__` is the driver's
    error, if there is one.
    """


class ClosedError(CheckpointError, RuntimeError):
    """A saver, store or cache was used after its connection was closed: by the end of its `with`
    block, or by the caller, who passed the connection or the pool in.
    """


class EventLoopError(CheckpointError, RuntimeError, asyncio.InvalidStateError):
    """A blocking method was called on the thread that runs the object's event loop, or that loop is
    missing, stopped or closed. Subclasses asyncio's `InvalidStateError`, which LangGraph's own
    async savers and stores raise.
    """


class UncommittedWarning(UserWarning):
    """The caller's connection does not autocommit, so the caller must commit the transaction in
    which a saver or a store writes. Issued once per connection.
    """
