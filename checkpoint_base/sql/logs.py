"""The threads' rows and logs: opening a thread to write to it, appending, and removing what is not
needed any more.
"""

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
    """A thread's row, as a transaction found or made it."""

    key: Any
    """a `ThreadKey`: what the other tables name it by"""
    epoch: int
    log_end: int
    expires_at: float | None
    ttl_override: float | None
    salt: bytes = b""
    """of its rows' checksums"""
    is_new: bool = False


class SqlDedupWriter(log.DedupWriter):
    """Sub-plans on threads and their logs, to be run inside a transaction."""

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
        """The thread, unless it has expired."""
        found = yield from row(self.queries["thread"], (thread_id,))
        thread = Thread(*found) if found else None
        return None if thread is None or self.is_expired(thread.expires_at) else thread

    def open(self, thread_id: str, ttl: float | None) -> Plan[Thread]:
        """The thread, made if it is not there. What an expired one had is gone."""
        found = yield from row(self.queries["thread"], (thread_id,))
        if found:
            thread = Thread(*found)
            if not self.is_expired(thread.expires_at):
                return thread if ttl is None else thread._replace(ttl_override=ttl)
            yield from self.purge(thread)
        return (yield from self.create(thread_id, ttl, 0, new_salt()))

    def create(self, thread_id: str, ttl: float | None, log_end: int, salt: bytes) -> Plan[Thread]:
        """A new thread."""
        now, epoch = self.clock(), self.new_epoch()
        expires = self.policy.expiry(now, ttl)
        values = (thread_id, now, now, expires, ttl, epoch, log_end, salt)
        ((key,),) = yield from rows(self.queries["insert_thread"], values)
        return Thread(key, epoch, log_end, expires, ttl, salt, is_new=True)

    def touch(self, thread: Thread, log_end: int, garbage: int = 0) -> Plan[None]:
        """Note that the thread was written to.

        Args:
            thread: what was written to.
            log_end: where its log ends now.
            garbage: about how many bytes the write left that nothing refers to.
        """
        if thread.is_new and log_end == thread.log_end:
            return
        now = self.clock()
        expires = self.policy.expiry(now, thread.ttl_override)
        values = (now, expires, thread.ttl_override, log_end, garbage, thread.key)
        yield from execute(self.queries["touch_thread"], values)

    def refresh(self, thread_id: str) -> Plan[None]:
        """Note that the thread was read."""
        thread = yield from self.find(thread_id)
        if thread is not None:
            expires = self.policy.expiry(self.clock(), thread.ttl_override)
            if expires is not None:  # a reader without a policy leaves the thread its expiry
                yield from execute(self.queries["refresh_thread"], (expires, thread.key))

    def append(
        self,
        thread_id: str,
        thread: Thread,
        early: EncodedValues | None,
        records: Sequence[ChannelRecord],
    ) -> Plan[EncodedValues]:
        """Append to the log what the records need; again from the start if `early` does not fit."""
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
        """Remove all of a thread."""
        for table in ("checkpoints", "values", "writes", "thread"):
            yield from execute(self.queries[f"purge_{table}"], (thread.key,))
        yield from self.purge_segments(thread)

    def collect(self, key: ThreadKey) -> Plan[None]:
        """Remove what nothing refers to: values no checkpoint has, segments no value needs, and
        the thread itself when it is empty.

        This reads the keys of the whole thread, so no put does it: what a put replaces is counted
        in the thread's row, and stays until `prune`, `delete_for_runs` or a sweep collects.
        """
        thread, queries = Thread(key, 0, 0, None, None), self.queries
        ((is_empty,),) = yield from rows(queries["is_empty"], (key,))
        if is_empty:
            yield from self.purge(thread)
            return
        versions = yield from rows(queries["thread_versions"], (key,))
        values = yield from rows(queries["thread_values"], (key,))
        unused: list[Any]
        unused, layouts = sort_values(versions, values)
        if unused:
            yield from self.delete_values(thread, unused)
        layouts += [layout for (layout,) in (yield from rows(queries["write_layouts"], (key,)))]
        if dead := dead_segments((yield from self.segment_sizes(thread)), layouts):
            yield from self.delete_segments(thread, dead)
        if dead or unused:
            yield from execute(queries["new_epoch"], (self.new_epoch(), key))
        else:
            yield from self.clear_garbage(key)

    def clear_garbage(self, key: ThreadKey) -> Plan[None]:
        """Note that nothing is left to be collected."""
        yield from execute(self.queries["clear_garbage"], (key,))

    # ------------------------------------------------------------------ how a dialect does it

    @abstractmethod
    def newest(self, thread: Thread, count: int) -> Plan[list[tuple[int, bytes]]]:
        """(start, digests as they are stored) of up to so many segments, the newest first."""

    @abstractmethod
    def insert_segments(self, thread: Thread, segments: Sequence[Segment]) -> Plan[None]:
        """Append rows to the log."""

    @abstractmethod
    def segment_sizes(self, thread: Thread) -> Plan[list[tuple[int, int]]]:
        """(start, size) of all segments, rising."""

    @abstractmethod
    def delete_segments(self, thread: Thread, starts: Sequence[int]) -> Plan[None]:
        """Remove some of the log."""

    @abstractmethod
    def purge_segments(self, thread: Thread) -> Plan[None]:
        """Remove all of the log."""

    @abstractmethod
    def copy_segments(self, source: Thread, target: Thread) -> Plan[None]:
        """Copy all of the log."""

    def delete_values(self, thread: Thread, names: Sequence[Any]) -> Plan[None]:  # noqa: ARG002
        """Remove some values, by what `thread_values` calls them."""
        yield from execute_many(self.queries["delete_value"], [(name,) for name in names])
