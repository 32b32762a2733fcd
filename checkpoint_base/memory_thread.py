"""What the reference backend keeps of a thread, and how it answers from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory, PendingWrite
from langgraph.checkpoint.serde.types import TASKS

from checkpoint_base.codec import Codec, Values, is_stored
from checkpoint_base.records import CheckpointRecord, Typed, ValueKey, WriteRecord

Key = tuple[str, str]
"""(namespace, checkpoint id)"""


@dataclass
class MemoryThread:
    """All of a thread."""

    created: float
    updated: float = 0.0
    expires: float | None = None
    ttl: float | None = None
    garbage: int = 0
    """about how many bytes puts over checkpoints have left since the last `drop`"""
    checkpoints: dict[Key, tuple[CheckpointRecord, str | None]] = field(default_factory=dict)
    values: dict[tuple[str, str, str], Typed] = field(default_factory=dict)
    writes: dict[Key, dict[tuple[str, int], WriteRecord]] = field(default_factory=dict)

    def tuple_of(self, codec: Codec, key: Key) -> CheckpointTuple:
        """Decode a checkpoint."""
        record, _ = self.checkpoints[key]
        values = self.values_of(record)
        sends = self.writes.get((record.ns, record.parent_id), {}) if record.parent_id else {}
        return codec.checkpoint_tuple(
            record,
            codec.metadata_of(record),
            Values(values, values.__getitem__),
            self.writes.get(key, {}).values(),
            [write for write in sends.values() if write.channel == TASKS],
        )

    def values_of(self, record: CheckpointRecord) -> dict[ValueKey, Typed]:
        """The stored values of a checkpoint."""
        return {
            (channel, version): self.values[record.ns, channel, version]
            for channel, version in record.versions.items()
            if (record.ns, channel, version) in self.values
        }

    def own(self, other: MemoryThread) -> set[Key]:
        """The checkpoints that it has, or has writes for, and `other` has not."""
        checkpoints = self.checkpoints.keys() - other.checkpoints.keys()
        return checkpoints | (self.writes.keys() - other.writes.keys())

    def ancestors(self, record: CheckpointRecord) -> Sequence[CheckpointRecord]:
        """Its parent, the parent of that, and so on."""
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
        """The ancestors that a DeltaChannel is rebuilt from, nearest first."""
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
        """Count the values of the checkpoint that a record replaces, if it replaces one."""
        before, _ = self.checkpoints.get((record.ns, record.checkpoint_id), (None, None))
        for channel, version in before.versions.items() if before else ():
            value = self.values.get((record.ns, channel, version))
            if value is not None and record.versions.get(channel) != version:
                self.garbage += len(value[1])

    def drop(self, gone: Sequence[Key]) -> None:
        """Remove checkpoints, their writes, and the values that no other has."""
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
    """The checkpoint named, or the newest of the namespace."""
    if checkpoint_id is None:
        checkpoint_id = max((name for where, name in thread.checkpoints if where == ns), default="")
    return thread.checkpoints.get((ns, checkpoint_id), (None, None))[0]


def history(
    codec: Codec, thread: MemoryThread, target: CheckpointRecord, channel: str
) -> DeltaChannelHistory:
    """What a DeltaChannel is rebuilt from."""
    chain = thread.lineage(target, channel)
    writes: list[PendingWrite] = []
    for ancestor in reversed(chain):
        there = thread.writes.get((ancestor.ns, ancestor.checkpoint_id), {}).values()
        writes += codec.pending_writes(
            [write for write in there if write.channel == channel], target.thread_id
        )
    history: DeltaChannelHistory = {"writes": writes}
    if chain:
        last = chain[-1]
        seed = thread.values.get((last.ns, channel, last.versions.get(channel, "")))
        if seed is not None:
            for value in codec.readable(seed, "thread", last.thread_id, "channel", channel):
                history["seed"] = value
    return history
