"""Conversion between records and documents. Checksums are the same as of the SQL backends' rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import bson

from checkpoint_base.dedup.segments import Segment
from checkpoint_base.dedup.writer import EncodedValues
from checkpoint_base.saver.config import Address
from checkpoint_base.saver.records.kinds import CheckpointRecord, PutRecord, Stored, WriteRecord
from checkpoint_base.saver.records.snapshot import CheckpointRow, ReadSnapshot
from checkpoint_base.sql.logs import Thread
from checkpoint_base.sql.rows import (
    ThreadRows,
    add_value,
    add_write,
    checked_segments,
    checked_value,
    checked_write,
    checkpoint_columns,
)
from checkpoint_mongo.connection.requests import Document, Op
from checkpoint_mongo.saver.keys import (
    THREAD,
    checkpoint_key,
    document_id,
    overflow_key,
    parts_of,
    segment_key,
    value_key,
    writes_key,
)

_COLUMNS: Final = (
    "parent_id",
    "run_id",
    "v",
    "versions",
    "link_checksum",
    "body_type",
    "body",
    "metadata",
    "sealed_type",
    "sealed",
    "small",
)
"""The fields in the order of `checkpoint_columns`."""
_LARGE: Final = ("body", "metadata", "sealed")
_LARGEST: Final = 4 << 20
"""Bytes. If a checkpoint's large fields exceed this, they are stored in overflow documents."""


def _record(kind: str, thread_id: str, key: str, more: Sequence[str], fields: Document) -> Op:
    """Store a document, and replace the one with its `_id`."""
    given = {name: value for name, value in fields.items() if value is not None}
    where = {"_id": document_id(thread_id, key, *more), "thread_id": thread_id}
    return Op(where, {**where, "kind": kind, "key": key, **given}, upsert=True)


def as_new(op: Op) -> Op:
    """The same change, refused if the document exists."""
    return op._replace(upsert=False, fresh=True)


# ---------------------------------------------------------------- threads


def thread_op(thread: Thread, now: float) -> Op:
    """Insert the document of a new thread."""
    fields = {
        "created_at": now,
        "updated_at": now,
        "expires_at": thread.expires_at,
        "ttl_override": thread.ttl_override,
        "generation": thread.epoch,
        "log_size": thread.log_end,
        "salt": thread.salt,
        "revision": 0,
    }
    return as_new(_record("thread", thread.key, THREAD, (), fields))


def touch_op(
    thread: Thread, now: float, log_size: int | None, guard: Document, garbage: int = 0
) -> Op:
    """Update a thread's document, which each write does. It locks the thread: concurrent
    transactions that update the same document conflict.

    Args:
        thread: the thread with its new expiry.
        now: epoch seconds.
        log_size: the new size of its log; None: unchanged.
        guard: further conditions on the document.
        garbage: about how many bytes this write leaves unreferenced.
    """
    changed: dict[str, Any] = {"updated_at": now}
    if log_size is not None:
        changed["log_size"] = log_size
    gone: dict[str, Any] = {}
    for name, value in (("expires_at", thread.expires_at), ("ttl_override", thread.ttl_override)):
        (gone if value is None else changed)[name] = "" if value is None else value
    added = {"garbage": garbage} if garbage else {}
    return thread_change(thread.key, {"$set": changed, "$unset": gone, "$inc": added}, guard)


def thread_change(thread_id: str, operators: Document, guard: Document | None = None) -> Op:
    """Update a thread's document. It always increments `revision`, because an update that changes
    nothing takes no lock.
    """
    where = {"_id": document_id(thread_id, THREAD), "thread_id": thread_id, **(guard or {})}
    given = {name: fields for name, fields in operators.items() if fields}
    added = {"revision": 1, **operators.get("$inc", {})}
    return Op(where, {**given, "$inc": added})


def thread_in(document: Document) -> Thread:
    """The thread of a document."""
    return Thread(
        document["thread_id"],
        document["generation"],
        document["log_size"],
        document.get("expires_at"),
        document.get("ttl_override"),
        document["salt"],
    )


# ---------------------------------------------------------------- puts


def put_ops(thread: Thread, put: PutRecord, prepared: EncodedValues) -> list[Op]:
    """The changes of a put, except that of the thread's document. The checkpoint is the last, so
    that without transactions it never exists without its values.
    """
    to, salt = put.checkpoint, thread.salt
    values = [
        _record(
            "value",
            to.thread_id,
            value_key(to.ns, record.channel, record.version),
            (),
            _fields(checked_value(salt, to.ns, record, stored)),
        )
        for record, stored in zip(put.values, prepared.stored, strict=True)
    ]
    columns = dict(zip(_COLUMNS, checkpoint_columns(salt, to, put.run_id), strict=True))
    return [
        *segment_ops(thread.key, checked_segments(salt, prepared.segments)),
        *values,
        *_checkpoint_ops(to, columns),
    ]


