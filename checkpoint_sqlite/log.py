"""The threads' rows and logs: opening a thread to write to it, appending, and what is not needed
any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from checkpoint_base.errors import CheckpointError
from checkpoint_base.known import KnownLog, LogCache
from checkpoint_base.plan import Plan
from checkpoint_base.records import Stored, Typed
from checkpoint_base.sharing import THRESHOLD, Appender, Segment, ranges_of
from checkpoint_base.ttl import TTLPolicy
from checkpoint_sqlite.requests import QUERIES, execute, execute_many, row, rows

LOG_BITS: Final = 36
"""A log may have 2^36 bytes, and the file 2^27 threads: a segment's id is both in 63 bits."""

_DIGESTS_READ: Final = 4096


class Thread(NamedTuple):
    """A thread's row, as a transaction found or made it."""

    no: int
    epoch: int
    log_end: int
    expires_at: float | None
    ttl_override: float | None
    is_new: bool = False

    @property
    def first_id(self) -> int:
        """The id that a segment at the very beginning of its log has."""
        return self.no << LOG_BITS

    @property
    def segment_ids(self) -> tuple[int, int]:
        """The range of ids of its segments."""
        return self.first_id, (self.no + 1) << LOG_BITS


class Prepared(NamedTuple):
    """Values ready to be stored, if the log is still what it was taken for."""

    stored: list[Stored]
    appender: Appender | None
    """None: everything is inline, whatever the log is"""

    def fits(self, thread: Thread) -> bool:
        """Whether it can be stored in `thread` as it is."""
        log = self.appender
        return (
            log is None
            or not log.shares
            or (log.epoch == thread.epoch and log.begin == thread.log_end)
        )

    @property
    def segments(self) -> Sequence[Segment]:
        """What is to be appended to the log."""
        return self.appender.segments if self.appender else ()

    def end(self, thread: Thread) -> int:
        """Where the log ends with them. Without any, what the log was taken for says nothing."""
        return self.appender.end if self.appender and self.appender.segments else thread.log_end


