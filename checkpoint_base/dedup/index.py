"""Chunk index: an in-process cache of which chunks each thread's log contains, and where.

A missing entry only costs storage or an extra read. A wrong entry would lose data, because a value
would refer to a chunk that is gone. So an index is valid for one epoch of its thread, and every put
compares that epoch with the database's.
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
"""Maximum number of indexed chunks over all threads: about 50 MB."""
CACHED_SALTS: Final = 50_000
"""Maximum number of cached thread salts: about 10 MB."""

CACHED_HISTORIES: Final = 20_000
"""Maximum number of cached channel histories over all threads: about 15 MB."""

Channel = tuple[bool, str]
"""(whether its pending writes are meant, channel name); namespaces are not distinguished."""

_REMEMBERED: Final = 4
_REMEMBERED_SIZE: Final = 1 << 21  # bytes per thread
_BYTES_PER_CHUNK: Final = 256  # approximate memory of an indexed chunk
_LENGTH: Final = struct.Struct("<I")
_ENTRY: Final = _LENGTH.size + DIGEST_SIZE


def digest_table(chunks: Iterable[tuple[bytes, Sized]]) -> bytes:
    """Encode a segment's chunks, given as (digest, chunk), as a table of lengths and digests."""
    return b"".join(_LENGTH.pack(len(chunk)) + name for name, chunk in chunks)


def read_table(table: bytes) -> Iterator[tuple[bytes, int]]:
    """Decode a `digest_table` to (digest, offset in the segment) of each chunk.

    Raises:
        CorruptValueError: the table's size is not a multiple of an entry's.
    """
    if len(table) % _ENTRY:
        raise CorruptValueError(f"a segment's digests have {len(table)} bytes, not n x {_ENTRY}")
    offset = 0
    for at in range(0, len(table), _ENTRY):
        yield table[at + _LENGTH.size : at + _ENTRY], offset
        offset += _LENGTH.unpack_from(table, at)[0]


@dataclass
class ChunkIndex:
    """The known chunks of one thread's log. Safe for concurrent puts from several OS threads.

    Attributes:
        epoch: the thread's epoch. If the database has another one, the index is invalid.
        end: the end offset of the log.
        recent: the values stored most recently.
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
        """Add the segment that begins at `start`. Its table is decoded when a put needs it."""
        with self._lock:
            if table and start not in self._segments:  # an uncut segment has no table: no chunks
                self._segments.add(start)
                self._unread[start] = table

    def settle(self) -> dict[bytes, tuple[int, int]]:
        """Decode pending tables and return all chunks: digest -> (segment start, offset in it).

        The newest copy of a chunk wins. The caller reads the dict without the lock, so another
        writer may add segments beyond the `end` that the caller has seen. A put that refers to one
        of these is rejected, because the log's end has changed.
        """
        with self._lock:
            while self._unread:
                start = next(iter(self._unread))
                for name, offset in read_table(self._unread.pop(start)):
                    self._places[name] = (start, offset)
            return self._places

    @property
    def weight(self) -> int:
        """Approximate memory use, in chunks."""
        with self._lock:
            unread = sum(map(len, self._unread.values()))
            known = len(self._segments) + len(self._places) + unread // _ENTRY
        return 1 + known + _bytes_of(self.recent) // _BYTES_PER_CHUNK

    def remember(self, values: Iterable[Remembered]) -> None:
        """Add values that were just stored: the next put may repeat or extend them."""
        recent = [*self.recent, *values][-_REMEMBERED:]
        while _bytes_of(recent) > _REMEMBERED_SIZE:
            del recent[0]
        self.recent = recent


def _bytes_of(values: Iterable[Remembered]) -> int:
    return sum([len(entry.value[1]) for entry in values])


class LruCache(Generic[K, V]):
    """A thread-safe LRU cache.

    Args:
        capacity: maximum number of entries.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """The entry of a key, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: K, entry: V) -> None:
        """Add or replace an entry, and evict the least recently used one if the cache is full."""
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)


class ChunkIndexCache:
    """LRU cache of chunk indexes, one per LangGraph thread, shared by all OS threads.

    Attributes:
        salts: checksum salts of threads. The database rejects a write with a wrong salt, so a stale
            or missing entry only costs a retry.
        histories: per channel, whether successive versions shared chunks.
        channels: per checkpoint, the versions and small values of its channels.
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
        """The thread's index, if it is cached and (with `epoch`) is valid for that epoch."""
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
        """Add committed segments to a thread's index; an index of another epoch is replaced.

        Args:
            thread_id: the thread.
            epoch: its epoch, read in the same snapshot as the segments or before them.
            end: the end offset of its log.
            segments: (start, digest table) of each segment.
            values: values that were just stored.
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
        """Cache a checkpoint that was read, with its thread's salt, epoch and log end."""
        thread_id = record.thread_id
        self.channels.put(salt, record, LogState(epoch, end))
        self.salts.put(thread_id, salt)
        if not end and self.get(thread_id, epoch) is None:
            self.put(thread_id, epoch, 0, ())

    def forget(self, thread_id: str) -> None:
        """Drop a thread's index."""
        with self._lock:
            _, weight = self._logs.pop(thread_id, (None, 0))
            self._total -= weight

    def _drop_oldest(self) -> None:
        name, (log, weight) = next(iter(self._logs.items()))
        if log.recent:  # first drop the recent values, which only save time
            log.recent = []
            self._logs[name] = (log, log.weight)
            self._total += self._logs[name][1] - weight
        else:
            del self._logs[name]
            self._total -= weight
