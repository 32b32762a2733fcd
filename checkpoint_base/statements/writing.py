"""Storing checkpoints and pending writes, statement by statement, in one transaction each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from checkpoint_base.config import Address
from checkpoint_base.log import Prepared
from checkpoint_base.plan import Plan
from checkpoint_base.reading import ThreadKey
from checkpoint_base.records import (
    CheckpointRecord,
    Complete,
    PutRecord,
    Stored,
    ValueKey,
    ValueRecord,
    WriteRecord,
)
from checkpoint_base.statements.logs import StatementLogs, Thread
from checkpoint_base.statements.requests import execute, execute_many, row
from checkpoint_base.statements.rows import checked_value, checked_write, checkpoint_columns


class Writing:
    """Sub-plans that store. They return None when they had to remove something, which makes what
    is known of the log void.
    """

    _logs: StatementLogs

    @staticmethod
    def _columns(stored: Stored) -> tuple[Any, ...]:
        """A stored value as columns: type, data, layout."""
        return stored

    def _store_checkpoint(
        self, put: PutRecord, early: Prepared | None, complete: Complete
    ) -> Plan[Prepared | None]:
        to = put.checkpoint
        thread = yield from self._logs.open(to.thread_id, put.ttl)
        if missing := (yield from self._not_there(thread, put)):
            put, early = complete(missing), None
        values = put.values
        prepared = yield from self._logs.append(
            to.thread_id, thread, early, [record.value for record in values]
        )
        columns = checkpoint_columns(thread.salt, to, put.run_id)
        replaced = yield from self._store_row(thread, to, columns)
        replaced |= yield from self._store_values(thread, to.ns, values, prepared.stored)
        yield from self._logs.touch(thread, prepared.end(thread.log_end))
        if replaced:
            yield from self._logs.collect(thread.key)
            return None
        return prepared

    def _not_there(self, thread: Thread, put: PutRecord) -> Plan[list[ValueKey]]:
        if not put.kept:
            return []
        there: set[ValueKey] = set()
        if not thread.is_new:
            there = yield from self._there(thread.key, put.checkpoint.ns, put.kept)
        return [key for key in put.kept if key not in there]

    @abstractmethod
    def _there(self, key: ThreadKey, ns: str, values: Sequence[ValueKey]) -> Plan[set[ValueKey]]:
        """Which of some values are stored."""

    def _store_row(
        self, thread: Thread, record: CheckpointRecord, columns: tuple[Any, ...]
    ) -> Plan[bool]:
        values = (*columns, thread.key, record.ns, record.checkpoint_id)
        if (yield from execute(self._logs.queries["insert_checkpoint"], values)):
            return False
        yield from execute(self._logs.queries["replace_checkpoint"], values)
        return True

    def _store_values(
        self, thread: Thread, ns: str, records: Sequence[ValueRecord], stored: Sequence[Stored]
    ) -> Plan[bool]:
        if not records:
            return False
        values = [
            (
                *self._columns(checked_value(thread.salt, ns, record, one)),
                *(thread.key, ns, record.channel, record.version),
            )
            for record, one in zip(records, stored, strict=True)
        ]
        if (yield from execute_many(self._logs.queries["insert_value"], values)) == len(values):
            return False
        yield from execute_many(self._logs.queries["replace_value"], values)
        return True

    def _store_writes(
        self, at: Address, records: Sequence[WriteRecord], early: Prepared | None
    ) -> Plan[Prepared | None]:
        queries = self._logs.queries
        thread = yield from self._logs.open(at.thread_id, at.ttl)
        prepared = yield from self._logs.append(
            at.thread_id, thread, early, [record.value for record in records]
        )
        place = at.namespace, at.checkpoint_id or ""
        key = (thread.key, *place, records[0].task_id)
        values = [
            (
                *(*key, record.idx, record.task_path, record.channel),
                *self._columns(checked_write(thread.salt, *place, record, one)),
            )
            for record, one in zip(records, prepared.stored, strict=True)
        ]
        regular = [entry for entry in values if entry[4] >= 0]
        special = [entry for entry in values if entry[4] < 0]
        replaced = False
        if special:
            replaced = (yield from row(queries["shared_special_writes"], key)) != (0,)
            yield from execute_many(queries["upsert_write"], special)
        if regular:
            new = yield from execute_many(queries["insert_write"], regular)
            replaced |= new < len(regular) and bool(prepared.segments)
        yield from self._logs.touch(thread, prepared.end(thread.log_end))
        if replaced:
            yield from self._logs.collect(thread.key)
            return None
        return prepared
