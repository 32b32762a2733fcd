"""Deduplicating writer, shared by all databases: encodes a put's values before its transaction,
checks in the transaction that they are still valid, and finds garbage in threads' logs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from checkpoint_base.dedup.index import ChunkIndex, ChunkIndexCache
from checkpoint_base.dedup.segments import THRESHOLD, Appender, Segment, ranges_of
from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.records.channel_cache import Channels, LogState
from checkpoint_base.saver.records.drafts import Draft
from checkpoint_base.saver.records.kinds import ChannelRecord, PutRecord, Stored, WriteRecord
from checkpoint_base.saver.records.versions import parse_versions
from checkpoint_base.saver.ttl.policy import TTLPolicy

DIGESTS_READ: Final = 4096
"""Maximum number of newest segments whose digests a put reads if the thread is not indexed."""

SWEPT_GARBAGE: Final = 1 << 20
"""Bytes of garbage in a thread from which a sweep collects it."""

Id = TypeVar("Id", bound=Hashable)


class EncodedValues(NamedTuple):
    """Values ready to be stored, on condition that the log has the expected epoch and end."""

    stored: list[Stored]
    appender: Appender | None
    """None: all values are inline, so the log does not matter"""
    seen: Sequence[tuple[int, bytes]] = ()
    """(start, digests) of the segments that the transaction read"""
    salt: bytes = b""
    """the checksum salt of the thread in which the values were stored"""
    log: LogState | None = None
    """the thread's log after the values were stored"""

    @property
    def shares(self) -> bool:
        """Whether a value refers to the log, so that its epoch and end must match."""
        return self.appender is not None and self.appender.shares

    @property
    def begin(self) -> int:
        """The log end that these values expect."""
        return self.appender.begin if self.appender else 0

    @property
    def epoch(self) -> int | None:
        """The epoch that these values expect; None: any."""
        return self.appender.epoch if self.appender else None

    def fits(self, epoch: int, log_end: int) -> bool:
        """Whether the values can be stored unchanged in a thread with this epoch and log end."""
        log = self.appender
        return log is None or not log.shares or (log.epoch == epoch and log.begin == log_end)

    def end(self, log_end: int) -> int:
        """The end of the log after the segments are appended, if it ends at `log_end` now.

        Without new segments this is `log_end`: the end that the values expect may be outdated.
        """
        return self.appender.end if self.appender and self.appender.segments else log_end

    @property
    def segments(self) -> Sequence[Segment]:
        """The segments to append to the log."""
        return self.appender.segments if self.appender else ()

    @property
    def appended(self) -> int:
        """The bytes of the segments to append, digests included."""
        return sum(len(one.data) + len(one.digests) for one in self.segments)


class SpeculativePut(NamedTuple):
    """A put prepared from caches before its transaction, which must check that it is still valid.

    Attributes:
        put: the records; None: the parent is not cached.
        salt: the salt of the parent's thread; None: nothing was taken from a parent.
        prepared: the encoded values; None: the thread has no cached chunk index.
        parent: the parent's channels that `put` relies on; None: it relies on no parent.
    """

    put: PutRecord | None = None
    salt: bytes | None = None
    prepared: EncodedValues | None = None
    parent: Channels | None = None


