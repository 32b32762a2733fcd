"""What is to be stored in a thread, and what is ready to be tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from checkpoint_base.log import Prepared
from checkpoint_base.records import ChannelRecord, Complete, PutRecord, ValueKey
from checkpoint_base.statements.logs import Thread
from checkpoint_mongo.documents import put_documents, segment_document
from checkpoint_mongo.requests import Op

Documents = Callable[[Prepared, int], list[Op]]
"""What has some values, in a thread with this epoch."""


class Granted(NamedTuple):
    """Values that a put takes for granted.

    Attributes:
        ns: where they are.
        keys: which.
        epoch: that the thread had when they were there; None: nobody knows.
        completed: what is to be stored if some are missing.
    """

    ns: str
    keys: Sequence[ValueKey]
    epoch: int | None
    completed: Callable[[Sequence[ValueKey]], Storing]


class Storing(NamedTuple):
    """What is to be stored.

    Attributes:
        thread_id: where.
        ttl: minutes that this run asks for.
        records: whose values are to be stored.
        made_of: gives their documents.
        granted: what has to be there already.
    """

    thread_id: str
    ttl: float | None
    records: Sequence[ChannelRecord]
    made_of: Documents
    granted: Granted | None = None

    @classmethod
    def of(
        cls,
        put: PutRecord,
        bare: Sequence[str],
        complete: Complete,
        epoch: int | None = None,
        *,
        again: bool = False,
    ) -> Storing:
        """A checkpoint; see `put_documents`."""

        def made_of(prepared: Prepared, epoch: int) -> list[Op]:
            return put_documents(put, prepared.stored, epoch, bare, again=again)

        def completed(missing: Sequence[ValueKey]) -> Storing:
            return cls.of(complete(missing), bare, complete, again=True)

        to = put.checkpoint
        granted = Granted(to.ns, put.kept, epoch, completed) if put.kept else None
        return cls(to.thread_id, put.ttl, put.values, made_of, granted)


class Done(NamedTuple):
    """What became of it.

    Attributes:
        appended: whether something was appended to the log.
        replaced: whether any of the documents was there.
        epoch: of the thread, if that is known.
    """

    appended: bool
    replaced: bool
    epoch: int | None


class Attempt(NamedTuple):
    """Something to be stored, ready for a thread as it is taken for.

    Attributes:
        thread: as it is taken for.
        prepared: the values.
        segments: that they need.
        documents: that have them.
        epoch: that the thread has, if that is known.
        compared: whether it must have that one.
    """

    thread: Thread
    prepared: Prepared
    segments: list[Op]
    documents: list[Op]
    epoch: int | None = None
    compared: bool = False

    @classmethod
    def of(cls, thread: Thread, prepared: Prepared, made_of: Documents, epoch: int) -> Attempt:
        """With all its documents, which say that the thread has this epoch."""
        segments = [segment_document(str(thread.key), each) for each in prepared.segments]
        return cls(thread, prepared, segments, made_of(prepared, epoch))
