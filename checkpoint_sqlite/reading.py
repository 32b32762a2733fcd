"""Checkpoints with all that belongs to them: few statements, however many checkpoints."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import TASKS

from checkpoint_base.codec import Codec
from checkpoint_base.known import LogCache
from checkpoint_base.plan import Plan
from checkpoint_base.records import CheckpointRecord, Stored, Typed, ValueKey, WriteRecord
from checkpoint_base.sharing import assemble, ranges_of
from checkpoint_sqlite.log import LOG_BITS
from checkpoint_sqlite.requests import Row, rows

COLUMNS: Final = (
    "t.thread_id, t.no, t.epoch, t.log_end, t.expires_at, c.id, c.ns, c.checkpoint_id, "
    "c.parent_id, c.v, c.versions, c.body_type, c.body, c.metadata, c.sealed_type, c.sealed"
)
"""What `Found.of` reads, of saver_threads AS t and saver_checkpoints AS c."""

_VALUES: Final = (
    "SELECT v.thread, v.ns, v.channel, v.version, v.type, v.data, v.layout FROM want "
    "CROSS JOIN saver_values AS v ON v.thread = want.a AND v.ns = want.b "
    "AND v.channel = want.c AND v.version = want.d"
)
_SEGMENTS: Final = (
    "SELECT s.id, s.digests, s.data FROM want "
    "CROSS JOIN saver_segments AS s ON s.id >= want.a AND s.id < want.b"
)
_WRITES: Final = (
    "SELECT w.thread, w.ns, w.checkpoint_id, w.task_id, w.task_path, w.idx, w.channel, w.type, "
    "w.data, w.layout FROM want CROSS JOIN saver_writes AS w ON w.thread = want.a "
    "AND w.ns = want.b AND w.checkpoint_id = want.c"
)
_BATCH: Final = 400  # rows of VALUES in one statement

Place = tuple[int, str, str]
"""(thread number, namespace, checkpoint id)"""


class Found(NamedTuple):
    """A checkpoint's row, and of its thread's what goes with it."""

    record: CheckpointRecord
    no: int
    epoch: int
    log_end: int
    expires_at: float | None
    row_id: int

    @classmethod
    def of(cls, row: Row) -> Found:
        """Read a row of COLUMNS."""
        thread_id, no, epoch, log_end, expires_at, row_id, ns, checkpoint_id = row[:8]
        parent_id, v, versions, body_type, body, metadata, sealed_type, sealed = row[8:]
        record = CheckpointRecord(
            thread_id,
            ns,
            checkpoint_id,
            parent_id,
            v,
            json.loads(versions),
            (body_type, body),
            metadata,
            None if sealed_type is None else (sealed_type, sealed),
        )
        return cls(record, no, epoch, log_end, expires_at, row_id)

    @property
    def place(self) -> Place:
        """Where its own writes are."""
        return self.no, self.record.ns, self.record.checkpoint_id

    @property
    def parent(self) -> Place | None:
        """Where its sends are, if they still have to be taken from its parent's writes."""
        if self.record.v >= 4 or self.record.parent_id is None:
            return None
        return self.no, self.record.ns, self.record.parent_id


def wanted(sql: str, wants: Sequence[tuple[Any, ...]]) -> Plan[list[Row]]:
    """The rows of `sql` for all `wants`, which it knows as the table want (a, b, …)."""
    found: list[Row] = []
    for at in range(0, len(wants), _BATCH):
        some = wants[at : at + _BATCH]
        whole = _with_wants(sql, len(some), len(some[0]))
        found += yield from rows(whole, [value for want in some for value in want])
    return found


@lru_cache(512)
def _with_wants(sql: str, count: int, width: int) -> str:
    marks = ", ".join(["(" + ", ".join("?" * width) + ")"] * count)
    return f"WITH want ({', '.join('abcd'[:width])}) AS (VALUES {marks}) {sql}"