class Logs:
    """Sub-plans on threads and their logs, to be run inside a transaction."""

    def __init__(
        self, policy: TTLPolicy, clock: Callable[[], float], new_epoch: Callable[[], int]
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.known = LogCache()
        self._new_epoch = new_epoch

    @property
    def horizon(self) -> float:
        """Threads whose expiry is not after this are absent."""
        return self.clock() if self.policy.expires_whole else float("-inf")

    def find(self, thread_id: str) -> Plan[Thread | None]:
        """The thread, unless it has expired."""
        found = yield from row(QUERIES["thread"], (thread_id,))
        thread = Thread(*found) if found else None
        return None if thread is None or self._is_expired(thread) else thread

    def _is_expired(self, thread: Thread) -> bool:
        return thread.expires_at is not None and thread.expires_at <= self.horizon

    def open(self, thread_id: str, ttl: float | None) -> Plan[Thread]:
        """The thread, made if it is not there. What an expired one had is gone."""
        found = yield from row(QUERIES["thread"], (thread_id,))
        if found:
            thread = Thread(*found)
            if not self._is_expired(thread):
                return thread if ttl is None else thread._replace(ttl_override=ttl)
            yield from self.purge(thread)
        return (yield from self.create(thread_id, ttl, 0))

    def create(self, thread_id: str, ttl: float | None, log_end: int) -> Plan[Thread]:
        """A new thread."""
        now, epoch = self.clock(), self._new_epoch()
        expires = self.policy.expiry(now, ttl)
        values = (thread_id, now, now, expires, ttl, epoch, log_end)
        ((no,),) = yield from rows(QUERIES["insert_thread"], values)
        return Thread(no, epoch, log_end, expires, ttl, is_new=True)

    def touch(self, thread: Thread, log_end: int) -> Plan[None]:
        """Note that the thread was written to."""
        if thread.is_new and log_end == thread.log_end:
            return
        if log_end >> LOG_BITS:
            raise CheckpointError(f"a thread's values have more than {1 << LOG_BITS} bytes in all")
        now = self.clock()
        expires = self.policy.expiry(now, thread.ttl_override)
        values = (now, expires, thread.ttl_override, log_end, thread.no)
        yield from execute(QUERIES["touch_thread"], values)

    def refresh(self, thread_id: str) -> Plan[None]:
        """Note that the thread was read."""
        thread = yield from self.find(thread_id)
        if thread is not None:
            expires = self.policy.expiry(self.clock(), thread.ttl_override)
            if expires is not None:  # a reader without a policy leaves the thread its expiry
                yield from execute(QUERIES["refresh_thread"], (expires, thread.no))

    # ------------------------------------------------------------------ appending

    def prepare(self, thread_id: str, values: Sequence[Typed]) -> Prepared | None:
        """What can be made ready before the transaction, from what is known; no request."""
        if all(len(data) <= THRESHOLD for _, data in values):
            return Prepared([Stored(kind, data, None) for kind, data in values], None)
        known = self.known.get(thread_id)
        return None if known is None else self._share(known, values, known.end)

    @staticmethod
    def _share(known: KnownLog, values: Sequence[Typed], end: int) -> Prepared:
        appender = Appender(known, end)
        return Prepared([appender.add(value) for value in values], appender)

    def append(
        self, thread_id: str, thread: Thread, early: Prepared | None, values: Sequence[Typed]
    ) -> Plan[Prepared]:
        """Append to the log what `values` need; again from the start if `early` does not fit."""
        prepared = early
        if prepared is None or not prepared.fits(thread):
            known = yield from self._knowledge(thread_id, thread)
            prepared = self._share(known, values, thread.log_end)
        if prepared.segments:
            yield from execute_many(
                QUERIES["insert_segment"],
                [(thread.first_id + s.start, s.digests, s.data) for s in prepared.segments],
            )
        return prepared

    def _knowledge(self, thread_id: str, thread: Thread) -> Plan[KnownLog]:
        known = self.known.get(thread_id, thread.epoch)
        if known is not None or not thread.log_end:
            return known or KnownLog(thread.epoch, 0)
        newest = yield from rows(QUERIES["newest_digests"], (*thread.segment_ids, _DIGESTS_READ))
        seen = [(number - thread.first_id, digests) for number, digests in reversed(newest)]
        return self.known.put(thread_id, thread.epoch, thread.log_end, seen)

    def committed(self, thread_id: str, prepared: Prepared) -> None:
        """The transaction of `append` is committed: remember what it added."""
        if prepared.appender is not None and prepared.appender.shares:
            added = [(segment.start, segment.digests) for segment in prepared.segments]
            log = prepared.appender
            self.known.put(thread_id, log.epoch, log.end, added, log.added)

    # ------------------------------------------------------------------ removing

    def purge(self, thread: Thread) -> Plan[None]:
        """Remove all of a thread."""
        for table in ("checkpoints", "values", "writes", "thread"):
            yield from execute(QUERIES[f"purge_{table}"], (thread.no,))
        yield from execute(QUERIES["purge_segments"], thread.segment_ids)

    def collect(self, no: int) -> Plan[None]:
        """Remove what nothing refers to: values no checkpoint has, segments no value needs, and
        the thread itself when it is empty.
        """
        thread = Thread(no, 0, 0, None, None)
        if (yield from row(QUERIES["is_empty"], (no,))) == (1,):
            yield from self.purge(thread)
            return
        layouts = yield from self._collect_values(no)
        layouts += [layout for (layout,) in (yield from rows(QUERIES["write_layouts"], (no,)))]
        needed = ranges_of(layouts)
        sizes = yield from rows(QUERIES["segment_sizes"], thread.segment_ids)
        segments = ((number - thread.first_id, size) for number, size in sizes)
        if dead := [(thread.first_id + start,) for start in _outside(segments, needed)]:
            yield from execute_many(QUERIES["delete_segment"], dead)
            yield from execute(QUERIES["new_epoch"], (self._new_epoch(), no))

    @staticmethod
    def _collect_values(no: int) -> Plan[list[bytes]]:
        live: set[tuple[str, str, str]] = set()
        for ns, versions in (yield from rows(QUERIES["thread_versions"], (no,))):
            live.update((ns, name, key) for name, key in json.loads(versions).items())
        dead, layouts = [], []
        for number, ns, channel, version, layout in (
            yield from rows(QUERIES["thread_values"], (no,))
        ):
            if (ns, channel, version) not in live:
                dead.append((number,))
            elif layout is not None:
                layouts.append(layout)
        if dead:
            yield from execute_many(QUERIES["delete_value"], dead)
        return layouts


def _outside(
    segments: Iterable[tuple[int, int]], needed: Sequence[tuple[int, int]]
) -> Iterable[int]:
    """The starts of those segments (start, size), rising, that no range [first, end) touches."""
    at = 0
    for start, size in segments:
        while at < len(needed) and needed[at][1] <= start:
            at += 1
        if at == len(needed) or needed[at][0] >= start + size:
            yield start
