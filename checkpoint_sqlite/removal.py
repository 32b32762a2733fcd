"""Deleting, pruning and copying threads. Each thread is changed in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from langgraph.checkpoint.serde.types import TASKS

from checkpoint_base.codec import Codec, delta_channels
from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan, write
from checkpoint_sqlite.delta import lineage
from checkpoint_sqlite.log import Logs, Thread
from checkpoint_sqlite.requests import QUERIES, execute, execute_many, row, rows


class Removal:
    """Plans that remove or copy whole checkpoints."""

    _logs: Logs

    def delete_thread(self, thread_id: str) -> Plan[None]:
        """Delete all of a thread."""
        yield from write(self._delete(thread_id))

    def _delete(self, thread_id: str) -> Plan[None]:
        thread = yield from row(QUERIES["thread"], (thread_id,))
        if thread:
            yield from self._logs.purge(Thread(*thread))

    def delete_for_runs(self, run_ids: Sequence[str]) -> Plan[None]:
        """Delete the checkpoints of some runs: one transaction."""
        if run_ids:
            yield from write(self._delete_runs(run_ids))

    def _delete_runs(self, run_ids: Iterable[str]) -> Plan[None]:
        gone = []
        for run_id in run_ids:
            gone += yield from rows(QUERIES["checkpoints_of_run"], (run_id,))
        yield from self._delete_checkpoints(gone)
        for no in dict.fromkeys(no for no, _, _ in gone):
            yield from self._logs.collect(no)

    @staticmethod
    def _delete_checkpoints(gone: Sequence[tuple[int, str, str]]) -> Plan[None]:
        if gone:
            yield from execute_many(QUERIES["delete_checkpoint"], gone)
            yield from execute_many(QUERIES["delete_writes"], gone)

    # ------------------------------------------------------------------ prune

    def prune(self, codec: Codec, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
        """Thin out threads: one transaction each."""
        for thread_id in thread_ids:
            if strategy == "delete":
                yield from self.delete_thread(thread_id)
            else:
                yield from write(self._keep_latest(codec, thread_id))

    def _keep_latest(self, codec: Codec, thread_id: str) -> Plan[None]:
        thread = yield from self._logs.find(thread_id)
        if thread is None:
            return
        newest = yield from rows(QUERIES["newest_of_namespaces"], (thread.no,))
        kept: set[tuple[str, str]] = set()
        for ns, checkpoint_id in newest:
            kept.add((ns, checkpoint_id))
            for ancestor in (yield from self._needed(codec, thread.no, ns, checkpoint_id)):
                kept.add((ns, ancestor))
        there = yield from rows(QUERIES["checkpoint_keys"], (thread.no,))
        gone = [(thread.no, *key) for key in there if key not in kept]
        yield from self._delete_checkpoints(gone)
        # Writes may come before their checkpoint, but not before one that is older than the newest.
        for ns, checkpoint_id in newest:
            yield from execute(QUERIES["delete_early_writes"], (thread.no, ns, checkpoint_id))
        yield from self._logs.collect(thread.no)

    @staticmethod
    def _needed(codec: Codec, no: int, ns: str, checkpoint_id: str) -> Plan[set[str]]:
        """The ancestors without which a checkpoint would not read the same."""
        found = yield from rows(QUERIES["metadata"], (no, ns, checkpoint_id))
        ((v, parent, plain, sealed_type, sealed),) = found
        needed: set[str] = set()
        if parent and v < 4 and (yield from row(QUERIES["has_write"], (no, ns, parent, TASKS))):
            needed.add(parent)  # its sends are there
        metadata = codec.metadata(plain, None if sealed_type is None else (sealed_type, sealed))
        if channels := delta_channels(metadata):
            needed.update((yield from lineage(no, ns, checkpoint_id, channels)).needed)
        return needed

    # ------------------------------------------------------------------ copy

    def copy_thread(self, source: str, target: str) -> Plan[None]:
        """Copy a thread: one transaction."""
        if source != target:
            yield from write(self._copy(source, target))

    def _copy(self, source: str, target: str) -> Plan[None]:
        original = yield from self._logs.find(source)
        if original is None:
            return
        there = yield from self._logs.find(target)
        if there is not None:
            own = yield from row(QUERIES["foreign_checkpoint"], (there.no, original.no))
            if own:
                raise InvalidArgumentError(
                    f"target_thread_id: wanted a thread with nothing of its own, but {target!r} "
                    f"has checkpoint {own[1]!r}, which {source!r} has not"
                )
        yield from self._delete(target)
        copy = yield from self._logs.create(target, original.ttl_override, original.log_end)
        for table in ("checkpoints", "values", "writes"):
            yield from execute(QUERIES[f"copy_{table}"], (original.no, copy.no))
        begin, end = original.segment_ids
        yield from execute(QUERIES["copy_segments"], (begin, end, copy.first_id))
