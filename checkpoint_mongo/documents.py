"""Records as documents, and back."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from checkpoint_base.config import Address
from checkpoint_base.log import Prepared
from checkpoint_base.reading import Found
from checkpoint_base.records import CheckpointRecord, PutRecord, Stored, WriteRecord
from checkpoint_base.sharing import Segment
from checkpoint_base.versions import versions_json
from checkpoint_mongo.keys import (
    checkpoint_key,
    place_of,
    ref_of,
    segment_key,
    task_key,
    value_key,
)
from checkpoint_mongo.requests import Document, Op

WRITES_TOGETHER: Final = 256
"""So many writes of a task are one document at most, which is far from 16 MiB."""

CARRIED: Final = 1 << 16
"""Bytes of new values that a checkpoint has in its own document; others are documents."""


def _replaced(document: dict[str, Any]) -> Op:
    where = {"thread_id": document["thread_id"], "key": document["key"]}
    return Op(
        where, {name: some for name, some in document.items() if some is not None}, upsert=True
    )


def _stored(stored: Stored) -> dict[str, Any]:
    """A stored value as fields."""
    fields = {"type": stored.kind, "data": stored.inline}
    return fields if stored.layout is None else {**fields, "layout": stored.layout}


def stored_in(document: Document) -> tuple[str, bytes, bytes | None]:
    """A stored value of its fields."""
    return document["type"], document["data"], document.get("layout")


def segment_document(thread_id: str, segment: Segment) -> Op:
    """A piece of the log."""
    return _replaced(
        {
            "thread_id": thread_id,
            "key": segment_key(segment.start),
            "start": segment.start,
            "digests": segment.digests,
            "data": segment.data,
        }
    )


def put_documents(
    put: PutRecord,
    stored: Sequence[Stored],
    epoch: int,
    bare: Sequence[str] = (),
    *,
    again: bool = False,
) -> list[Op]:
    """What a put stores besides segments: values that are too much for the checkpoint, and at last
    the checkpoint, which carries the others.

    Args:
        put: the records.
        stored: its values.
        epoch: of the thread, as far as this process knows.
        bare: channels with a new version, but no value.
        again: the checkpoint is there, and keeps values that it has; else, if it is there, it
            stays as it is.
    """
    carried: list[dict[str, Any]] = []
    apart: list[dict[str, Any]] = []
    room = CARRIED
    for entry in _entries(put, stored):
        room -= len(entry["data"]) + len(entry.get("layout", b""))
        (carried if room >= 0 else apart).append(entry)
    checkpoint = {**_checkpoint(put, carried), "epoch": epoch}
    if bare:
        checkpoint["bare"] = list(bare)
    own = {"thread_id": checkpoint["thread_id"], "key": checkpoint["key"]}
    if again:
        last = Op(own, _merged_checkpoint(checkpoint, carried), upsert=True)
    else:
        last = Op(own, checkpoint, upsert=True, new=True)
    return [*(_value_document(put, entry) for entry in apart), last]


def _entries(put: PutRecord, stored: Sequence[Stored]) -> Iterator[dict[str, Any]]:
    """The values of a put, as documents have them."""
    thread_id, ns = put.checkpoint.thread_id, put.checkpoint.ns
    for record, one in zip(put.values, stored, strict=True):
        ref = ref_of(thread_id, value_key(ns, record.channel, record.version))
        named = {"ref": ref, "channel": record.channel, "version": record.version}
        yield {**named, **_stored(one)}


def _value_document(put: PutRecord, entry: Mapping[str, Any]) -> Op:
    ns = put.checkpoint.ns
    return _replaced(
        {
            "thread_id": put.checkpoint.thread_id,
            "key": value_key(ns, entry["channel"], entry["version"]),
            "ref": [entry["ref"]],
            "ns": ns,
            "values": [entry],
        }
    )


def _checkpoint(put: PutRecord, carried: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A checkpoint, found by its key; `ref` is for the values that it carries."""
    record = put.checkpoint
    thread_id, ns = record.thread_id, record.ns
    sealed_type, sealed = record.sealed or (None, None)
    fields = {
        "thread_id": thread_id,
        "key": checkpoint_key(ns, record.checkpoint_id),
        "ref": [entry["ref"] for entry in carried] or None,
        "seek": place_of(thread_id, ns, record.checkpoint_id),
        "ns": ns,
        "checkpoint_id": record.checkpoint_id,
        "parent_id": record.parent_id,
        "tag": put.run_id,
        "v": record.v,
        "versions": versions_json(record.versions),
        "type": record.body[0],
        "body": record.body[1],
        "metadata": record.metadata,
        "sealed_type": sealed_type,
        "sealed": sealed,
        "values": list(carried) or None,
    }
    return {name: some for name, some in fields.items() if some is not None}


