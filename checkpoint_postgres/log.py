"""The threads' logs in Postgres: rows of a thread, by where in its log they begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checkpoint_base.log import Prepared
from checkpoint_base.plan import Plan
from checkpoint_base.records import Stored
from checkpoint_base.sharing import Segment, ranges_of
from checkpoint_base.sql.logs import SqlLogs, Thread
from checkpoint_base.sql.requests import execute, execute_many, rows


def ranges_text(layout: bytes | None) -> str | None:
    """What a layout needs of its log, as Postgres writes an int8multirange."""
    if layout is None:
        return None
    return "{" + ",".join(f"[{first},{end})" for first, end in ranges_of([layout])) + "}"


def columns(stored: Stored) -> tuple[Any, ...]:
    """A stored value as columns: type, data, layout, ranges."""
    return (*stored, ranges_text(stored.layout))


def parameters(prepared: Prepared) -> tuple[list[Any], list[Any]]:
    """What a put's statement takes of it: ($12 to $16, columns of the values from type on)."""
    pieces: list[bytes] = []
    at = 1  # SQL counts from 1
    starts: list[list[int]] = [[], [], [], []]
    for start, digests, data in prepared.segments:
        _append(starts, start, at, len(digests), len(data))
        pieces += digests, data
        at += len(digests) + len(data)
    values: list[list[Any]] = [[], [], [], [], []]
    for kind, inline, layout in prepared.stored:
        size = None if layout is None else len(layout)
        _append(values, kind, at, len(inline), size, ranges_text(layout))
        pieces += inline, layout or b""
        at += len(inline) + (size or 0)
    return [b"".join(pieces), *starts], values


def _append(lists: Sequence[list[Any]], *row: Any) -> None:
    for column, entry in zip(lists, row, strict=True):
        column.append(entry)


class Logs(SqlLogs):
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

    def collect_of(self, thread_id: str) -> Plan[None]:
        """`collect`, with the thread's lock."""
        thread = yield from self.find(thread_id)
        if thread is not None:
            yield from self.collect(thread.key)