class DedupWriter:
    """Encodes values against threads' logs, and applies the TTL policy.

    Args:
        policy: time to live of threads.
        clock: returns epoch seconds.
        new_epoch: draws a new random epoch.
        deduplicate: whether to cut values into chunks.
    """

    def __init__(
        self,
        policy: TTLPolicy,
        clock: Callable[[], float],
        new_epoch: Callable[[], int],
        *,
        deduplicate: bool = True,
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.known = ChunkIndexCache()
        self.new_epoch = new_epoch
        self._deduplicate = deduplicate

    @property
    def horizon(self) -> float:
        """Epoch seconds: a thread that expires at this time or earlier reads as absent."""
        return self.clock() if self.policy.expires_whole else float("-inf")

    def is_refresh_due(self, expiry: tuple[float, float | None] | None) -> bool:
        """Whether a read must move the expiry of its thread.

        Args:
            expiry: (epoch seconds, the thread's own time to live in minutes), as they were read.
        """
        if expiry is None:
            return False
        return self.policy.refreshed(*expiry, self.clock()) != expiry[0]

    def is_expired(self, expires_at: float | None) -> bool:
        """Whether a thread with this expiry, in epoch seconds, is absent now."""
        return expires_at is not None and expires_at <= self.horizon

    def prepare(
        self, thread_id: str, records: Sequence[ChannelRecord], unknown: ChunkIndex | None = None
    ) -> EncodedValues | None:
        """Encode values before the transaction, from the cached index; makes no request.

        Args:
            thread_id: the thread.
            records: the values to store.
            unknown: the index to assume if the thread is not cached; None: then return None.
        """
        if all(len(one.value[1]) <= THRESHOLD for one in records):
            return EncodedValues([Stored(*one.value, None) for one in records], None)
        known = self.known.get(thread_id) or unknown
        return None if known is None else self._append(thread_id, known, records, known.end)

    def early(self, draft: Draft) -> SpeculativePut:
        """Prepare a put before its transaction, from the caches; makes no request."""
        to, known = draft.checkpoint, self.known
        salt, parent = None, None
        if draft.needs_parent:
            salt = known.salts.get(to.thread_id)
            parent = known.channels.get(to.thread_id, to.ns, to.parent_id, salt)
            if parent is None:
                return SpeculativePut()
        put = draft.complete(parent)
        prepared = self.prepare(to.thread_id, put.values)
        return SpeculativePut(put, salt, prepared, parent)

    def fit(
        self,
        thread_id: str,
        epoch: int,
        log_end: int,
        early: EncodedValues | None,
        records: Sequence[ChannelRecord],
        *,
        newest: Callable[[int], Plan[list[tuple[int, bytes]]]],
    ) -> Plan[EncodedValues]:
        """Return `early` if it is valid for the log, or else encode the values again.

        Args:
            thread_id: the thread.
            epoch: the log's epoch, as the transaction read it.
            log_end: the log's end, as the transaction read it.
            early: the values encoded before the transaction, if they were.
            records: the values to store.
            newest: reads (start, digests) of up to the given number of segments, newest first.
        """
        if early is not None and early.fits(epoch, log_end):
            return early
        known = self.known.get(thread_id, epoch)
        if known is not None and known.end > log_end:
            # The log has shrunk: a backup was restored, or a lagging replica took over. Indexed
            # segments may be gone.
            self.known.forget(thread_id)
            known = None
        size = sum(len(one.value[1]) for one in records)
        if known is not None or not log_end:
            yield from offload(size)
            return self._append(thread_id, known or ChunkIndex(epoch, 0), records, log_end)
        # Do not cache these segments before commit: the transaction may roll back.
        seen = (yield from newest(DIGESTS_READ))[::-1]
        known = ChunkIndex(epoch, log_end)
        for start, digests in seen:
            known.learn(start, digests)
        yield from offload(size)
        return self._append(thread_id, known, records, log_end)._replace(seen=seen)

    def _append(
        self, thread_id: str, known: ChunkIndex, records: Sequence[ChannelRecord], end: int
    ) -> EncodedValues:
        histories = self.known.histories
        appender = Appender(
            known,
            end,
            history=lambda channel: histories.get((thread_id, channel)),
            deduplicate=self._deduplicate,
        )
        stored = [
            appender.add(one.value, (isinstance(one, WriteRecord), one.channel)) for one in records
        ]
        return EncodedValues(stored, appender)

    def committed(self, thread_id: str, prepared: EncodedValues) -> None:
        """Update the caches after the commit of the transaction that stored `prepared`."""
        self.known.salts.put(thread_id, prepared.salt)
        self.note_histories(thread_id, prepared)
        log = prepared.appender
        if log is not None and (log.shares or prepared.seen):
            added = [(segment.start, segment.digests) for segment in log.segments]
            self.known.put(thread_id, log.epoch, log.end, [*prepared.seen, *added], log.added)

    def note_histories(self, thread_id: str, prepared: EncodedValues) -> None:
        """Cache the channels' histories. Safe before the commit, because a wrong history only
        affects whether the next value is cut.
        """
        if prepared.appender is not None:
            for channel, history in prepared.appender.histories.items():
                self.known.histories.put((thread_id, channel), history)

    def put_committed(self, put: PutRecord, prepared: EncodedValues) -> None:
        """`committed` for a put: also cache the checkpoint's channels."""
        self.committed(put.checkpoint.thread_id, prepared)
        self.known.channels.put(prepared.salt, put.checkpoint, prepared.log)


# ---------------------------------------------------------------- garbage collection


def garbage_of(replaced: bytes | None, layout: bytes | None = None) -> int:
    """Estimate the bytes of the log that replacing a value leaves as garbage.

    Other values may share these bytes; only `collect`, which reads all layouts, finds out.

    Args:
        replaced: the layout of the replaced value; None: it was inline.
        layout: the layout of the new value; None: it is inline.
    """
    if replaced is None or replaced == layout:
        return 0
    needed = [] if layout is None else [layout]
    return _size(ranges_of([replaced, *needed])) - _size(ranges_of(needed))


def _size(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(end - start for start, end in ranges)


def sort_values(
    checkpoints: Iterable[tuple[str, str]],
    values: Iterable[tuple[Id, str, str, str, bytes | None]],
) -> tuple[list[Id], list[bytes]]:
    """Find the value records of a thread that no checkpoint uses, and the layouts of the others.

    Args:
        checkpoints: (namespace, versions as JSON) of each checkpoint.
        values: (the backend's id of the record, namespace, channel, version, layout) of each.

    Returns:
        The ids of the unused records, and the layouts of the used ones.
    """
    live: set[tuple[str, str, str]] = set()
    for ns, versions in checkpoints:
        live.update((ns, *entry) for entry in parse_versions(versions).with_records())
    dead, layouts = [], []
    for name, ns, channel, version, layout in values:
        if (ns, channel, version) not in live:
            dead.append(name)
        elif layout is not None:
            layouts.append(layout)
    return dead, layouts


def dead_segments(segments: Iterable[tuple[int, int]], layouts: Iterable[bytes]) -> list[int]:
    """The starts of the segments that no layout needs; `segments` are (start, size), ascending."""
    needed = ranges_of(layouts)
    dead, at = [], 0
    for start, size in segments:
        while at < len(needed) and needed[at][1] <= start:
            at += 1
        if at == len(needed) or needed[at][0] >= start + size:
            dead.append(start)
    return dead
