"""Read snapshots: the rows of checkpoints, values, writes and segments that one read returned.

Decoding is a separate step, so that it can run outside of the transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import TASKS

from checkpoint_base.dedup.index import ChunkIndexCache
from checkpoint_base.dedup.segments import assemble, ranges_of
from checkpoint_base.errors import CorruptValueError
from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.codec.checkpoints import Codec, Values
from checkpoint_base.saver.codec.values import place_of
from checkpoint_base.saver.records.channel_cache import LogState
from checkpoint_base.saver.records.kinds import (
    CheckpointRecord,
    Stored,
    Typed,
    ValueKey,
    WriteRecord,
)

ThreadKey = int | str
"""The key by which a backend's rows refer to their thread."""

CheckpointKey = tuple[ThreadKey, str, str]
"""(thread, namespace, checkpoint id)"""


class CheckpointRow(NamedTuple):
    """A checkpoint's row, joined with columns of its thread's row."""

    record: CheckpointRecord
    thread: ThreadKey
    epoch: int
    log_end: int
    expires_at: float | None
    position: tuple[Any, ...]
    """its sort key in a list over several threads"""
    salt: bytes = b""
    """the salt of the thread's checksums"""
    ttl: float | None = None
    """the thread's own time to live in minutes; None: the saver's default"""

    @property
    def place(self) -> CheckpointKey:
        """The checkpoint's key, under which its writes are stored."""
        return self.thread, self.record.ns, self.record.checkpoint_id

    @property
    def parent(self) -> CheckpointKey | None:
        """The parent's key, if the checkpoint is old (v < 4) and reads its sends from there."""
        if self.record.v >= 4 or self.record.parent_id is None:
            return None
        return self.thread, self.record.ns, self.record.parent_id


