"""Threads' rows and logs in SQL: create or open a thread, append segments, collect garbage."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from checkpoint_base.dedup import writer as log
from checkpoint_base.dedup.segments import Segment
from checkpoint_base.dedup.writer import EncodedValues, dead_segments, sort_values
from checkpoint_base.plan import Plan
from checkpoint_base.saver.records.channel_cache import LogState
from checkpoint_base.saver.records.checksums import new_salt
from checkpoint_base.saver.records.kinds import ChannelRecord
from checkpoint_base.saver.records.snapshot import ThreadKey
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.sql.requests import Statement, execute, execute_many, row, rows
from checkpoint_base.sql.rows import ThreadRows, checked_segments


class Thread(NamedTuple):
    """A thread's row, as a transaction read or inserted it."""

    key: Any
    """a `ThreadKey`: the key by which the other tables refer to the thread"""
    epoch: int
    log_end: int
    expires_at: float | None
    ttl_override: float | None
    salt: bytes = b""
    """salt of its rows' checksums"""
    is_new: bool = False


class Garbage(NamedTuple):
    """What of a thread nothing refers to."""

    values: Sequence[Any]
    """ids, as the query `thread_values` returns them"""
    segments: Sequence[int]
    """offsets of segments that no other value or write uses"""
    is_thread: bool = False
    """whether the thread itself is empty"""

    def split(self, most: int) -> tuple[Garbage, Garbage | None]:
        """Up to `most` values or segments, and the rest (None: there is none). Values come first: a
        put may still refer to one that is stored, so its segments must be there.
        """
        if len(self.values) > most:
            some = Garbage(self.values[:most], ())
            return some, self._replace(values=self.values[most:])
        some = self._replace(segments=self.segments[:most])
        if len(self.segments) > most:
            return some, Garbage((), self.segments[most:])
        return some, None


