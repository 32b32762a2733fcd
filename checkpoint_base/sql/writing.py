"""Store checkpoints and pending writes in SQL, statement by statement, one transaction per call.

A put counts the bytes that it replaces but does not delete them, so that its cost does not depend
on the length of the thread. `SqlDedupWriter.collect` deletes them later.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from checkpoint_base.dedup.segments import THRESHOLD
from checkpoint_base.dedup.writer import EncodedValues, SpeculativePut, garbage_of
from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.config import Address
from checkpoint_base.saver.records.channel_cache import Channels, LogState
from checkpoint_base.saver.records.drafts import Draft
from checkpoint_base.saver.records.kinds import (
    CheckpointRecord,
    PutRecord,
    Stored,
    ValueKey,
    ValueRecord,
    WriteRecord,
)
from checkpoint_base.saver.records.snapshot import ThreadKey
from checkpoint_base.saver.records.versions import Versions, parse_versions
from checkpoint_base.sql.logs import SqlDedupWriter, Thread
from checkpoint_base.sql.requests import execute, execute_many, row, rows
from checkpoint_base.sql.rows import (
    ThreadRows,
    checked_value,
    checked_write,
    checkpoint_columns,
)


class SqlWriting:
    """Sub-plans of `put` and `put_writes`."""

    _logs: SqlDedupWriter

    @staticmethod
    def _columns(stored: Stored) -> tuple[Any, ...]:
        """The columns of a stored value: type, data, layout."""
        return stored

    def _store_checkpoint(
        self, draft: Draft, early: SpeculativePut
    ) -> Plan[tuple[PutRecord, EncodedValues]]:
        """Store a checkpoint. The put prepared before the transaction is prepared again if the
        thread was deleted and recreated since, or if a record that the put keeps is missing.
        """
        to = draft.checkpoint
        thread = yield from self._logs.open(to.thread_id, draft.ttl)
        put, ready = early.put, early.prepared
        if put is None or not (yield from self._is_valid(thread, put, early)):
            put, ready = (yield from self._completed(thread, draft)), None
        values = put.values
        prepared = yield from self._logs.append(to.thread_id, thread, ready, values)
        columns = checkpoint_columns(thread.salt, put.checkpoint, put.run_id)
        garbage = yield from self._store_row(thread, put.checkpoint, columns)
        garbage += yield from self._store_values(thread, to.ns, values, prepared.stored)
        yield from self._logs.touch(thread, prepared.end(thread.log_end), garbage)
        return put, prepared

    def _is_valid(self, thread: Thread, put: PutRecord, early: SpeculativePut) -> Plan[bool]:
        """Whether a speculative put is still valid: the thread is the same, and all records that
        the put keeps exist.
        """
        if early.salt not in (None, thread.salt):
            return False
        now = LogState(thread.epoch, thread.log_end)
        if early.parent is not None and early.parent.has_records(put.kept, now):
            return True
        return not (yield from self._lost(thread, put))

    def _completed(self, thread: Thread, draft: Draft) -> Plan[PutRecord]:
        """Prepare a put inside the transaction, from the stored parent and records."""
        to, parent = draft.checkpoint, None
        if draft.needs_parent and not thread.is_new:
            place = thread.key, to.ns, to.parent_id
            if found := (yield from row(self._logs.queries["checkpoint"], place)):
                checked = ThreadRows(to.thread_id, thread.salt)
                parent = Channels.of(checked.checkpoint(found))
        put = draft.complete(parent)
        if not (lost := (yield from self._lost(thread, put))):
            return put
        yield from offload()  # serializes the values whose records are missing
        return draft.complete(parent, lost)

    def _lost(self, thread: Thread, put: PutRecord) -> Plan[list[ValueKey]]:
        """Which of the records that a put keeps are missing."""
        if not put.kept:
            return []
        there: set[ValueKey] = set()
        if not thread.is_new:
            there = yield from self._there(thread.key, put.checkpoint.ns, put.kept)
        return [key for key in put.kept if key not in there]

    @abstractmethod
    def _there(self, key: ThreadKey, ns: str, values: Sequence[ValueKey]) -> Plan[set[ValueKey]]:
        """Which of these values are stored."""

    @abstractmethod
    def _sizes(
        self, key: ThreadKey, ns: str, values: Sequence[ValueKey]
    ) -> Plan[Sequence[tuple[str, str, int, bytes | None]]]:
        """(channel, version, inline size, layout) of those of these values that are stored."""

    def _store_row(
        self, thread: Thread, record: CheckpointRecord, columns: tuple[Any, ...]
    ) -> Plan[int]:
        """Insert or replace a checkpoint's row; returns the estimated bytes of garbage."""
        key = thread.key, record.ns, record.checkpoint_id
        if (yield from execute(self._logs.queries["insert_checkpoint"], (*columns, *key))):
            return 0
        ((versions,),) = yield from rows(self._logs.queries["checkpoint_versions"], key)
        yield from execute(self._logs.queries["replace_checkpoint"], (*columns, *key))
        now = Versions(record.versions, record.valueless, record.small.names)
        gone = {*parse_versions(versions).with_records()} - {*now.with_records()}
        if not gone:
            return 0
        # an estimate: another checkpoint may use these values, which `collect` checks
        sizes = yield from self._sizes(thread.key, record.ns, [*gone])
        return sum(size + garbage_of(layout) for _, _, size, layout in sizes)

    def _store_values(
        self, thread: Thread, ns: str, records: Sequence[ValueRecord], stored: Sequence[Stored]
    ) -> Plan[int]:
        """Insert or replace values; returns the estimated bytes of garbage."""
        if not records:
            return 0
        values = [
            (
                *self._columns(checked_value(thread.salt, ns, record, one)),
                *(thread.key, ns, record.channel, record.version),
            )
            for record, one in zip(records, stored, strict=True)
        ]
        if (yield from execute_many(self._logs.queries["insert_value"], values)) == len(values):
            return 0
        layouts = {
            (record.channel, record.version): one.layout
            for record, one in zip(records, stored, strict=True)
        }
        sizes = yield from self._sizes(thread.key, ns, list(layouts))
        yield from execute_many(self._logs.queries["replace_value"], values)
        return sum(
            garbage_of(layout, layouts[channel, version]) for channel, version, _, layout in sizes
        )

    def _store_writes(
        self, at: Address, records: Sequence[WriteRecord], early: EncodedValues | None
    ) -> Plan[EncodedValues]:
        queries = self._logs.queries
        thread = yield from self._logs.open(at.thread_id, at.ttl)
        place = at.namespace, at.checkpoint_id or ""
        key = (thread.key, *place, records[0].task_id)
        stored: dict[int, bytes | None] = {}
        if not thread.is_new and any(
            one.idx < 0 or len(one.value[1]) > THRESHOLD for one in records
        ):
            stored = dict((yield from rows(queries["task_layouts"], key)))
            # a stored regular write is kept; do not append to the log for its duplicate
            new = [one for one in records if one.idx < 0 or one.idx not in stored]
            records, early = new, early if len(new) == len(records) else None
        prepared = yield from self._logs.append(at.thread_id, thread, early, records)
        garbage, special, regular = 0, [], []
        for record, value in zip(records, prepared.stored, strict=True):
            values = (
                *(*key, record.idx, record.task_path, record.channel),
                *self._columns(checked_write(thread.salt, *place, record, value)),
            )
            if record.idx < 0:
                garbage += garbage_of(stored.get(record.idx), value.layout)
                special.append(values)
            else:
                regular.append(values)
        if special:
            yield from execute_many(queries["upsert_write"], special)
        if regular:
            yield from execute_many(queries["insert_write"], regular)
        yield from self._logs.touch(thread, prepared.end(thread.log_end), garbage)
        return prepared
