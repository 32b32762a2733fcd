"""Cache of the channel versions and small values of recently read or written checkpoints."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from threading import Lock
from typing import Final, NamedTuple

from checkpoint_base.saver.records.embedded import EmbeddedValues
from checkpoint_base.saver.records.kinds import CheckpointRecord, ValueKey

CACHED_BYTES: Final = 32 << 20
"""Approximate capacity in bytes."""

_BYTES_PER_CHANNEL, _BYTES_PER_CHECKPOINT = 200, 1000  # approximate memory use


class LogState(NamedTuple):
    """A thread's epoch, and the end of its log."""

    epoch: int
    end: int


class Channels(NamedTuple):
    """The channels of a stored checkpoint.

    Attributes:
        versions: channel -> version key.
        valueless: the channels that have no value.
        small: the values embedded in the checkpoint's row; all others have value records.
        log: a state of the thread's log at which these records existed; None: unknown.
    """

    versions: Mapping[str, str]
    valueless: Collection[str]
    small: EmbeddedValues
    log: LogState | None = None

    @classmethod
    def of(cls, record: CheckpointRecord, log: LogState | None = None) -> Channels:
        """The channels of a record."""
        return cls(record.versions, record.valueless, record.small, log)

    def has_records(self, values: Iterable[ValueKey], now: LogState) -> bool:
        """Whether all these values certainly have records, given the current state of the log.

        Removing a record changes the epoch, so an equal epoch proves that none was removed. A
        shorter log means that the database was restored from a backup: then nothing is certain.
        """
        return (
            self.log is not None
            and self.log.epoch == now.epoch
            and self.log.end <= now.end
            and self.versions.items() >= set(values)
        )


class ChannelCache:
    """LRU cache of checkpoints' channels. A put looks up its parent, and reuses unchanged values.

    An outdated entry is harmless:

    - If the thread was deleted and recreated, its salt differs, and the database rejects the put.
    - The put checks that reused records exist, or the log's state proves that none was removed.
    - Embedded values stay correct even if the parent was removed or replaced: a channel has one
      value per version, and the writer's run already holds that value.
    """

    def __init__(self, capacity: int = CACHED_BYTES) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[tuple[str, str, str], tuple[bytes, Channels, int]]
        self._entries = OrderedDict()
        self._total = 0
        self._lock = Lock()

    def get(
        self, thread_id: str, ns: str, checkpoint_id: str | None, salt: bytes | None
    ) -> Channels | None:
        """The channels of a checkpoint, if they are cached and the thread has this salt."""
        key = thread_id, ns, checkpoint_id or ""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry[0] != salt:
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def put(self, salt: bytes, record: CheckpointRecord, log: LogState | None) -> None:
        """Cache a checkpoint that was read or committed, with the state of the log at that time."""
        size = _BYTES_PER_CHECKPOINT + _BYTES_PER_CHANNEL * len(record.versions)
        size += len(record.small.data)
        key = record.thread_id, record.ns, record.checkpoint_id
        with self._lock:
            before = self._entries.pop(key, None)
            self._entries[key] = salt, Channels.of(record, log), size
            self._total += size - (0 if before is None else before[2])
            while self._total > self._capacity:
                self._total -= self._entries.popitem(last=False)[1][2]
