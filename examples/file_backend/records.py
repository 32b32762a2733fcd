"""Encoding of a thread as the bytes of a file, with a checksum."""

from __future__ import annotations

import ormsgpack
from xxhash import xxh3_128_digest

from checkpoint_base.errors import CorruptValueError
from checkpoint_base.memory.thread import MemoryThread
from checkpoint_base.saver.records.embedded import NOTHING
from checkpoint_base.saver.records.kinds import CheckpointRecord, WriteRecord

CHECKSUM = 16  # bytes at the start of the file


def encode(name: str, thread: MemoryThread) -> bytes:
    """Encode a thread with all its records."""
    data = ormsgpack.packb(
        [
            name,
            [thread.created, thread.updated, thread.expires, thread.ttl],
            [[_fields(record), run] for record, run in thread.checkpoints.values()],
            [[*key, *value] for key, value in thread.values.items()],
            [[*key, list(map(list, some.values()))] for key, some in thread.writes.items()],
        ]
    )
    return xxh3_128_digest(data) + data


def _fields(record: CheckpointRecord) -> list[object]:
    return [*record[:-2], sorted(record.valueless)]  # this backend embeds no values in checkpoints


def decode(stored: bytes, where: str) -> tuple[str, MemoryThread]:
    """Decode a thread's id and the thread. `where` names the thread or its file in the error.

    Raises:
        CorruptValueError: the checksum does not match.
    """
    checksum, data = stored[:CHECKSUM], stored[CHECKSUM:]
    if xxh3_128_digest(data) != checksum:
        raise CorruptValueError(f"{where}: the file does not match its checksum: it was damaged")
    name, (created, updated, expires, ttl), checkpoints, values, writes = ormsgpack.unpackb(data)
    thread = MemoryThread(created, updated, expires, ttl)
    for (*fields, body, metadata, sealed, valueless), run in checkpoints:
        typed = tuple(body), metadata, sealed and tuple(sealed), frozenset(valueless), NOTHING
        record = CheckpointRecord._make((*fields, *typed))
        thread.checkpoints[record.ns, record.checkpoint_id] = record, run
    for ns, channel, version, kind, value in values:
        thread.values[ns, channel, version] = kind, value
    for ns, checkpoint_id, some in writes:
        records = [WriteRecord._make((*fields, tuple(value))) for *fields, value in some]
        thread.writes[ns, checkpoint_id] = {(one.task_id, one.idx): one for one in records}
    return name, thread