def _merged_checkpoint(
    checkpoint: Mapping[str, Any], carried: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A checkpoint instead of one that is there, whose values others may still need."""
    fields: dict[str, Any] = {name: {"$literal": some} for name, some in checkpoint.items()}
    given = [entry["ref"] for entry in carried]
    old = {"$ifNull": ["$values", {"$literal": []}]}
    kept = {"$filter": {"input": old, "cond": {"$not": [{"$in": ["$$this.ref", given]}]}}}
    fields["values"] = {"$concatArrays": [kept, {"$literal": list(carried)}]}
    gone = {name: "$$REMOVE" for name in _OPTIONAL if name not in checkpoint}
    return [{"$set": {**fields, **gone}}, {"$set": {"ref": REFS_OF_VALUES}}]


REFS_OF_VALUES: Final = {"$map": {"input": "$values", "in": "$$this.ref"}}
_OPTIONAL: Final = ("bare", "parent_id", "tag", "sealed_type", "sealed")


def refs_of(checkpoint: Document) -> list[bytes]:
    """What a checkpoint is read together with: its writes, the values that it does not carry, and
    the writes to a parent that are its sends.
    """
    thread_id, ns = checkpoint["thread_id"], checkpoint["ns"]
    carried = {(one["channel"], one["version"]) for one in checkpoint.get("values", ())}
    entries = json.loads(checkpoint["versions"]).items()
    keys = [checkpoint["key"], *(value_key(ns, *each) for each in entries if each not in carried)]
    if checkpoint["v"] < 4 and checkpoint.get("parent_id") is not None:
        keys.append(checkpoint_key(ns, checkpoint["parent_id"]))
    return [ref_of(thread_id, each) for each in keys]


def values_in(document: Document) -> Iterator[tuple[Any, ...]]:
    """The values of a document as rows: thread, ns, channel, version, type, data, layout."""
    for entry in document.get("values") or ():
        named = entry["channel"], entry["version"]
        yield (document["thread_id"], document["ns"], *named, *stored_in(entry))


def part_of(idx: int) -> int:
    """Which of a task's documents has a write."""
    return max(idx, 0) // WRITES_TOGETHER


Entries = Mapping[str, Mapping[str, Any]]


def task_documents(
    at: Address, records: Sequence[WriteRecord], stored: Iterable[Stored]
) -> list[Op]:
    """A task's writes. Of a regular one the first stays, of a special one the last."""
    return [
        Op(where, [{"$set": _merged(fields, entries)}], upsert=True)
        for where, fields, entries in _tasks(at, records, stored)
    ]


def new_task_documents(at: Address, records: Sequence[WriteRecord], prepared: Prepared) -> list[Op]:
    """A task's writes, if it had none."""
    return [
        Op(where, {**fields, "writes": entries}, upsert=True, new=True)
        for where, fields, entries in _tasks(at, records, prepared.stored)
    ]


def _tasks(
    at: Address, records: Sequence[WriteRecord], stored: Iterable[Stored]
) -> Iterator[tuple[Document, Document, Entries]]:
    """Of each document of a task: what it is found by, what it is of, and its writes."""
    checkpoint_id = at.checkpoint_id or ""
    parts: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for record, one in zip(records, stored, strict=True):
        entry = {"path": record.task_path, "channel": record.channel, **_stored(one)}
        parts[part_of(record.idx)][str(record.idx)] = entry
    task_id = records[0].task_id
    ref = ref_of(at.thread_id, checkpoint_key(at.namespace, checkpoint_id))
    for part, entries in parts.items():
        key = task_key(at.namespace, checkpoint_id, task_id, part)
        fields = {"ref": ref, "ns": at.namespace, "of": checkpoint_id, "task_id": task_id}
        yield {"thread_id": at.thread_id, "key": key}, fields, entries


def _merged(fields: Document, entries: Entries) -> dict[str, Any]:
    regular = {idx: entry for idx, entry in entries.items() if int(idx) >= 0}
    special = {idx: entry for idx, entry in entries.items() if int(idx) < 0}
    old = {"$ifNull": ["$writes", {"$literal": {}}]}
    pieces = [{"$literal": regular}, old, {"$literal": special}]
    merged: dict[str, Any] = {name: {"$literal": some} for name, some in fields.items()}
    merged["writes"] = {"$mergeObjects": pieces}
    if special:  # whether something large was replaced
        large = [{"$ne": [{"$type": f"$writes.{idx}.layout"}, "missing"]} for idx in special]
        merged["replaced"] = {"$or": [{"$eq": ["$replaced", True]}, *large]}
    return merged


def writes_in(document: Document) -> Iterator[tuple[Any, ...]]:
    """A task's writes as rows: thread, ns, checkpoint_id, task_id, task_path, idx, channel, type,
    data, layout.
    """
    task = (document["thread_id"], document["ns"], document["of"], document["task_id"])
    for idx, entry in document["writes"].items():
        yield (*task, entry["path"], int(idx), entry["channel"], *stored_in(entry))


def record_in(document: Document) -> CheckpointRecord:
    """A checkpoint."""
    sealed_type = document.get("sealed_type")
    return CheckpointRecord(
        document["thread_id"],
        document["ns"],
        document["checkpoint_id"],
        document.get("parent_id"),
        document["v"],
        json.loads(document["versions"]),
        (document["type"], document["body"]),
        document["metadata"],
        None if sealed_type is None else (sealed_type, document["sealed"]),
    )


def found_in(document: Document, thread: Document) -> Found:
    """A checkpoint, and what its thread's document says."""
    record = record_in(document)
    return Found(
        record,
        record.thread_id,
        thread["epoch"],
        thread["log_end"],
        thread.get("expires_at"),
        (record.checkpoint_id, record.thread_id, record.ns),
    )
