"""The rows of SQL databases: columns of records, with their checksums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from checkpoint_base.dedup.segments import Segment
from checkpoint_base.errors import CorruptValueError
from checkpoint_base.saver.delta import Link
from checkpoint_base.saver.records.checksums import with_checksum, without_checksum
from checkpoint_base.saver.records.embedded import unpacked
from checkpoint_base.saver.records.kinds import CheckpointRecord, Stored, ValueRecord, WriteRecord
from checkpoint_base.saver.records.snapshot import CheckpointRow, ReadSnapshot, ThreadKey
from checkpoint_base.saver.records.versions import parse_versions, versions_json


class ThreadRows:
    """Checks the rows of a thread that is read.

    Args:
        thread_id: whose rows they are.
        salt: of their checksums.
    """

    __slots__ = ("salt", "thread_id")

    def __init__(self, thread_id: str, salt: bytes) -> None:
        self.thread_id = thread_id
        self.salt = salt

    def checkpoint(self, row: Sequence[Any]) -> CheckpointRecord:
        """A record of the columns ns, checkpoint_id, parent_id, v, versions, body_type, body,
        metadata, sealed_type, sealed, small.

        Raises:
            CorruptValueError: the row was damaged, or is another checkpoint's.
        """
        ns, checkpoint_id, parent_id, v, text, body_type, body, metadata, kind, sealed, small = row
        names = _checkpoint_names(ns, checkpoint_id, parent_id, v, text, body_type, metadata, kind)
        more = sealed or b"", small or b""
        body = without_checksum(self.thread_id, self.salt, names, body, *more)
        versions, valueless, embedded = parse_versions(text)
        return CheckpointRecord(
            self.thread_id,
            ns,
            checkpoint_id,
            parent_id,
            v,
            versions,
            (body_type, body),
            metadata,
            None if kind is None else (kind, sealed),
            valueless,
            unpacked(small, embedded),
        )

    def link(self, ns: str, row: Sequence[Any]) -> Link:
        """A link of the columns checkpoint_id, parent_id, versions, link_checksum.

        Raises:
            CorruptValueError: the row was damaged, or is another checkpoint's.
        """
        checkpoint_id, parent_id, versions, expected = row
        names = _link_names(ns, checkpoint_id, parent_id, versions)
        without_checksum(self.thread_id, self.salt, names, expected)
        return Link(checkpoint_id, parent_id, *parse_versions(versions))

    def value(self, ns: str, channel: str, version: str, stored: Stored) -> Stored:
        """What was stored as a value.

        Raises:
            CorruptValueError: the row was damaged, or is another value's.
        """
        return self._stored(("value", ns, channel, version, stored.kind), stored)

    def write(self, ns: str, checkpoint_id: str, row: Sequence[Any]) -> bytes:
        """What a write has inline; `row` is its task_id, task_path, idx, channel, type, data and
        layout.

        Raises:
            CorruptValueError: the row was damaged, or is another write's.
        """
        task_id, path, idx, channel, kind, data, layout = row
        names = "write", ns, checkpoint_id, task_id, path, str(idx), channel, kind
        return without_checksum(self.thread_id, self.salt, names, data, layout or b"")

    def _stored(self, names: Sequence[str], stored: Stored) -> Stored:
        layout = stored.layout or b""
        inline = without_checksum(self.thread_id, self.salt, names, stored.inline, layout)
        return stored._replace(inline=inline)

    def digests(self, start: int, stored: bytes) -> bytes:
        """The digests of a segment.

        Raises:
            CorruptValueError: they were damaged, or are another segment's.
        """
        return without_checksum(self.thread_id, self.salt, ("segment", str(start)), stored)


class _Threads(dict[ThreadKey, ThreadRows]):
    def __missing__(self, thread: ThreadKey) -> ThreadRows:
        # SQLite finds a row by an index, and the row itself may say that it is another thread's
        raise CorruptValueError(f"a stored row is damaged: it says that its thread is {thread!r}")


def checked_threads(found: Iterable[CheckpointRow]) -> Mapping[ThreadKey, ThreadRows]:
    """The threads of some checkpoints. To look for another one is a CorruptValueError."""
    return _Threads((one.thread, ThreadRows(one.record.thread_id, one.salt)) for one in found)


def add_value(
    snapshot: ReadSnapshot, threads: Mapping[ThreadKey, ThreadRows], row: Sequence[Any]
) -> None:
    """Check and note a value's row: thread, ns, channel, version, type, data, layout."""
    thread, ns, channel, version, *columns = row
    stored = threads[thread].value(ns, channel, version, Stored(*columns))
    snapshot.add_value((thread, ns, channel, version, *stored))


def add_write(
    snapshot: ReadSnapshot, threads: Mapping[ThreadKey, ThreadRows], row: Sequence[Any]
) -> None:
    """Check and note a write's row: thread, ns, checkpoint_id, task_id, task_path, idx, channel,
    type, data, layout.
    """
    thread, ns, checkpoint_id = row[:3]
    data = threads[thread].write(ns, checkpoint_id, row[3:])
    snapshot.add_write((*row[:8], data, row[9]))


# ---------------------------------------------------------------- writing


def checkpoint_columns(
    salt: bytes, record: CheckpointRecord, run_id: str | None
) -> tuple[Any, ...]:
    """What a checkpoint's row has besides its key."""
    versions = versions_json(record.versions, record.valueless, record.small.names)
    small = record.small.packed()
    body_type, body = record.body
    kind, sealed = record.sealed or (None, None)
    place = record.ns, record.checkpoint_id, record.parent_id
    names = _checkpoint_names(*place, record.v, versions, body_type, record.metadata, kind)
    return (
        record.parent_id,
        run_id,
        record.v,
        versions,
        with_checksum(salt, _link_names(*place, versions), b""),
        body_type,
        with_checksum(salt, names, body, sealed or b"", small or b""),
        record.metadata,
        kind,
        sealed,
        small,
    )


def checked_value(salt: bytes, ns: str, record: ValueRecord, stored: Stored) -> Stored:
    """A value as its row has it: with its checksum."""
    return _checked(salt, ("value", ns, record.channel, record.version, stored.kind), stored)


def checked_write(
    salt: bytes, ns: str, checkpoint_id: str, record: WriteRecord, stored: Stored
) -> Stored:
    """A write's value as its row has it: with its checksum."""
    row = record.task_id, record.task_path, record.idx, record.channel
    return _checked(salt, ("write", ns, checkpoint_id, *map(str, row), stored.kind), stored)


def checked_segments(salt: bytes, segments: Iterable[Segment]) -> list[Segment]:
    """Segments as their rows have them: the digests with a checksum."""
    return [
        Segment(start, with_checksum(salt, ("segment", str(start)), digests), data)
        for start, digests, data in segments
    ]


def _checked(salt: bytes, names: Sequence[str], stored: Stored) -> Stored:
    inline = with_checksum(salt, names, stored.inline, stored.layout or b"")
    return stored._replace(inline=inline)


# ---------------------------------------------------------------- what checksums cover


def _checkpoint_names(*columns: Any) -> tuple[str, ...]:
    """Of ns, checkpoint_id, parent_id, v, versions, body_type, metadata, sealed_type."""
    ns, checkpoint_id, parent_id, v, versions, body_type, metadata, sealed_type = columns
    place = ns, checkpoint_id, parent_id or "", str(v)
    return "checkpoint", *place, versions, body_type, metadata, sealed_type or ""


def _link_names(
    ns: str, checkpoint_id: str, parent_id: str | None, versions: str
) -> tuple[str, ...]:
    return "link", ns, checkpoint_id, parent_id or "", versions
