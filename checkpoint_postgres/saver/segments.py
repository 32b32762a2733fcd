"""The threads' logs in Postgres: a segment's key is its thread and its offset in the log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from checkpoint_base.dedup.segments import Segment, ranges_of
from checkpoint_base.dedup.writer import EncodedValues
from checkpoint_base.plan import Plan
from checkpoint_base.saver.records.kinds import Stored, ValueKey
from checkpoint_base.sql.logs import SqlDedupWriter, Thread
from checkpoint_base.sql.requests import execute, execute_many, rows
from checkpoint_base.sql.rows import checked_segments

_to_json: Final = json.JSONEncoder(separators=(",", ":")).encode


def ranges_text(layout: bytes | None) -> str | None:
    """The ranges of the log that a layout refers to, in the text form of an int8multirange."""
    if layout is None:
        return None
    return "{" + ",".join(f"[{first},{end})" for first, end in ranges_of([layout])) + "}"


def columns(stored: Stored) -> tuple[Any, ...]:
    """A stored value as columns: type, data, layout, ranges."""
    return (*stored, ranges_text(stored.layout))


def parameters(
    salt: bytes, prepared: EncodedValues, rows: Iterable[tuple[Mapping[str, Any], Stored]]
) -> tuple[bytes, str, str]:
    """Parameters of a put's statement: all binary data, JSON of the segments, JSON of the rows.

    Args:
        salt: of the thread.
        prepared: the segments.
        rows: of values or writes: other columns by name, and the value with its checksum.
    """
    pieces: list[bytes] = []
    at = 1  # SQL counts from 1
    segments = []
    for start, digests, data in checked_segments(salt, prepared.segments):
        segments.append({"start": start, "at": at, "digests": len(digests), "size": len(data)})
        pieces += digests, data
        at += len(digests) + len(data)
    values = []
    for others, (kind, inline, layout) in rows:
        entry = {**others, "type": kind, "at": at, "size": len(inline)}
        pieces.append(inline)
        at += len(inline)
        if layout is not None:
            entry |= {"layout": len(layout), "ranges": ranges_text(layout)}
            pieces.append(layout)
            at += len(layout)
        values.append(entry)
    return b"".join(pieces), _to_json(segments), _to_json(values)


def keys_json(values: Iterable[ValueKey]) -> str:
    """The keys of values, as JSON."""
    return _to_json([{"channel": channel, "version": version} for channel, version in values])


class PostgresDedupWriter(SqlDedupWriter):
    """Sub-plans on threads and their logs, to be run inside a transaction."""

    def newest(self, thread: Thread, count: int) -> Plan[list[tuple[int, bytes]]]:
        found: list[Any] = yield from rows(self.queries["newest_digests"], (thread.key, count))
        return found

    def insert_segments(self, thread: Thread, segments: Sequence[Segment]) -> Plan[None]:
        values = [(thread.key, *segment) for segment in segments]
        yield from execute_many(self.queries["insert_segment"], values)

    def segment_sizes(self, thread: Thread) -> Plan[list[tuple[int, int]]]:
        found: list[Any] = yield from rows(self.queries["segment_sizes"], (thread.key,))
        return found

    def delete_segments(self, thread: Thread, starts: Sequence[int]) -> Plan[None]:
        yield from execute(self.queries["delete_segments"], (thread.key, list(starts)))

    def delete_values(self, thread: Thread, names: Sequence[Any]) -> Plan[None]:
        spaces, channels, versions = map(list, zip(*names, strict=True))
        values = (thread.key, spaces, channels, versions)
        yield from execute(self.queries["delete_values"], values)

    def purge_segments(self, thread: Thread) -> Plan[None]:
        yield from execute(self.queries["purge_segments"], (thread.key,))

    def copy_segments(self, source: Thread, target: Thread) -> Plan[None]:
        yield from execute(self.queries["copy_segments"], (source.key, target.key))
