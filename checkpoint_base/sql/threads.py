"""SQL plans for thread administration: list threads, expire and sweep them, count their rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from checkpoint_base.dedup.writer import SWEPT_GARBAGE
from checkpoint_base.plan import Plan, read, write
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.planner import HeadPage, HeadQuery, ThreadHead, ThreadQuery
from checkpoint_base.saver.records.kinds import Stats, ThreadPage
from checkpoint_base.saver.records.snapshot import CheckpointRow, ReadSnapshot
from checkpoint_base.saver.ttl.refresh import refresh_ttl_best_effort
from checkpoint_base.saver.ttl.sweeper import UNREADABLE, log_unreadable
from checkpoint_base.sql.logs import Thread
from checkpoint_base.sql.removal import SqlRemoval
from checkpoint_base.sql.requests import execute, row, rows
from checkpoint_base.sql.rows import ThreadRows

_SWEPT_AT_ONCE: Final = 200


class SqlThreads(SqlRemoval):
    """Plans of `list_threads`, `list_heads`, `sweep` and `stats`."""

    backend: ClassVar[str]

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        """A page of threads: one read transaction."""
        found = yield from read(self._thread_rows, query)
        return query.page(found)

    @abstractmethod
    def _thread_rows(self, query: ThreadQuery) -> Plan[list[Any]]:
        """Up to `limit` + 1 threads as (id, created, updated, expires), times in epoch seconds."""

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        """The next threads, each with its newest root checkpoint and what was written to it: one
        read transaction, of two statements more if values of interrupts are read.
        """
        return (yield from read(self._heads, query))

    def _heads(self, query: HeadQuery) -> Plan[HeadPage]:
        heads, snapshot = list[ThreadHead](), ReadSnapshot([])
        for row_ in (yield from self._head_rows(query)):
            thread_id, *times, key, salt, channels = row_[:7]
            head = ThreadHead(thread_id, *times)
            if row_[7] is not None:
                record = ThreadRows(thread_id, salt).checkpoint(row_[7:])
                head = head._replace(checkpoint=record, channels=channels)
                snapshot.found.append(CheckpointRow(record, key, 0, 0, None, (), salt))
            heads.append(head)
        heads.sort(key=lambda head: (head.updated, head.thread_id), reverse=True)
        if query.interrupts and snapshot.found:
            yield from self._load_interrupts(snapshot)
        asked = {
            row_.record.thread_id: snapshot.writes_of(row_.place, row_.record.thread_id)
            for row_ in snapshot.found
        }
        return query.heads([one._replace(interrupts=asked.get(one[0], ())) for one in heads])

    @abstractmethod
    def _head_rows(self, query: HeadQuery) -> Plan[list[Any]]:
        """Up to `limit` threads: (id, created, updated, expires, key, salt, channels) and the
        columns of the newest root checkpoint that `ThreadRows.checkpoint` decodes (None: it has
        none). `channels` has (task id, channel) of each write.
        """

    @abstractmethod
    def _load_interrupts(self, snapshot: ReadSnapshot) -> Plan[None]:
        """Load the writes to INTERRUPT of the snapshot's checkpoints, and their segments."""

    # ------------------------------------------------------------------ expiry

    def _refresh(self, thread_id: str, snapshot: ReadSnapshot) -> Plan[None]:
        """Move a thread's expiry after a read, unless the change would be too small."""
        if self._logs.is_refresh_due(snapshot.expiry):
            refresh = write(self._logs.refresh, thread_id)
            yield from refresh_ttl_best_effort(refresh, f"thread {thread_id!r}")

    def sweep(self, codec: Codec) -> Plan[int]:
        """Apply the TTL policy to expired threads, and collect garbage in threads that have at
        least `SWEPT_GARBAGE` bytes: one transaction per thread.

        Returns:
            The number of expired threads.
        """
        swept = yield from self._sweep_expired(codec)
        yield from self._sweep_garbage()
        return swept

    def _sweep_expired(self, codec: Codec) -> Plan[int]:
        now, swept = self._logs.clock(), 0
        limit = self._logs.policy.sweep_limit
        unreadable: set[str] = set()
        while limit is None or swept < limit:
            count = _SWEPT_AT_ONCE if limit is None else min(_SWEPT_AT_ONCE, limit - swept)
            wanted = now, count + len(unreadable)
            expired = yield from read(rows, self._logs.queries["expired_threads"], wanted)
            due = [thread_id for (thread_id,) in expired if thread_id not in unreadable]
            if not due:
                break
            for thread_id in due[:count]:
                try:
                    swept += yield from write(self._sweep, codec, thread_id, now)
                except UNREADABLE as error:
                    log_unreadable(thread_id, error)
                    unreadable.add(thread_id)
        return swept

    def _sweep(self, codec: Codec, thread_id: str, now: float) -> Plan[int]:
        found = yield from row(self._logs.queries["thread"], (thread_id,))
        if not found:
            return 0
        thread = Thread(*found)
        if thread.expires_at is None or thread.expires_at > now:
            return 0  # read or written since it was listed
        if self._logs.policy.expires_whole:
            yield from self._logs.purge(thread)
        else:
            yield from self._keep_latest(codec, thread_id)
            yield from execute(self._logs.queries["refresh_thread"], (None, thread.key))
        return 1

    def _sweep_garbage(self) -> Plan[None]:
        limit = self._logs.policy.sweep_limit
        # Visit each thread once: writers may leave new garbage during this sweep.
        visited: set[str] = set()
        while limit is None or len(visited) < limit:
            wanted = SWEPT_GARBAGE, _SWEPT_AT_ONCE + len(visited)
            found = yield from read(rows, self._logs.queries["garbage_threads"], wanted)
            due = [thread_id for (thread_id,) in found if thread_id not in visited]
            if not due:
                return
            for thread_id in due if limit is None else due[: limit - len(visited)]:
                visited.add(thread_id)
                try:
                    yield from write(self._collect, thread_id)
                except UNREADABLE as error:
                    log_unreadable(thread_id, error)

    def _collect(self, thread_id: str) -> Plan[None]:
        thread = yield from self._logs.find(thread_id)
        if thread is not None:
            yield from self._logs.collect(thread.key)

    # ------------------------------------------------------------------ size

    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count rows and bytes: one read transaction."""
        return (yield from read(self._stats, thread_id))

    def _stats(self, thread_id: str | None) -> Plan[Stats]:
        ((server,),) = yield from rows(self._logs.queries["server_version"])
        counts: Sequence[int] | None = None
        if thread_id is None:
            counts = yield from row(self._logs.queries["all_stats"])
        elif thread := (yield from self._logs.seen(thread_id)):
            counts = yield from self._thread_counts(thread)
        threads, checkpoints, values, segments, writes, size = counts or (0,) * 6
        return Stats(
            backend=self.backend,
            server=server,
            threads=threads,
            checkpoints=checkpoints,
            values=values,
            segments=segments,
            writes=writes,
            bytes=size,
        )

    @abstractmethod
    def _thread_counts(self, thread: Thread) -> Plan[Sequence[int] | None]:
        """(1, checkpoints, values, segments, writes, bytes) of a thread."""