@dataclass
class ReadSnapshot:
    """All rows of some checkpoints, read in one transaction and not decoded yet."""

    found: list[CheckpointRow]
    values: dict[tuple[ThreadKey, str], dict[ValueKey, Stored]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    writes: dict[CheckpointKey, list[Sequence[Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    segments: dict[ThreadKey, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    _tables: dict[ThreadKey, list[tuple[int, bytes]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    # ------------------------------------------------------------------ what to read

    def keys(self) -> list[tuple[ThreadKey, str, str, str]]:
        """The keys of the value records to read: (thread, namespace, channel, version)."""
        entries: dict[tuple[ThreadKey, str, str, str], None] = {}
        for one in self.found:
            record = one.record
            without = {*record.small.names, *record.valueless}
            if len(without) == len(record.versions):
                continue
            for channel, version in record.versions.items():
                if channel not in without:
                    entries[one.thread, record.ns, channel, version] = None
        return list(entries)

    def places(self) -> list[CheckpointKey]:
        """The checkpoints whose writes must be read."""
        own = {one.place: None for one in self.found}
        return list(own | {one.parent: None for one in self.found if one.parent})

    def ranges(self) -> Iterable[tuple[ThreadKey, int, int]]:
        """The ranges of segment starts that the values and writes read so far need, as (thread,
        first, end).
        """
        layouts: dict[ThreadKey, list[bytes]] = defaultdict(list)
        for (thread, _), values in self.values.items():
            layouts[thread] += [one.layout for one in values.values() if one.layout is not None]
        for (thread, _, _), written in self.writes.items():
            layouts[thread] += [row[6] for row in written if row[6] is not None]
        for thread, some in layouts.items():
            for start, end in ranges_of(some):
                yield thread, start, end

    # ------------------------------------------------------------------ adding rows

    def add_value(self, row: Sequence[Any]) -> None:
        """Add a value's row: thread, ns, channel, version, type, data, layout."""
        thread, ns, channel, version, *stored = row
        self.values[thread, ns][channel, version] = Stored(*stored)

    def add_write(self, row: Sequence[Any]) -> None:
        """Add a write's row: thread, ns, checkpoint_id, task_id, task_path, idx, channel, type,
        data, layout.
        """
        self.writes[row[0], row[1], row[2]].append(row[3:])

    def add_segment(self, thread: ThreadKey, start: int, digests: bytes, data: bytes) -> None:
        """Add a segment's row."""
        self.segments[thread][start] = data
        self._tables[thread].append((start, digests))

    def teach(self, known: ChunkIndexCache) -> None:
        """Add the segments that were read to the chunk index cache. They must have been read in the
        same snapshot as the threads' epochs, or later. A thread without read segments is only
        added if its log is empty.
        """
        if len(self.found) == 1:  # a run starts by reading one checkpoint, its next put's parent
            (one,) = self.found
            known.channels.put(one.salt, one.record, LogState(one.epoch, one.log_end))
        for one in {one.thread: one for one in self.found}.values():
            known.salts.put(one.record.thread_id, one.salt)
            seen = sorted(self._tables.get(one.thread, ()))
            if seen or not one.log_end:
                known.put(one.record.thread_id, one.epoch, one.log_end, seen)

    @property
    def expiry(self) -> tuple[float, float | None] | None:
        """(expiry in epoch seconds, thread's TTL in minutes) of the first thread with an expiry."""
        for one in self.found:
            if one.expires_at is not None:
                return one.expires_at, one.ttl
        return None

    # ------------------------------------------------------------------ decoding

    @property
    def weight(self) -> int:
        """Approximate bytes to decode."""
        inline = sum(len(v.inline) for some in self.values.values() for v in some.values())
        inline += sum(len(row[5]) for some in self.writes.values() for row in some)
        return inline + sum(len(d) for some in self.segments.values() for d in some.values())

    def value(self, thread: ThreadKey, stored: Stored, *where: str) -> Typed:
        """Assemble a stored value from its segments, and verify its checksum.

        Args:
            thread: the thread whose segments it needs.
            stored: the value.
            where: pairs of kind and name that locate the value in errors: `"thread", "ann"`.

        Raises:
            CorruptValueError: a segment is missing, or the checksum does not match.
        """
        if stored.layout is None:
            return stored.kind, stored.inline
        try:
            return stored.kind, assemble(stored, self.segments[thread])
        except CorruptValueError as error:
            raise CorruptValueError(place_of(where) + str(error)) from error.__cause__

    def writes_of(
        self, place: CheckpointKey, thread_id: str, keep: Callable[[str], bool] | None = None
    ) -> list[WriteRecord]:
        """The writes of a checkpoint, or only to channels for which `keep` is true.

        `thread_id` is for error messages.
        """
        return [
            WriteRecord(
                *(task_id, path, idx, channel),
                self.value(
                    place[0],
                    Stored(*stored),
                    *("thread", thread_id, "task", task_id, "write to", channel),
                ),
            )
            for task_id, path, idx, channel, *stored in self.writes.get(place, ())
            if keep is None or keep(channel)
        ]

    def tuples(self, codec: Codec) -> list[CheckpointTuple]:
        """Decode all checkpoints."""
        return [
            codec.checkpoint_tuple(
                one.record,
                codec.metadata_of(one.record),
                self._values_of(one),
                self.writes_of(one.place, one.record.thread_id),
                self.writes_of(one.parent, one.record.thread_id, _is_tasks) if one.parent else (),
            )
            for one in self.found
        ]

    def _values_of(self, one: CheckpointRow) -> Values:
        stored = self.values.get((one.thread, one.record.ns), {})
        # Assemble each value when it is decoded, so that only one value's bytes are in memory.
        where = "thread", one.record.thread_id, "channel"
        return Values(stored, lambda key: self.value(one.thread, stored[key], *where, key[0]))

    def decoded(self, codec: Codec) -> Plan[list[CheckpointTuple]]:
        """Decode all checkpoints, in a worker thread if there are many bytes."""
        return (yield from _decoded(codec, (self,)))


class SnapshotSet:
    """Snapshots of several replies. Each is consistent in itself, but between two of them other
    writers may have removed data and changed epochs, so the snapshots are not merged.
    """

    def __init__(self, *parts: ReadSnapshot) -> None:
        self._parts = list(parts)

    def add(self) -> ReadSnapshot:
        """Add an empty snapshot for the next reply, and return it."""
        self._parts.append(ReadSnapshot([]))
        return self._parts[-1]

    def keep(self, found: Iterable[CheckpointRow]) -> None:
        """Drop all checkpoints but these, whose order is that of the replies."""
        order = {one.place: number for number, one in enumerate(found)}
        for part in self._parts:
            mine = (one for one in part.found if one.place in order)
            part.found = sorted(mine, key=lambda one: order[one.place])

    def teach(self, known: ChunkIndexCache) -> None:
        """Add the segments of each reply to the chunk index cache, under that reply's epochs."""
        for part in self._parts:
            part.teach(known)

    @property
    def expiry(self) -> tuple[float, float | None] | None:
        """(expiry in epoch seconds, thread's TTL in minutes) of the first thread with an expiry."""
        return next((part.expiry for part in self._parts if part.expiry is not None), None)

    def decoded(self, codec: Codec) -> Plan[list[CheckpointTuple]]:
        """Decode all checkpoints, in a worker thread if there are many bytes."""
        return (yield from _decoded(codec, self._parts))


def _decoded(codec: Codec, parts: Sequence[ReadSnapshot]) -> Plan[list[CheckpointTuple]]:
    yield from offload(sum(part.weight for part in parts))
    return [one for part in parts for one in part.tuples(codec)]


def _is_tasks(channel: str) -> bool:
    return channel == TASKS
