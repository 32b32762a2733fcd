"""Delete, prune and copy threads in SQL. `prune` uses one transaction per thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langgraph.checkpoint.serde.types import TASKS

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan, write
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.delta import Lineage, Link, lineage
from checkpoint_base.saver.records.kinds import CheckpointRecord
from checkpoint_base.saver.records.snapshot import CheckpointKey, ThreadKey
from checkpoint_base.sql.logs import SqlDedupWriter, Thread
from checkpoint_base.sql.requests import execute, execute_many, row, rows
from checkpoint_base.sql.rows import ThreadRows


class SqlRemoval:
    """Plans of `delete_thread`, `delete_for_runs`, `prune` and `copy_thread`."""

    _logs: SqlDedupWriter

    def delete_thread(self, thread_id: str) -> Plan[None]:
        """Delete a thread: one transaction."""
        yield from write(self._delete, thread_id)

    def _delete(self, thread_id: str) -> Plan[None]:
        thread = yield from row(self._logs.queries["thread"], (thread_id,))
        if thread:
            yield from self._logs.purge(Thread(*thread))

    def delete_for_runs(self, run_ids: Sequence[str]) -> Plan[None]:
        """Delete the checkpoints of these runs: one transaction."""
        if run_ids:
            yield from write(self._delete_runs, run_ids)

    def _delete_runs(self, run_ids: Sequence[str]) -> Plan[None]:
        gone = yield from self._of_runs(run_ids)
        yield from self._delete_checkpoints(gone)
        for key in dict.fromkeys(key for key, _, _ in gone):
            yield from self._logs.collect(key)

    def _of_runs(self, run_ids: Sequence[str]) -> Plan[list[CheckpointKey]]:
        gone: list[Any] = []
        for run_id in run_ids:
            gone += yield from rows(self._logs.queries["checkpoints_of_run"], (run_id,))
        return gone

    def _delete_checkpoints(self, gone: Sequence[CheckpointKey]) -> Plan[None]:
        if gone:
            yield from execute_many(self._logs.queries["delete_checkpoint"], gone)
            yield from execute_many(self._logs.queries["delete_writes"], gone)

    # ------------------------------------------------------------------ prune

    def prune(self, codec: Codec, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
        """Apply a `prune` strategy to threads: one transaction each."""
        for thread_id in thread_ids:
            if strategy == "delete":
                yield from self.delete_thread(thread_id)
            else:
                yield from write(self._keep_latest, codec, thread_id)

    def _keep_latest(self, codec: Codec, thread_id: str) -> Plan[None]:
        thread = yield from self._logs.find(thread_id)
        if thread is None:
            return
        queries = self._logs.queries
        newest = yield from rows(queries["newest_of_namespaces"], (thread.key,))
        kept: set[tuple[str, str]] = set()
        for ns, checkpoint_id in newest:
            kept.add((ns, checkpoint_id))
            needed = yield from self._needed(codec, thread_id, thread, ns, checkpoint_id)
            for ancestor in needed:
                kept.add((ns, ancestor))
        there = yield from rows(queries["checkpoint_keys"], (thread.key,))
        gone = [(thread.key, *key) for key in there if key not in kept]
        yield from self._delete_checkpoints(gone)
        # A write may arrive before its checkpoint, but only if that checkpoint is newer than all
        # stored ones. So writes without a checkpoint that are older than the newest are garbage.
        for ns, checkpoint_id in newest:
            yield from self._delete_early_writes(thread.key, ns, checkpoint_id)
        yield from self._logs.collect(thread.key)

    def _delete_early_writes(self, key: ThreadKey, ns: str, checkpoint_id: str) -> Plan[None]:
        yield from execute(self._logs.queries["delete_early_writes"], (key, ns, checkpoint_id))

    def _needed(
        self, codec: Codec, thread_id: str, thread: Thread, ns: str, checkpoint_id: str
    ) -> Plan[set[str]]:
        """The ancestors that a checkpoint needs to read the same after pruning."""
        queries, key = self._logs.queries, thread.key
        checked = ThreadRows(thread_id, thread.salt)
        record = yield from self._record(checked, key, ns, checkpoint_id)
        parent, needed = record.parent_id, set[str]()
        is_old = parent is not None and record.v < 4
        if is_old and (yield from row(queries["has_write"], (key, ns, parent, TASKS))):
            needed.add(parent or "")  # checkpoints with v < 4 read their sends from the parent
        if channels := codec.delta_channels_of(record):
            line = yield from self._lineage(checked, key, ns, checkpoint_id, channels)
            needed.update(line.needed)
        return needed

    def _record(
        self, checked: ThreadRows, key: ThreadKey, ns: str, checkpoint_id: str
    ) -> Plan[CheckpointRecord]:
        """Read a checkpoint that is known to exist."""
        found = yield from rows(self._logs.queries["checkpoint"], (key, ns, checkpoint_id))
        return checked.checkpoint(found[0])

    def _lineage(
        self,
        checked: ThreadRows,
        key: ThreadKey,
        ns: str,
        checkpoint_id: str,
        channels: Sequence[str],
    ) -> Plan[Lineage]:
        """The ancestors from which DeltaChannels of a checkpoint are rebuilt."""

        def ancestors(at: str, depth: int) -> Plan[Iterable[Link]]:
            found = yield from rows(self._logs.queries["parents"], (key, ns, at, depth))
            return (checked.link(ns, each) for each in found)

        return (yield from lineage(checkpoint_id, channels, ancestors))

    def _read_embedded(
        self, checked: ThreadRows, key: ThreadKey, ns: str, line: Lineage
    ) -> Plan[None]:
        """Read the embedded seed values of the lineage into `line.small`."""
        for checkpoint_id in dict.fromkeys(line.embedded.values()):
            small = (yield from self._record(checked, key, ns, checkpoint_id)).small.values()
            for channel, ancestor in line.embedded.items():
                if ancestor == checkpoint_id:
                    line.small[channel] = small[channel]

    # ------------------------------------------------------------------ copy

    def copy_thread(self, source: str, target: str) -> Plan[None]:
        """Copy a thread: one transaction."""
        if source != target:
            yield from write(self._copy, source, target)

    def _copy(self, source: str, target: str) -> Plan[None]:
        queries = self._logs.queries
        original = yield from self._logs.find(source)
        if original is None:
            return
        there = yield from self._logs.find(target)
        if there is not None:
            own = yield from row(queries["foreign_checkpoint"], (there.key, original.key))
            if own:
                raise InvalidArgumentError(
                    f"target_thread_id: wanted a thread with nothing of its own, but {target!r} "
                    f"has checkpoint {own[1]!r} or writes for it, which {source!r} has not"
                )
        yield from self._delete(target)
        of_original = original.ttl_override, original.log_end, original.salt
        copy = yield from self._logs.create(target, *of_original)
        for table in ("checkpoints", "values", "writes"):
            yield from execute(queries[f"copy_{table}"], (original.key, copy.key))
        yield from self._logs.copy_segments(original, copy)
        yield from execute(queries["copy_garbage"], (original.key, copy.key))
