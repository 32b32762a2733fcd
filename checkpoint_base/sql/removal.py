"""Delete, prune and copy threads in SQL. `prune` uses one transaction per thread; a retention
policy uses one per bounded number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from langgraph.checkpoint.serde.types import INTERRUPT, TASKS

from checkpoint_base.dedup.writer import SWEPT_GARBAGE
from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan, read, write
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.delta import Lineage, Link, lineage
from checkpoint_base.saver.records.kinds import CheckpointRecord
from checkpoint_base.saver.records.snapshot import CheckpointKey, ThreadKey
from checkpoint_base.saver.ttl.retaining import NOTHING, RetentionPlans, affected
from checkpoint_base.saver.ttl.retention import (
    Place,
    Removal,
    RetentionCutoff,
    ThreadOutline,
    newest_of,
)
from checkpoint_base.sql.logs import Garbage, SqlDedupWriter, Thread
from checkpoint_base.sql.requests import execute, execute_many, row, rows
from checkpoint_base.sql.rows import ThreadRows

_REMOVED_AT_ONCE: Final = 100
"""Checkpoints, values and segments that a transaction of `retain` deletes at most."""


class _State(NamedTuple):
    """A thread, as it was when it was examined: differs after each write to it."""

    thread: Thread
    row: tuple[Any, ...]
    """the time of its last write, and what the database has to tell writes apart"""


class _Surplus(NamedTuple):
    """What a retention policy removes from a thread."""

    state: _State
    places: Sequence[Place]
    """the checkpoints, oldest first"""
    is_whole: bool = False


class SqlRemoval(RetentionPlans):
    """Plans of `delete_thread`, `delete_for_runs`, `prune`, `retain` and `copy_thread`."""

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
        there: list[Any] = yield from rows(self._logs.queries["checkpoint_keys"], (thread.key,))
        heads = newest_of(there)
        kept = {*heads.items()}
        gone = {*there} - kept - (yield from self._needed_by(codec, thread_id, thread, kept))
        yield from self._delete_checkpoints([(thread.key, *place) for place in sorted(gone)])
        yield from self._delete_all_early_writes(thread, heads)
        yield from self._logs.collect(thread.key)

    def _needed_by(
        self, codec: Codec, thread_id: str, thread: Thread, places: Iterable[Place]
    ) -> Plan[set[Place]]:
        """The ancestors that these checkpoints need to read the same after pruning."""
        needed: set[Place] = set()
        for ns, checkpoint_id in places:
            ancestors = yield from self._needed(codec, thread_id, thread, ns, checkpoint_id)
            needed.update((ns, ancestor) for ancestor in ancestors)
        return needed

    def _delete_all_early_writes(self, thread: Thread, heads: dict[str, str]) -> Plan[None]:
        """Delete writes without a checkpoint that are older than the newest checkpoint of their
        namespace. A write may arrive before its checkpoint, but only if that checkpoint is newer
        than all stored ones, so these are garbage.
        """
        for ns, checkpoint_id in heads.items():
            yield from self._delete_early_writes(thread.key, ns, checkpoint_id)

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

    # ------------------------------------------------------------------ retention

    def _now(self) -> float:
        return self._logs.clock()

    def _lease(self, owner: str, seconds: float) -> Plan[bool]:
        """One transaction."""
        return bool((yield from write(rows, self._logs.queries["lease"], (owner, seconds))))

    def _retain(
        self, codec: Codec, thread_id: str, cutoff: RetentionCutoff, *, dry_run: bool
    ) -> Plan[Removal]:
        """A read transaction; unless it is a dry run, then a transaction per `_REMOVED_AT_ONCE`
        checkpoints; then a read transaction, and one per as many values or segments.
        """
        found = yield from read(self._surplus, codec, thread_id, cutoff, lock=False)
        if found is None:
            return NOTHING
        if dry_run:
            return Removal(len(found.places), found.is_whole)
        checkpoints, is_whole = 0, False
        while found is not None:
            step = yield from write(self._remove_step, codec, thread_id, cutoff, found)
            (count, is_whole, _), found = step
            checkpoints += count
        if checkpoints and not is_whole:
            garbage = yield from read(self._garbage, thread_id)
            while garbage is not None:
                garbage = yield from write(self._collect_step, thread_id, *garbage)
        return Removal(checkpoints, is_whole)

    def _remove_step(
        self, codec: Codec, thread_id: str, cutoff: RetentionCutoff, found: _Surplus
    ) -> Plan[tuple[Removal, _Surplus | None]]:
        """Remove some checkpoints; returns also what is left to be removed. If the thread was
        written since it was examined, this examines it again: a fork may need the ancestors of an
        old checkpoint, and a thread may not be idle any more.
        """
        if (yield from self._state(thread_id, lock=True)) != found.state:
            again = yield from self._surplus(codec, thread_id, cutoff, lock=True)
            if again is None:
                return NOTHING, None
            found = again
        thread, _ = found.state
        if found.is_whole:
            yield from self._logs.purge(thread)
            return Removal(len(found.places), is_whole=True), None
        gone = found.places[:_REMOVED_AT_ONCE]
        if gone:
            yield from self._delete_checkpoints([(thread.key, *place) for place in gone])
            yield from self._delete_all_early_writes(thread, newest_of(gone))
            yield from self._mark_garbage(thread)
        state = yield from self._state(thread_id, lock=True)
        rest = found.places[_REMOVED_AT_ONCE:]
        return Removal(len(gone)), _Surplus(state, rest) if state and rest else None

    def _surplus(
        self, codec: Codec, thread_id: str, cutoff: RetentionCutoff, *, lock: bool
    ) -> Plan[_Surplus | None]:
        """What a policy removes from a thread; None: the thread does not exist."""
        state = yield from self._state(thread_id, lock=lock)
        if state is None:
            return None
        queries, (thread, (updated_at, *_)) = self._logs.queries, state
        there: list[Any] = yield from rows(queries["checkpoint_keys"], (thread.key,))
        awaits_answer, metadata = False, None
        if (head := newest_of(there).get("")) is not None:
            place = thread.key, "", head
            if cutoff.idle_before is not None:
                waits = yield from rows(queries["has_write"], (*place, INTERRUPT))
                awaits_answer = bool(waits)
            if cutoff.needs_metadata:
                record = yield from self._record(ThreadRows(thread_id, thread.salt), *place)
                metadata = codec.metadata_of(record)
        outline = ThreadOutline(there, updated_at, awaits_answer, metadata)
        if cutoff.removes_thread(outline):
            return _Surplus(state, there, is_whole=True)
        kept = cutoff.kept(outline)
        needing = affected(there, kept)
        kept |= yield from self._needed_by(codec, thread_id, thread, needing)
        return _Surplus(state, sorted({*there} - kept, key=lambda place: place[1]))

    def _state(self, thread_id: str, *, lock: bool) -> Plan[_State | None]:
        thread = yield from self._logs.find(thread_id) if lock else self._logs.seen(thread_id)
        if thread is None:
            return None
        (state,) = yield from rows(self._logs.queries["thread_state"], (thread.key,))
        return _State(thread, tuple(state))

    def _garbage(self, thread_id: str) -> Plan[tuple[_State, Garbage] | None]:
        state = yield from self._state(thread_id, lock=False)
        if state is None:
            return None
        return state, (yield from self._logs.garbage(state.thread.key))

    def _collect_step(
        self, thread_id: str, seen: _State, garbage: Garbage
    ) -> Plan[tuple[_State, Garbage] | None]:
        """Collect some garbage; returns the rest. If the thread was written since the garbage was
        found, this looks for it again.
        """
        state = yield from self._state(thread_id, lock=True)
        if state is None:
            return None
        if state != seen:
            garbage = yield from self._logs.garbage(state.thread.key)
        some, rest = garbage.split(_REMOVED_AT_ONCE)
        yield from self._logs.remove(state.thread.key, some)
        if rest is None:
            return None
        yield from self._mark_garbage(state.thread)
        state = yield from self._state(thread_id, lock=True)
        return None if state is None else (state, rest)

    def _mark_garbage(self, thread: Thread) -> Plan[None]:
        """Let a sweep collect the thread's garbage if this process dies before it has done so."""
        yield from execute(self._logs.queries["add_garbage"], (SWEPT_GARBAGE, thread.key))

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
