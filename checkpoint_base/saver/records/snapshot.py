"""Checkpoints with all that belongs to them, as a backend read them: decoded together."""

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
"""What a backend's rows name their thread by."""

CheckpointKey = tuple[ThreadKey, str, str]
"""(thread, namespace, checkpoint id)"""


class CheckpointRow(NamedTuple):
    """A checkpoint's row, and of its thread's what goes with it."""

    record: CheckpointRecord
    thread: ThreadKey
    epoch: int
    log_end: int
    expires_at: float | None
    position: tuple[Any, ...]
    """where it stands in a list over several threads"""
    salt: bytes = b""
    """of the thread's checksums"""
    ttl: float | None = None
    """of the thread, minutes; None: the saver's own"""

    @property
    def place(self) -> CheckpointKey:
        """Where its own writes are."""
        return self.thread, self.record.ns, self.record.checkpoint_id

    @property
    def parent(self) -> CheckpointKey | None:
        """Where its sends are, if they still have to be taken from its parent's writes."""
        if self.record.v >= 4 or self.record.parent_id is None:
            return None
        return self.thread, self.record.ns, self.record.parent_id


@dataclass
class ReadSnapshot:
    """All rows of some checkpoints, read in one transaction; nothing is decoded yet."""

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
        """The values that have a record: (thread, namespace, channel, version)."""
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
        """Whose writes the checkpoints need."""
        own = {one.place: None for one in self.found}
        return list(own | {one.parent: None for one in self.found if one.parent})

    def ranges(self) -> Iterable[tuple[ThreadKey, int, int]]:
        """What the values and writes read so far need of which log: (thread, first, end)."""
        layouts: dict[ThreadKey, list[bytes]] = defaultdict(list)
        for (thread, _), values in self.values.items():
            layouts[thread] += [one.layout for one in values.values() if one.layout is not None]
        for (thread, _, _), written in self.writes.items():
            layouts[thread] += [row[6] for row in written if row[6] is not None]
        for thread, some in layouts.items():
            for start, end in ranges_of(some):
                yield thread, start, end

    # ------------------------------------------------------------------ what was read

    def add_value(self, row: Sequence[Any]) -> None:
        """Note a value's row: thread, ns, channel, version, type, data, layout."""
        thread, ns, channel, version, *stored = row
        self.values[thread, ns][channel, version] = Stored(*stored)

    def add_write(self, row: Sequence[Any]) -> None:
        """Note a write's row: thread, ns, checkpoint_id, task_id, task_path, idx, channel, type,
        data, layout.
        """
        self.writes[row[0], row[1], row[2]].append(row[3:])

    def add_segment(self, thread: ThreadKey, start: int, digests: bytes, data: bytes) -> None:
        """Note a segment's row."""
        self.segments[thread][start] = data
        self._tables[thread].append((start, digests))

    def teach(self, known: ChunkIndexCache) -> None:
        """Tell the cache what the segments have, all of which were read together with the threads'
        epochs, or later than those. A thread of which none was read stays as it is, unless its log
        is known to be empty.
        """
        if len(self.found) == 1:  # to read one is what a run begins with
            (one,) = self.found
            known.channels.put(one.salt, one.record, LogState(one.epoch, one.log_end))
        for one in {one.thread: one for one in self.found}.values():
            known.salts.put(one.record.thread_id, one.salt)
            seen = sorted(self._tables.get(one.thread, ()))
            if seen or not one.log_end:
                known.put(one.record.thread_id, one.epoch, one.log_end, seen)

    @property
    def expiry(self) -> tuple[float, float | None] | None:
        """(expires at, ttl of the thread) of a thread with an expiry, which reading may move."""
        for one in self.found:
            if one.expires_at is not None:
                return one.expires_at, one.ttl
        return None

    # ------------------------------------------------------------------ decoding

    @property
    def weight(self) -> int:
        """About how many bytes there are to decode."""
        inline = sum(len(v.inline) for some in self.values.values() for v in some.values())
        inline += sum(len(row[5]) for some in self.writes.values() for row in some)
        return inline + sum(len(d) for some in self.segments.values() for d in some.values())

    def value(self, thread: ThreadKey, stored: Stored, *where: str) -> Typed:
        """A stored value's bytes, put together and checked.

        Args:
            thread: whose segments it needs.
            stored: the value.
            where: kinds and names of what it belongs to, for the error: `"thread", "ann"`.

        Raises:
            CorruptValueError: a segment is gone, or the bytes are not those that were stored.
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
        """The writes of a checkpoint, or those to some channels; `thread_id` is for errors."""
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
        """Decode everything."""
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
        # One value after the other: the bytes of the last one are free for the next.
        where = "thread", one.record.thread_id, "channel"
        return Values(stored, lambda key: self.value(one.thread, stored[key], *where, key[0]))

    def decoded(self, codec: Codec) -> Plan[list[CheckpointTuple]]:
        """Decode everything, off the event loop if that takes long."""
        return (yield from _decoded(codec, (self,)))


class SnapshotSet:
    """What several replies told. Each is whole in itself; from one to the next anything may have
    been removed, and stored again under another epoch.
    """

    def __init__(self, *parts: ReadSnapshot) -> None:
        self._parts = list(parts)

    def add(self) -> ReadSnapshot:
        """Where the next reply is noted."""
        self._parts.append(ReadSnapshot([]))
        return self._parts[-1]

    def keep(self, found: Iterable[CheckpointRow]) -> None:
        """Only these checkpoints are wanted, which the replies told in this order."""
        order = {one.place: number for number, one in enumerate(found)}
        for part in self._parts:
            mine = (one for one in part.found if one.place in order)
            part.found = sorted(mine, key=lambda one: order[one.place])

    def teach(self, known: ChunkIndexCache) -> None:
        """Tell the cache what the segments of each have, under the epochs of the same reply."""
        for part in self._parts:
            part.teach(known)

    @property
    def expiry(self) -> tuple[float, float | None] | None:
        """(expires at, ttl of the thread) of a thread with an expiry, which reading may move."""
        return next((part.expiry for part in self._parts if part.expiry is not None), None)

    def decoded(self, codec: Codec) -> Plan[list[CheckpointTuple]]:
        """Decode everything, off the event loop if that takes long."""
        return (yield from _decoded(codec, self._parts))


def _decoded(codec: Codec, parts: Sequence[ReadSnapshot]) -> Plan[list[CheckpointTuple]]:
    yield from offload(sum(part.weight for part in parts))
    return [one for part in parts for one in part.tuples(codec)]


def _is_tasks(channel: str) -> bool:
    return channel == TASKS
