"""Threads' logs, on every database: preparing what a put appends, and finding what no value needs
any more.
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
"""Of a log that nothing is known of, so many of its newest segments are looked at."""

SWEPT_GARBAGE: Final = 1 << 20
"""Bytes: from this count of garbage on, a sweep collects a thread."""

Id = TypeVar("Id", bound=Hashable)


class EncodedValues(NamedTuple):
    """Values ready to be stored, if the log is still what it was taken for."""

    stored: list[Stored]
    appender: Appender | None
    """None: everything is inline, whatever the log is"""
    seen: Sequence[tuple[int, bytes]] = ()
    """(start, digests) of segments that were looked at in the transaction"""
    salt: bytes = b""
    """of the checksums of the thread that it is stored in"""
    log: LogState | None = None
    """of the thread, when it was stored"""

    @property
    def shares(self) -> bool:
        """Whether anything stored needs the log to be as it was known."""
        return self.appender is not None and self.appender.shares

    @property
    def begin(self) -> int:
        """Where the log ends for which it was prepared."""
        return self.appender.begin if self.appender else 0

    @property
    def epoch(self) -> int | None:
        """Of the log for which it was prepared; None: of any."""
        return self.appender.epoch if self.appender else None

    def fits(self, epoch: int, log_end: int) -> bool:
        """Whether it can be stored as it is in a thread whose log is this one."""
        log = self.appender
        return log is None or not log.shares or (log.epoch == epoch and log.begin == log_end)

    def end(self, log_end: int) -> int:
        """Where the log ends afterwards, if it ends at `log_end` now.

        Without segments, what the log was taken for says nothing.
        """
        return self.appender.end if self.appender and self.appender.segments else log_end

    @property
    def segments(self) -> Sequence[Segment]:
        """What is to be appended to the log."""
        return self.appender.segments if self.appender else ()

    @property
    def appended(self) -> int:
        """How many bytes that is, with the digests."""
        return sum(len(one.data) + len(one.digests) for one in self.segments)


class SpeculativePut(NamedTuple):
    """A put, made before its transaction.

    Attributes:
        put: made of what is known of the parent; None: nothing is known.
        salt: of the thread that the parent was in; None: nothing was taken from a parent.
        prepared: its values; None: nothing is known of the log.
        parent: what it takes for granted is the parent's; None: there is none.
    """

    put: PutRecord | None = None
    salt: bytes | None = None
    prepared: EncodedValues | None = None
    parent: Channels | None = None


class DedupWriter:
    """What a backend knows of its threads' logs, and their time to live."""

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
        """Threads whose expiry is not after this are absent."""
        return self.clock() if self.policy.expires_whole else float("-inf")

    def is_refresh_due(self, expiry: tuple[float, float | None] | None) -> bool:
        """Whether a read moves the expiry of its thread.

        Args:
            expiry: when the thread expires, and its own time to live in minutes, as they were read.
        """
        if expiry is None:
            return False
        return self.policy.refreshed(*expiry, self.clock()) != expiry[0]

    def is_expired(self, expires_at: float | None) -> bool:
        """Whether a thread that expires then is absent now."""
        return expires_at is not None and expires_at <= self.horizon

    def prepare(
        self, thread_id: str, records: Sequence[ChannelRecord], unknown: ChunkIndex | None = None
    ) -> EncodedValues | None:
        """What can be made ready before the transaction, from what is known; no request.

        Args:
            thread_id: whose log it is.
            records: whose values are to be stored.
            unknown: what to take the log for if nothing is known of it; None: prepare nothing.
        """
        if all(len(one.value[1]) <= THRESHOLD for one in records):
            return EncodedValues([Stored(*one.value, None) for one in records], None)
        known = self.known.get(thread_id) or unknown
        return None if known is None else self._append(thread_id, known, records, known.end)

    def early(self, draft: Draft) -> SpeculativePut:
        """What can be made ready of a put from what is known; no request."""
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
        """`early` if it fits the log, else the records' values prepared again from the start.

        Args:
            thread_id: whose log it is.
            epoch: of the log, as the transaction found it.
            log_end: where it ends.
            early: what was prepared before the transaction.
            records: what `early` was made of.
            newest: reads (start, digests) of up to so many segments, the newest first.
        """
        if early is not None and early.fits(epoch, log_end):
            return early
        known = self.known.get(thread_id, epoch)
        if known is not None and known.end > log_end:
            # A database that was restored, or a replica that took over: what is known may be gone.
            self.known.forget(thread_id)
            known = None
        size = sum(len(one.value[1]) for one in records)
        if known is not None or not log_end:
            yield from offload(size)
            return self._append(thread_id, known or ChunkIndex(epoch, 0), records, log_end)
        # What is seen here may never be committed: it is for nobody else to know yet.
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
        """The transaction that stored `prepared` is committed: remember what it saw and added."""
        self.known.salts.put(thread_id, prepared.salt)
        self.note_histories(thread_id, prepared)
        log = prepared.appender
        if log is not None and (log.shares or prepared.seen):
            added = [(segment.start, segment.digests) for segment in log.segments]
            self.known.put(thread_id, log.epoch, log.end, [*prepared.seen, *added], log.added)

    def note_histories(self, thread_id: str, prepared: EncodedValues) -> None:
        """Note whether the values of the channels resemble each other. That may be done before the
        commit: it says only whether cutting the next one is worth the time.
        """
        if prepared.appender is not None:
            for channel, history in prepared.appender.histories.items():
                self.known.histories.put((thread_id, channel), history)

    def put_committed(self, put: PutRecord, prepared: EncodedValues) -> None:
        """`committed`, of a put: remember what the checkpoint has for its channels, too."""
        self.committed(put.checkpoint.thread_id, prepared)
        self.known.channels.put(prepared.salt, put.checkpoint, prepared.log)


# ---------------------------------------------------------------- what is not needed any more


def garbage_of(replaced: bytes | None, layout: bytes | None = None) -> int:
    """About how many bytes of the log a replaced value leaves, for the thread's count.

    Other values may need them as well: only `collect`, which reads all layouts, can tell.

    Args:
        replaced: its layout.
        layout: of the value that replaces it.
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
    """Which of a thread's value records no checkpoint has, and the layouts of the others.

    Args:
        checkpoints: (namespace, versions as JSON) of each checkpoint.
        values: (what the backend deletes it by, namespace, channel, version, layout) of each.
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
    """The starts of those segments (start, size), rising, that none of the layouts needs."""
    needed = ranges_of(layouts)
    dead, at = [], 0
    for start, size in segments:
        while at < len(needed) and needed[at][1] <= start:
            at += 1
        if at == len(needed) or needed[at][0] >= start + size:
            dead.append(start)
    return dead
