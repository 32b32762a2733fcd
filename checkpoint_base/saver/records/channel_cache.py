"""What checkpoints have for their channels, as far as this process has just read or written it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from threading import Lock
from typing import Final, NamedTuple

from checkpoint_base.saver.records.embedded import EmbeddedValues
from checkpoint_base.saver.records.kinds import CheckpointRecord, ValueKey

CACHED_BYTES: Final = 32 << 20
"""How much is remembered of checkpoints, about."""

_BYTES_PER_CHANNEL, _BYTES_PER_CHECKPOINT = 200, 1000  # in memory, about


class LogState(NamedTuple):
    """A thread's epoch, and where its log ends."""

    epoch: int
    end: int


class Channels(NamedTuple):
    """What a stored checkpoint has for its channels.

    Attributes:
        versions: channel -> version key.
        valueless: the channels that have no value.
        small: the values that are embedded in its row; every other one has a record.
        log: of the thread, when the records were there; None: it is not known.
    """

    versions: Mapping[str, str]
    valueless: Collection[str]
    small: EmbeddedValues
    log: LogState | None = None

    @classmethod
    def of(cls, record: CheckpointRecord, log: LogState | None = None) -> Channels:
        """Those of a record."""
        return cls(record.versions, record.valueless, record.small, log)

    def has_records(self, values: Iterable[ValueKey], now: LogState) -> bool:
        """Whether all these values have records for certain, in a thread whose log is as it is now:
        whoever removes a record gives the thread a new epoch, and a log that is shorter than it was
        is that of a database that was put back.
        """
        return (
            self.log is not None
            and self.log.epoch == now.epoch
            and self.log.end <= now.end
            and self.versions.items() >= set(values)
        )


class ChannelCache:
    """The channels of the checkpoints used last: a put looks its parent up here, and takes from it
    what did not change.

    An entry may be older than the database in what does no harm. Of a thread that was deleted and
    made again, the salt is another one: the put is refused. Records are looked for by the put, or
    the thread's log says that none was removed. Embedded bytes are what the writer's own state came
    from, or is made of: at one version a channel has one value, and whoever removed or replaced the
    parent meanwhile did not take that from a run that goes on from it.
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
        """What a checkpoint has, of a thread with this salt."""
        key = thread_id, ns, checkpoint_id or ""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry[0] != salt:
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def put(self, salt: bytes, record: CheckpointRecord, log: LogState | None) -> None:
        """Note a checkpoint that was read, or whose put is committed, and the thread's log then."""
        size = _BYTES_PER_CHECKPOINT + _BYTES_PER_CHANNEL * len(record.versions)
        size += len(record.small.data)
        key = record.thread_id, record.ns, record.checkpoint_id
        with self._lock:
            before = self._entries.pop(key, None)
            self._entries[key] = salt, Channels.of(record, log), size
            self._total += size - (0 if before is None else before[2])
            while self._total > self._capacity:
                self._total -= self._entries.popitem(last=False)[1][2]