@dataclass
class Snapshot:
    """All rows of some checkpoints, read in one transaction; nothing is decoded yet."""

    found: list[Found]
    values: dict[tuple[int, str], dict[ValueKey, Stored]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    writes: dict[Place, list[Row]] = field(default_factory=lambda: defaultdict(list))
    segments: dict[int, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))

    def load(self, known: LogCache) -> Plan[Snapshot]:
        """Fetch all that the checkpoints have: three statements, or two without segments."""
        keys = {
            (one.no, one.record.ns, *entry): None
            for one in self.found
            for entry in one.record.versions.items()
        }
        places = {one.place: None for one in self.found}
        places |= {one.parent: None for one in self.found if one.parent}
        yield from self.load_parts(list(keys), list(places), known)
        return self

    def load_parts(
        self,
        keys: Sequence[tuple[int, str, str, str]],
        places: Sequence[Place],
        known: LogCache,
    ) -> Plan[None]:
        """Fetch some values and the writes of some checkpoints, with their segments."""
        for no, ns, channel, version, *stored in (yield from wanted(_VALUES, keys)):
            self.values[no, ns][channel, version] = Stored(*stored)
        for row in (yield from wanted(_WRITES, places)):
            self.writes[row[:3]].append(row[3:])
        yield from self._load_segments(known)

    def _load_segments(self, known: LogCache) -> Plan[None]:
        """Fetch the segments that the values and writes read so far need."""
        layouts: dict[int, list[bytes]] = defaultdict(list)
        for (no, _), values in self.values.items():
            layouts[no] += [one.layout for one in values.values() if one.layout is not None]
        for (no, _, _), written in self.writes.items():
            layouts[no] += [row[6] for row in written if row[6] is not None]
        wants = [
            ((no << LOG_BITS) + start, (no << LOG_BITS) + end)
            for no, some in layouts.items()
            for start, end in ranges_of(some)
        ]
        if not wants:
            return
        tables: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        for number, digests, data in (yield from wanted(_SEGMENTS, wants)):
            no, start = number >> LOG_BITS, number & ((1 << LOG_BITS) - 1)
            self.segments[no][start] = data
            tables[no].append((start, digests))
        for thread in {one.no: one for one in self.found}.values():
            seen = sorted(tables.get(thread.no, ()))
            known.put(thread.record.thread_id, thread.epoch, thread.log_end, seen)

    @property
    def weight(self) -> int:
        """About how many bytes there are to decode."""
        inline = sum(len(v.inline) for some in self.values.values() for v in some.values())
        return inline + sum(len(d) for some in self.segments.values() for d in some.values())

    def value(self, no: int, stored: Stored) -> Typed:
        """A stored value's bytes, put together and checked."""
        return stored.kind, assemble(stored, self.segments[no])

    def writes_of(
        self, place: Place, keep: Callable[[str], bool] | None = None
    ) -> list[WriteRecord]:
        """The writes of a checkpoint, or those to some channels."""
        return [
            WriteRecord(task_id, path, idx, channel, self.value(place[0], Stored(*stored)))
            for task_id, path, idx, channel, *stored in self.writes.get(place, ())
            if keep is None or keep(channel)
        ]

    def tuples(self, codec: Codec) -> list[CheckpointTuple]:
        """Decode everything."""
        return [
            codec.checkpoint_tuple(
                one.record,
                codec.metadata(one.record.metadata, one.record.sealed),
                partial(self._value_of, one),
                self.writes_of(one.place),
                self.writes_of(one.parent, _is_tasks) if one.parent else (),
            )
            for one in self.found
        ]

    def _value_of(self, one: Found, key: ValueKey) -> Typed | None:
        # One value after the other: the bytes of the last one are free for the next.
        stored = self.values.get((one.no, one.record.ns), {}).get(key)
        return None if stored is None else self.value(one.no, stored)


def _is_tasks(channel: str) -> bool:
    return channel == TASKS
