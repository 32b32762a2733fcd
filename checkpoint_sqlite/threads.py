"""Threads as such: their list, their expiry, their size."""

from __future__ import annotations

from typing import Any, Final

from checkpoint_base.codec import Codec
from checkpoint_base.plan import Plan, read, write
from checkpoint_base.planner import ThreadQuery
from checkpoint_base.records import Stats, ThreadPage
from checkpoint_sqlite.log import Logs, Thread
from checkpoint_sqlite.requests import QUERIES, execute, row, rows

_SWEPT_AT_ONCE: Final = 200


class Threads:
    """Plans on threads."""

    _logs: Logs

    def _keep_latest(self, codec: Codec, thread_id: str) -> Plan[None]:
        raise NotImplementedError  # Removal has it

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        """A page of threads: one read transaction."""
        return (yield from read(self._threads(query)))

    def _threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        conditions = ["(expires_at IS NULL OR expires_at > ?)"]
        values: list[Any] = [self._logs.horizon]
        if query.prefix:
            conditions.append("substr(thread_id, 1, length(?)) = ?")
            values += [query.prefix] * 2
        for condition, moment in (
            ("updated_at < ?", query.updated_before),
            ("updated_at > ?", query.updated_after),
        ):
            if moment is not None:
                conditions.append(condition)
                values.append(moment)
        if (position := query.position) is not None:
            conditions.append("(updated_at, thread_id) < (?, ?)")
            values += position
        found = yield from rows(
            "SELECT thread_id, created_at, updated_at, expires_at FROM saver_threads "  # noqa: S608
            f"WHERE {' AND '.join(conditions)} ORDER BY updated_at DESC, thread_id DESC LIMIT ?",
            [*values, query.limit + 1],
        )
        return query.page(found)

    # ------------------------------------------------------------------ expiry

    def sweep(self, codec: Codec) -> Plan[int]:
        """Apply the policy to the threads that expired: one transaction each."""
        now, swept = self._logs.clock(), 0
        limit = self._logs.policy.sweep_limit
        while limit is None or swept < limit:
            count = _SWEPT_AT_ONCE if limit is None else min(_SWEPT_AT_ONCE, limit - swept)
            expired = yield from read(rows(QUERIES["expired_threads"], (now, count)))
            if not expired:
                break
            for (thread_id,) in expired:
                swept += yield from write(self._sweep(codec, thread_id, now))
        return swept

    def _sweep(self, codec: Codec, thread_id: str, now: float) -> Plan[int]:
        found = yield from row(QUERIES["thread"], (thread_id,))
        if not found:
            return 0
        thread = Thread(*found)
        if thread.expires_at is None or thread.expires_at > now:
            return 0  # touched since it was listed
        if self._logs.policy.expires_whole:
            yield from self._logs.purge(thread)
        else:
            yield from self._keep_latest(codec, thread_id)
            yield from execute(QUERIES["refresh_thread"], (None, thread.no))
        return 1

    # ------------------------------------------------------------------ size

    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count rows and bytes: one read transaction."""
        return (yield from read(self._stats(thread_id)))

    def _stats(self, thread_id: str | None) -> Plan[Stats]:
        version = yield from row(QUERIES["server_version"])
        counts = None
        if thread_id is None:
            counts = yield from row(QUERIES["all_stats"])
        elif thread := (yield from self._logs.find(thread_id)):
            counts = yield from row(QUERIES["thread_stats"], (thread.no, *thread.segment_ids))
        threads, checkpoints, values, segments, writes, size = counts or (0,) * 6
        return Stats(
            backend="sqlite",
            server=f"SQLite {version[0] if version else ''}",
            threads=threads,
            checkpoints=checkpoints,
            values=values,
            segments=segments,
            writes=writes,
            bytes=size,
        )