def _checkpoint_ops(to: CheckpointRecord, columns: dict[str, Any]) -> list[Op]:
    fields = {"checkpoint_id": to.checkpoint_id, **columns}
    pieces: list[bytes] = []
    if sum(len(columns[name] or b"") for name in _LARGE) > _LARGEST:
        whole = bson.encode({name: fields.pop(name) for name in _LARGE})
        pieces = [whole[at : at + _LARGEST] for at in range(0, len(whole), _LARGEST)]
        fields["overflow"] = len(pieces)
    key = overflow_key(to.ns, to.checkpoint_id)
    return [
        *(
            _record("overflow", to.thread_id, key, (str(n),), {"number": n, "data": piece})
            for n, piece in enumerate(pieces)
        ),
        _record("checkpoint", to.thread_id, checkpoint_key(to.ns, to.checkpoint_id), (), fields),
    ]


def segment_ops(thread_id: str, segments: Iterable[Segment]) -> list[Op]:
    """Store segments, whose digests have their checksums."""
    return [
        _record(
            "segment",
            thread_id,
            segment_key(start),
            (),
            {"start": start, "digests": digests, "data": data},
        )
        for start, digests, data in segments
    ]


def write_ops(
    thread: Thread, at: Address, records: Sequence[WriteRecord], prepared: EncodedValues
) -> list[Op]:
    """The changes of `put_writes`, except that of the thread's document. A stored regular write
    (idx >= 0) is not replaced.
    """
    place = at.namespace, at.checkpoint_id or ""
    ops = segment_ops(thread.key, checked_segments(thread.salt, prepared.segments))
    for record, stored in zip(records, prepared.stored, strict=True):
        checked = checked_write(thread.salt, *place, record, stored)
        fields = {
            "task_id": record.task_id,
            "task_path": record.task_path,
            "idx": record.idx,
            "channel": record.channel,
            **_fields(checked),
        }
        names = record.task_id, str(record.idx)
        op = _record("write", thread.key, writes_key(*place), names, fields)
        ops.append(op if record.idx < 0 else op._replace(upsert=False, new=True))
    return ops


def _fields(stored: Stored) -> dict[str, Any]:
    """The fields of a stored value."""
    return {"type": stored.kind, "data": stored.inline, "layout": stored.layout}


# ---------------------------------------------------------------- reading


def checkpoint_row(document: Document) -> tuple[Any, ...]:
    """The row of a document that `ThreadRows.checkpoint` takes."""
    ns, checkpoint_id = parts_of(document["key"])
    columns = (document.get(name) for name in (*_COLUMNS[:1], *_COLUMNS[2:4], *_COLUMNS[5:]))
    return (ns, checkpoint_id, *columns)


def found_in(document: Document, thread: Thread) -> CheckpointRow:
    """A checkpoint with its thread's generation, log size, expiry and salt.

    Raises:
        CorruptValueError: a checksum is wrong: it was damaged, or is another checkpoint's.
    """
    record = ThreadRows(thread.key, thread.salt).checkpoint(checkpoint_row(document))
    position = record.checkpoint_id, thread.key, record.ns
    return CheckpointRow(
        record,
        thread.key,
        thread.epoch,
        thread.log_end,
        thread.expires_at,
        position,
        thread.salt,
        thread.ttl_override,
    )


def whole_checkpoint(document: Document, pieces: Iterable[Document]) -> Document:
    """A checkpoint's document with the fields of its overflow documents."""
    ordered = sorted(pieces, key=lambda piece: piece["number"])
    return {**document, **bson.decode(b"".join(piece["data"] for piece in ordered))}


def add_part(snapshot: ReadSnapshot, threads: Mapping[Any, ThreadRows], document: Document) -> None:
    """Check a value's or a write's checksum, and add it to the snapshot."""
    stored = document["type"], document["data"], document.get("layout")
    names = document["thread_id"], *parts_of(document["key"])
    if document["kind"] == "value":
        add_value(snapshot, threads, (*names, *stored))
    else:
        columns = (document[name] for name in ("task_id", "task_path", "idx", "channel"))
        add_write(snapshot, threads, (*names, *columns, *stored))
