"""A thread of `MemorySaver`: its checkpoints, values and writes, and the reads on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory
from langgraph.checkpoint.serde.types import INTERRUPT, TASKS

from checkpoint_base.saver.codec.checkpoints import Codec, Values, is_stored
from checkpoint_base.saver.planner import ThreadHead
from checkpoint_base.saver.records.kinds import CheckpointRecord, Typed, ValueKey, WriteRecord

Key = tuple[str, str]
"""(namespace, checkpoint id)"""


class Parts(NamedTuple):
    """An undecoded checkpoint with its values, its writes and its sends."""

    record: CheckpointRecord
    values: Mapping[ValueKey, Typed]
    writes: Sequence[WriteRecord]
    sends: Sequence[WriteRecord]

    @property
    def size(self) -> int:
        """The number of bytes to decode."""
        written = (write.value for write in (*self.writes, *self.sends))
        return sum(len(data) for _, data in (*self.values.values(), *written))

    def decoded(self, codec: Codec) -> CheckpointTuple:
        """Decode all parts."""
        metadata = codec.metadata_of(self.record)
        values = Values(self.values, self.values.__getitem__)
        return codec.checkpoint_tuple(self.record, metadata, values, self.writes, self.sends)


@dataclass
class MemoryThread:
    """A stored thread; times are in epoch seconds, `ttl` in minutes."""

    created: float
    updated: float = 0.0
    expires: float | None = None
    ttl: float | None = None
    garbage: int = 0
    """estimated bytes of values that puts have replaced since the last `drop`"""
    checkpoints: dict[Key, tuple[CheckpointRecord, str | None]] = field(default_factory=dict)
    values: dict[tuple[str, str, str], Typed] = field(default_factory=dict)
    writes: dict[Key, dict[tuple[str, int], WriteRecord]] = field(default_factory=dict)

    def parts_of(self, key: Key) -> Parts:
        """A checkpoint with its values, writes and sends."""
        record, _ = self.checkpoints[key]
        sends = self.writes.get((record.ns, record.parent_id), {}) if record.parent_id else {}
        return Parts(
            record,
            self.values_of(record),
            [*self.writes.get(key, {}).values()],
            [write for write in sends.values() if write.channel == TASKS],
        )

    def head(self, head: ThreadHead) -> ThreadHead:
        """`head`, completed with the newest root checkpoint."""
        checkpoint = newest(self, "", None)
        if checkpoint is None:
            return head
        writes = self.writes.get(("", checkpoint.checkpoint_id), {}).values()
        return head._replace(
            checkpoint=checkpoint,
            channels=[(write.task_id, write.channel) for write in writes],
            interrupts=[write for write in writes if write.channel == INTERRUPT],
        )

    def values_of(self, record: CheckpointRecord) -> dict[ValueKey, Typed]:
        """The stored values of a checkpoint."""
        return {
            (channel, version): self.values[record.ns, channel, version]
            for channel, version in record.versions.items()
            if (record.ns, channel, version) in self.values
        }

    def own(self, other: MemoryThread) -> set[Key]:
        """The checkpoints that this thread has, or has writes for, and that `other` lacks."""
        checkpoints = self.checkpoints.keys() - other.checkpoints.keys()
        return checkpoints | (self.writes.keys() - other.writes.keys())

    def ancestors(self, record: CheckpointRecord) -> Sequence[CheckpointRecord]:
        """The ancestors of a checkpoint, nearest first."""
        chain: list[CheckpointRecord] = []
        seen = {record.checkpoint_id}
        while (parent := record.parent_id) and parent not in seen:
            if (record.ns, parent) not in self.checkpoints:
                break
            record, _ = self.checkpoints[record.ns, parent]
            seen.add(parent)
            chain.append(record)
        return chain

    def lineage(self, record: CheckpointRecord, channel: str) -> Sequence[CheckpointRecord]:
        """The ancestors from which a DeltaChannel is rebuilt, nearest first."""
        chain = []
        for ancestor in self.ancestors(record):
            chain.append(ancestor)
            version = ancestor.versions.get(channel)
            where = ancestor.thread_id, ancestor.ns
            there = self.values_of(ancestor)
            if version and is_stored(where, ancestor.valueless, (channel, version), there):
                break
        return chain

    def count_garbage(self, record: CheckpointRecord) -> None:
        """Add the values of the checkpoint that `record` replaces, if any, to the garbage count."""
        before, _ = self.checkpoints.get((record.ns, record.checkpoint_id), (None, None))
        for channel, version in before.versions.items() if before else ():
            value = self.values.get((record.ns, channel, version))
            if value is not None and record.versions.get(channel) != version:
                self.garbage += len(value[1])

    def early_writes(self, heads: Mapping[str, str]) -> Sequence[Key]:
        """The places of writes without a checkpoint that are older than these checkpoints, given
        by namespace.
        """
        return [
            (ns, name)
            for ns, name in self.writes
            if (ns, name) not in self.checkpoints and name < heads.get(ns, "")
        ]

    def drop(self, gone: Sequence[Key]) -> None:
        """Delete checkpoints with their writes, and all values that no checkpoint uses."""
        for key in gone:
            self.checkpoints.pop(key, None)
            self.writes.pop(key, None)
        live = {
            (record.ns, *entry)
            for record, _ in self.checkpoints.values()
            for entry in record.versions.items()
        }
        self.values = {key: value for key, value in self.values.items() if key in live}
        self.garbage = 0


def newest(thread: MemoryThread, ns: str, checkpoint_id: str | None) -> CheckpointRecord | None:
    """The checkpoint with this id (None: the newest one) of a namespace, or None."""
    if checkpoint_id is None:
        checkpoint_id = max((name for where, name in thread.checkpoints if where == ns), default="")
    return thread.checkpoints.get((ns, checkpoint_id), (None, None))[0]


class MemoryHistory(NamedTuple):
    """The undecoded writes and seed from which a DeltaChannel is rebuilt."""

    thread_id: str
    channel: str
    writes: Sequence[Sequence[WriteRecord]]
    """the writes of each ancestor, oldest ancestor first"""
    seed: Typed | None

    @classmethod
    def of(cls, thread: MemoryThread, target: CheckpointRecord, channel: str) -> MemoryHistory:
        """The history of a channel before a checkpoint."""
        chain = thread.lineage(target, channel)
        writes = [
            [
                write
                for write in thread.writes.get((one.ns, one.checkpoint_id), {}).values()
                if write.channel == channel
            ]
            for one in reversed(chain)
        ]
        seed = None
        if chain:
            last = chain[-1]
            seed = thread.values.get((last.ns, channel, last.versions.get(channel, "")))
        return cls(target.thread_id, channel, writes, seed)

    @property
    def size(self) -> int:
        """The number of bytes to decode."""
        written = sum(len(write.value[1]) for some in self.writes for write in some)
        return written + (0 if self.seed is None else len(self.seed[1]))

    def decoded(self, codec: Codec) -> DeltaChannelHistory:
        """Decode all parts."""
        pending = [
            write for some in self.writes for write in codec.pending_writes(some, self.thread_id)
        ]
        history: DeltaChannelHistory = {"writes": pending}
        if self.seed is not None:
            where = "thread", self.thread_id, "channel", self.channel
            for value in codec.readable(self.seed, *where):
                history["seed"] = value
        return history
