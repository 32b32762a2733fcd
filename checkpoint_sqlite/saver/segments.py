"""The threads' logs in SQLite: a segment's id is its thread's number and its offset in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkpoint_base.dedup.segments import Segment
from checkpoint_base.errors import CheckpointError
from checkpoint_base.plan import Plan
from checkpoint_base.sql.logs import SqlDedupWriter, Thread
from checkpoint_base.sql.requests import execute, execute_many, rows

LOG_BITS: Final = 36
"""Bits of an id for the offset; 27 more are for the thread. So a log has at most 2^36 bytes, and a
file 2^27 threads.
"""


def _ids(thread: Thread) -> tuple[int, int]:
    """The range of ids of a thread's segments, the end excluded."""
    return thread.key << LOG_BITS, (thread.key + 1) << LOG_BITS


class SqliteDedupWriter(SqlDedupWriter):
    """Sub-plans on threads and their logs, to be run inside a transaction."""

    def newest(self, thread: Thread, count: int) -> Plan[list[tuple[int, bytes]]]:
        first, end = _ids(thread)
        found = yield from rows(self.queries["newest_digests"], (first, end, count))
        return [(number - first, digests) for number, digests in found]

    def insert_segments(self, thread: Thread, segments: Sequence[Segment]) -> Plan[None]:
        first, _ = _ids(thread)
        if (segments[-1].start + len(segments[-1].data)) >> LOG_BITS:
            raise CheckpointError(f"a thread's values have more than {1 << LOG_BITS} bytes in all")
        values = [(first + start, digests, data) for start, digests, data in segments]
        yield from execute_many(self.queries["insert_segment"], values)

    def segment_sizes(self, thread: Thread) -> Plan[list[tuple[int, int]]]:
        first, end = _ids(thread)
        found = yield from rows(self.queries["segment_sizes"], (first, end))
        return [(number - first, size) for number, size in found]

    def delete_segments(self, thread: Thread, starts: Sequence[int]) -> Plan[None]:
        first, _ = _ids(thread)
        ids = [(first + start,) for start in starts]
        yield from execute_many(self.queries["delete_segment"], ids)

    def purge_segments(self, thread: Thread) -> Plan[None]:
        yield from execute(self.queries["purge_segments"], _ids(thread))

    def copy_segments(self, source: Thread, target: Thread) -> Plan[None]:
        first, _ = _ids(target)
        yield from execute(self.queries["copy_segments"], (*_ids(source), first))
