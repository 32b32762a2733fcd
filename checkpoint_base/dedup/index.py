"""What this process knows of threads' logs: which chunks they have, and where.

Knowing less only costs storage or a second look at the database; knowing something untrue would
cost data. So what is known is tied to a thread's epoch, which the database checks at each put.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Generic, TypeVar

from checkpoint_base.dedup.chunker import DIGEST_SIZE
from checkpoint_base.dedup.resemblance import SharingHistory
from checkpoint_base.errors import CorruptValueError
from checkpoint_base.saver.records.channel_cache import ChannelCache, LogState
from checkpoint_base.saver.records.kinds import CheckpointRecord, Remembered

K = TypeVar("K")
V = TypeVar("V")

CACHED_CHUNKS: Final = 200_000
"""How many chunks are remembered over all threads: about 50 MB at most."""
CACHED_SALTS: Final = 50_000
"""How many threads' salts are remembered: about 10 MB at most."""

CACHED_HISTORIES: Final = 20_000
"""How many channels' histories are remembered over all threads: about 15 MB at most."""

Channel = tuple[bool, str]
"""A channel of a thread, in whichever namespace: whether its writes are meant, and its name."""

_REMEMBERED: Final = 4
_REMEMBERED_SIZE: Final = 1 << 21  # bytes for each thread
_BYTES_PER_CHUNK: Final = 256  # what a known chunk takes in memory, about
_LENGTH: Final = struct.Struct("<I")
_ENTRY: Final = _LENGTH.size + DIGEST_SIZE


def digest_table(chunks: Iterable[tuple[bytes, Sized]]) -> bytes:
    """Length and digest of each of a segment's chunks, given as (digest, chunk)."""
    return b"".join(_LENGTH.pack(len(chunk)) + name for name, chunk in chunks)


def read_table(table: bytes) -> Iterator[tuple[bytes, int]]:
    """(digest, offset in the segment) of each of its chunks."""
    if len(table) % _ENTRY:
        raise CorruptValueError(f"a segment's digests have {len(table)} bytes, not n x {_ENTRY}")
    offset = 0
    for at in range(0, len(table), _ENTRY):
        yield table[at + _LENGTH.size : at + _ENTRY], offset
        offset += _LENGTH.unpack_from(table, at)[0]


@dataclass
class ChunkIndex:
    """A thread's log as far as it is known. Several threads of the process may put to it at once.

    Attributes:
        epoch: the thread's epoch; another one in the database makes all of this void.
        end: where the log ends.
        recent: the last values that were stored.
    """

    epoch: int
    end: int
    recent: list[Remembered] = field(default_factory=list)
    _places: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    _unread: dict[int, bytes] = field(default_factory=dict)
    _segments: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._lock = Lock()

    def learn(self, start: int, table: bytes) -> None:
        """Note the segment that begins at `start`. Its table is read when a put needs it."""
        with self._lock:
            if table and start not in self._segments:  # one that was not cut has nothing to share
                self._segments.add(start)
                self._unread[start] = table

    def settle(self) -> dict[bytes, tuple[int, int]]:
        """All chunks known: digest -> (start of the segment, offset in it); the newest copy.

        Entries may come while it is looked into: of segments behind the `end` that was read
        before, and who needs one of those is refused.
        """
        with self._lock:
            while self._unread:
                start = next(iter(self._unread))
                for name, offset in read_table(self._unread.pop(start)):
                    self._places[name] = (start, offset)
            return self._places

    @property
    def weight(self) -> int:
        """About how many chunks are known."""
        with self._lock:
            unread = sum(map(len, self._unread.values()))
            known = len(self._segments) + len(self._places) + unread // _ENTRY
        return 1 + known + _bytes_of(self.recent) // _BYTES_PER_CHUNK

    def remember(self, values: Iterable[Remembered]) -> None:
        """Note values that were just stored: they come again, or grow."""
        recent = [*self.recent, *values][-_REMEMBERED:]
        while _bytes_of(recent) > _REMEMBERED_SIZE:
            del recent[0]
        self.recent = recent


def _bytes_of(values: Iterable[Remembered]) -> int:
    return sum([len(entry.value[1]) for entry in values])


class LruCache(Generic[K, V]):
    """The entries used last. What is kept in one may be forgotten at any time.

    Args:
        capacity: how many entries are kept.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """The entry of a key."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: K, entry: V) -> None:
        """Note an entry."""
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)


class ChunkIndexCache:
    """The known logs of the threads used last, shared by all threads of the process.

    Attributes:
        salts: of the threads. A write is refused where the salt is not the thread's, so one that is
            wrong or not here costs a second try, and nothing else.
        histories: of the channels, which decide what is cut.
    """

    def __init__(self, capacity: int = CACHED_CHUNKS) -> None:
        self.salts = LruCache[str, bytes](CACHED_SALTS)
        self.histories = LruCache[tuple[str, Channel], SharingHistory](CACHED_HISTORIES)
        self.channels = ChannelCache()
        self._capacity = capacity
        self._logs: OrderedDict[str, tuple[ChunkIndex, int]] = OrderedDict()
        self._total = 0
        self._lock = Lock()

    def get(self, thread_id: str, epoch: int | None = None) -> ChunkIndex | None:
        """What is known of a thread; with `epoch`, only if it is about that one."""
        with self._lock:
            entry = self._logs.get(thread_id)
            if entry is None or (epoch is not None and entry[0].epoch != epoch):
                return None
            self._logs.move_to_end(thread_id)
            return entry[0]

    def put(
        self,
        thread_id: str,
        epoch: int,
        end: int,
        segments: Iterable[tuple[int, bytes]],
        values: Iterable[Remembered] = (),
    ) -> ChunkIndex:
        """Note what is committed: (start, digests) of segments, seen together with the epoch, or
        later than it.
        """
        with self._lock:
            log, weight = self._logs.pop(thread_id, (None, 0))
            if log is None or log.epoch != epoch:
                log = ChunkIndex(epoch, end)
            log.end = max(log.end, end)
            for start, table in segments:
                log.learn(start, table)
            log.remember(values)
            self._logs[thread_id] = (log, log.weight)
            self._total += self._logs[thread_id][1] - weight
            while self._total > self._capacity and len(self._logs) > 1:
                self._drop_oldest()
            return log

    def learn(self, record: CheckpointRecord, salt: bytes, epoch: int, end: int) -> None:
        """Note a checkpoint that was read, and of its thread what was read with it."""
        thread_id = record.thread_id
        self.channels.put(salt, record, LogState(epoch, end))
        self.salts.put(thread_id, salt)
        if not end and self.get(thread_id, epoch) is None:
            self.put(thread_id, epoch, 0, ())

    def forget(self, thread_id: str) -> None:
        """Know nothing of a thread any more."""
        with self._lock:
            _, weight = self._logs.pop(thread_id, (None, 0))
            self._total -= weight

    def _drop_oldest(self) -> None:
        name, (log, weight) = next(iter(self._logs.items()))
        if log.recent:  # only a convenience: it goes first
            log.recent = []
            self._logs[name] = (log, log.weight)
            self._total += self._logs[name][1] - weight
        else:
            del self._logs[name]
            self._total -= weight