class SqlDedupWriter(log.DedupWriter):
    """Sub-plans on threads and their logs. All must run inside a transaction."""

    def __init__(
        self,
        queries: Mapping[str, Statement],
        policy: TTLPolicy,
        clock: Callable[[], float],
        new_epoch: Callable[[], int],
        *,
        deduplicate: bool = True,
    ) -> None:
        super().__init__(policy, clock, new_epoch, deduplicate=deduplicate)
        self.queries = queries

    def find(self, thread_id: str) -> Plan[Thread | None]:
        """The thread, or None if it does not exist or has expired."""
        found = yield from row(self.queries["thread"], (thread_id,))
        thread = Thread(*found) if found else None
        return None if thread is None or self.is_expired(thread.expires_at) else thread

    def seen(self, thread_id: str) -> Plan[Thread | None]:
        """`find`, without a lock on the thread."""
        found = yield from row(self.queries["seen_thread"], (thread_id,))
        thread = Thread(*found) if found else None
        return None if thread is None or self.is_expired(thread.expires_at) else thread

    def open(self, thread_id: str, ttl: float | None) -> Plan[Thread]:
        """The thread, created if it does not exist. An expired thread is purged first."""
        found = yield from row(self.queries["thread"], (thread_id,))
        if found:
            thread = Thread(*found)
            if not self.is_expired(thread.expires_at):
                return thread if ttl is None else thread._replace(ttl_override=ttl)
            yield from self.purge(thread)
        return (yield from self.create(thread_id, ttl, 0, new_salt()))

    def create(self, thread_id: str, ttl: float | None, log_end: int, salt: bytes) -> Plan[Thread]:
        """Insert a new thread."""
        now, epoch = self.clock(), self.new_epoch()
        expires = self.policy.expiry(now, ttl)
        values = (thread_id, now, now, expires, ttl, epoch, log_end, salt)
        ((key,),) = yield from rows(self.queries["insert_thread"], values)
        return Thread(key, epoch, log_end, expires, ttl, salt, is_new=True)

    def touch(self, thread: Thread, log_end: int, garbage: int = 0) -> Plan[None]:
        """Update the thread's row after a write: times, log end and garbage count.

        Args:
            thread: the thread.
            log_end: the new end of its log.
            garbage: estimated bytes that the write left unreferenced.
        """
        if thread.is_new and log_end == thread.log_end:
            return
        now = self.clock()
        expires = self.policy.expiry(now, thread.ttl_override)
        values = (now, expires, thread.ttl_override, log_end, garbage, thread.key)
        yield from execute(self.queries["touch_thread"], values)

    def refresh(self, thread_id: str) -> Plan[None]:
        """Move the thread's expiry after a read."""
        thread = yield from self.find(thread_id)
        if thread is not None:
            expires = self.policy.expiry(self.clock(), thread.ttl_override)
            if expires is not None:  # a reader without a TTL does not change the thread's expiry
                yield from execute(self.queries["refresh_thread"], (expires, thread.key))

    def append(
        self,
        thread_id: str,
        thread: Thread,
        early: EncodedValues | None,
        records: Sequence[ChannelRecord],
    ) -> Plan[EncodedValues]:
        """Append the records' new segments. If `early` is no longer valid, encode again first."""
        prepared = yield from self.fit(
            thread_id,
            thread.epoch,
            thread.log_end,
            early,
            records,
            newest=partial(self._newest, thread_id, thread),
        )
        self.note_histories(thread_id, prepared)
        if prepared.segments:
            segments = checked_segments(thread.salt, prepared.segments)
            yield from self.insert_segments(thread, segments)
        log = LogState(thread.epoch, prepared.end(thread.log_end))
        return prepared._replace(salt=thread.salt, log=log)

    def _newest(self, thread_id: str, thread: Thread, count: int) -> Plan[list[tuple[int, bytes]]]:
        checked = ThreadRows(thread_id, thread.salt)
        found = yield from self.newest(thread, count)
        return [(start, checked.digests(start, stored)) for start, stored in found]

    # ------------------------------------------------------------------ removing

    def purge(self, thread: Thread) -> Plan[None]:
        """Delete a thread and all its rows."""
        for table in ("checkpoints", "values", "writes", "thread"):
            yield from execute(self.queries[f"purge_{table}"], (thread.key,))
        yield from self.purge_segments(thread)

    def collect(self, key: ThreadKey) -> Plan[None]:
        """Delete values that no checkpoint uses, segments that no value uses, and an empty thread.

        This reads the keys of the whole thread, so a put does not do it: a put only counts the
        garbage in the thread's row, and `prune`, `delete_for_runs` or a sweep collects it.
        """
        yield from self.remove(key, (yield from self.garbage(key)))

    def garbage(self, key: ThreadKey) -> Plan[Garbage]:
        """Find what `collect` deletes."""
        ((is_empty,),) = yield from rows(self.queries["is_empty"], (key,))
        if is_empty:
            return Garbage((), (), is_thread=True)
        versions = yield from rows(self.queries["thread_versions"], (key,))
        values = yield from rows(self.queries["thread_values"], (key,))
        unused: list[Any]
        unused, layouts = sort_values(versions, values)
        layouts += [x for (x,) in (yield from rows(self.queries["write_layouts"], (key,)))]
        sizes = yield from self.segment_sizes(Thread(key, 0, 0, None, None))
        return Garbage(unused, dead_segments(sizes, layouts))

    def remove(self, key: ThreadKey, garbage: Garbage) -> Plan[None]:
        """Delete garbage, which must have been found or verified in the same transaction."""
        thread = Thread(key, 0, 0, None, None)
        if garbage.is_thread:
            yield from self.purge(thread)
            return
        if garbage.values:
            yield from self.delete_values(thread, garbage.values)
        if garbage.segments:
            yield from self.delete_segments(thread, garbage.segments)
        if garbage.values or garbage.segments:
            yield from execute(self.queries["new_epoch"], (self.new_epoch(), key))
        else:
            yield from self.clear_garbage(key)

    def clear_garbage(self, key: ThreadKey) -> Plan[None]:
        """Set the thread's garbage count to 0."""
        yield from execute(self.queries["clear_garbage"], (key,))

    # ------------------------------------------------------------------ implemented per dialect

    @abstractmethod
    def newest(self, thread: Thread, count: int) -> Plan[list[tuple[int, bytes]]]:
        """(start, stored digests) of up to `count` segments, newest first."""

    @abstractmethod
    def insert_segments(self, thread: Thread, segments: Sequence[Segment]) -> Plan[None]:
        """Insert segments into the log."""

    @abstractmethod
    def segment_sizes(self, thread: Thread) -> Plan[list[tuple[int, int]]]:
        """(start, size) of all segments, ascending."""

    @abstractmethod
    def delete_segments(self, thread: Thread, starts: Sequence[int]) -> Plan[None]:
        """Delete the segments with these starts."""

    @abstractmethod
    def purge_segments(self, thread: Thread) -> Plan[None]:
        """Delete all segments of a thread."""

    @abstractmethod
    def copy_segments(self, source: Thread, target: Thread) -> Plan[None]:
        """Copy all segments from one thread to another."""

    def delete_values(self, thread: Thread, names: Sequence[Any]) -> Plan[None]:  # noqa: ARG002
        """Delete values, by the ids that the query `thread_values` returns."""
        yield from execute_many(self.queries["delete_value"], [(name,) for name in names])
