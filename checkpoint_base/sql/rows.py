"""Conversion between records and SQL rows, with checksums added on write and verified on read."""

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
    """Verifies and decodes the rows of one thread.

    Args:
        thread_id: the thread, for error messages.
        salt: the salt of its checksums.
    """

    __slots__ = ("salt", "thread_id")

    def __init__(self, thread_id: str, salt: bytes) -> None:
        self.thread_id = thread_id
        self.salt = salt

    def checkpoint(self, row: Sequence[Any]) -> CheckpointRecord:
        """Decode the columns ns, checkpoint_id, parent_id, v, versions, body_type, body, metadata,
        sealed_type, sealed, small.

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
        """Decode the columns checkpoint_id, parent_id, versions, link_checksum.

        Raises:
            CorruptValueError: the row was damaged, or is another checkpoint's.
        """
        checkpoint_id, parent_id, versions, expected = row
        names = _link_names(ns, checkpoint_id, parent_id, versions)
        without_checksum(self.thread_id, self.salt, names, expected)
        return Link(checkpoint_id, parent_id, *parse_versions(versions))

    def value(self, ns: str, channel: str, version: str, stored: Stored) -> Stored:
        """Verify a value's row, and strip its checksum.

        Raises:
            CorruptValueError: the row was damaged, or is another value's.
        """
        return self._stored(("value", ns, channel, version, stored.kind), stored)

    def write(self, ns: str, checkpoint_id: str, row: Sequence[Any]) -> bytes:
        """Verify a write's row, and return its inline bytes; `row` is task_id, task_path, idx,
        channel, type, data, layout.

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
        """Verify the digests of a segment, and strip their checksum.

        Raises:
            CorruptValueError: they were damaged, or belong to another segment.
        """
        return without_checksum(self.thread_id, self.salt, ("segment", str(start)), stored)


class _Threads(dict[ThreadKey, ThreadRows]):
    def __missing__(self, thread: ThreadKey) -> ThreadRows:
        # in a damaged SQLite file, a row found by index may contain another thread's key
        raise CorruptValueError(f"a stored row is damaged: it says that its thread is {thread!r}")


def checked_threads(found: Iterable[CheckpointRow]) -> Mapping[ThreadKey, ThreadRows]:
    """`ThreadRows` of these checkpoints' threads; any other key raises CorruptValueError."""
    return _Threads((one.thread, ThreadRows(one.record.thread_id, one.salt)) for one in found)


def add_value(
    snapshot: ReadSnapshot, threads: Mapping[ThreadKey, ThreadRows], row: Sequence[Any]
) -> None:
    """Verify a value's row and add it to the snapshot.

    The row is thread, ns, channel, version, type, data, layout.
    """
    thread, ns, channel, version, *columns = row
    stored = threads[thread].value(ns, channel, version, Stored(*columns))
    snapshot.add_value((thread, ns, channel, version, *stored))


def add_write(
    snapshot: ReadSnapshot, threads: Mapping[ThreadKey, ThreadRows], row: Sequence[Any]
) -> None:
    """Verify a write's row and add it to the snapshot.

    The row is thread, ns, checkpoint_id, task_id, task_path, idx, channel, type, data, layout.
    """
    thread, ns, checkpoint_id = row[:3]
    data = threads[thread].write(ns, checkpoint_id, row[3:])
    snapshot.add_write((*row[:8], data, row[9]))


# ---------------------------------------------------------------- writing


def checkpoint_columns(
    salt: bytes, record: CheckpointRecord, run_id: str | None
) -> tuple[Any, ...]:
    """The columns of a checkpoint's row, except its key."""
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
    """A value as stored in its row: with a checksum."""
    return _checked(salt, ("value", ns, record.channel, record.version, stored.kind), stored)


def checked_write(
    salt: bytes, ns: str, checkpoint_id: str, record: WriteRecord, stored: Stored
) -> Stored:
    """A write's value as stored in its row: with a checksum."""
    row = record.task_id, record.task_path, record.idx, record.channel
    return _checked(salt, ("write", ns, checkpoint_id, *map(str, row), stored.kind), stored)


def checked_segments(salt: bytes, segments: Iterable[Segment]) -> list[Segment]:
    """Segments as stored in their rows: with a checksum of the digests."""
    return [
        Segment(start, with_checksum(salt, ("segment", str(start)), digests), data)
        for start, digests, data in segments
    ]


def _checked(salt: bytes, names: Sequence[str], stored: Stored) -> Stored:
    inline = with_checksum(salt, names, stored.inline, stored.layout or b"")
    return stored._replace(inline=inline)


# ---------------------------------------------------------------- columns covered by checksums


def _checkpoint_names(*columns: Any) -> tuple[str, ...]:
    """From ns, checkpoint_id, parent_id, v, versions, body_type, metadata, sealed_type."""
    ns, checkpoint_id, parent_id, v, versions, body_type, metadata, sealed_type = columns
    place = ns, checkpoint_id, parent_id or "", str(v)
    return "checkpoint", *place, versions, body_type, metadata, sealed_type or ""


def _link_names(
    ns: str, checkpoint_id: str, parent_id: str | None, versions: str
) -> tuple[str, ...]:
    return "link", ns, checkpoint_id, parent_id or "", versions
