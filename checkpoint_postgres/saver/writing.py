"""Stores a checkpoint, or a task's pending writes, with one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

from checkpoint_base.dedup.index import ChunkIndex
from checkpoint_base.dedup.writer import EncodedValues, SpeculativePut
from checkpoint_base.plan import Plan, in_callers_transaction, write
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import address, config_of
from checkpoint_base.saver.records.channel_cache import Channels, LogState
from checkpoint_base.saver.records.checksums import new_salt
from checkpoint_base.saver.records.drafts import Draft
from checkpoint_base.saver.records.kinds import ChannelRecord, PutRecord, Stored, ValueKey
from checkpoint_base.saver.records.snapshot import ThreadKey
from checkpoint_base.sql.requests import Row, execute, row, rows
from checkpoint_base.sql.rows import (
    ThreadRows,
    checked_value,
    checked_write,
    checkpoint_columns,
)
from checkpoint_base.sql.writing import SqlWriting
from checkpoint_postgres.connection.requests import attempt
from checkpoint_postgres.saver.segments import PostgresDedupWriter, columns, keys_json, parameters


class OneStatementWriting(SqlWriting):
    """Plans of `put` and `put_writes`.

    Each is tried as one statement, which relies on the cached state of the thread's log. If that is
    out of date, the statement changes nothing, and a transaction reads the state and stores.
    """

    _logs: PostgresDedupWriter
    _queries: Mapping[str, str]

    # ------------------------------------------------------------------ put

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        """Store a checkpoint: one statement, or a transaction after it; see the class."""
        draft = codec.draft(config, checkpoint, metadata, new_versions)
        to = draft.checkpoint
        parent = (yield from self._parent(draft)) if draft.needs_parent else None
        put = draft.complete(parent)
        epoch, prepared = self._prepare(to.thread_id, put.values)
        salt = prepared.salt
        kind, place = self._opening(to.thread_id, put.ttl, epoch, prepared)
        rows_of_values = [
            (
                {"channel": one.channel, "version": one.version},
                checked_value(salt, to.ns, one, stored),
            )
            for one, stored in zip(put.values, prepared.stored, strict=True)
        ]
        data, segments, values_json = parameters(salt, prepared, rows_of_values)
        if put.kept or parent is not None:  # a new thread has no values to refer to
            kind = "known"
        values = [
            *place,
            to.ns,
            to.checkpoint_id,
            data,
            segments,
            salt,
            *checkpoint_columns(salt, put.checkpoint, put.run_id),
            values_json,
        ]
        if kind == "known":
            values.append(keys_json(self._looked_for(put, parent, prepared)))
        replied = yield from attempt(self._queries[f"put_{kind}"], values)
        if replied:
            yield from self._noted(to.thread_id, replied[0], prepared, put)
        else:
            again = yield from write(self._store_checkpoint, draft, SpeculativePut())
            if not (yield from self._is_uncommitted(to.thread_id)):
                self._logs.put_committed(*again)
        return config_of(to.thread_id, to.ns, to.checkpoint_id)

    @staticmethod
    def _looked_for(
        put: PutRecord, parent: Channels | None, prepared: EncodedValues
    ) -> Sequence[ValueKey]:
        """The stored values that the put refers to, and whose existence the statement checks. None
        of them if it compares the log's state, and the cache knows that state to have them all.
        """
        log = prepared.appender
        if parent is None or log is None or not log.shares:
            return put.kept
        now = LogState(log.epoch, log.begin)
        return () if parent.has_records(put.kept, now) else put.kept

    def _parent(self, draft: Draft) -> Plan[Channels | None]:
        """The channels of a put's parent: cached since the last read or put, or else read now."""
        to, known = draft.checkpoint, self._logs.known
        salt = known.salts.get(to.thread_id)
        if parent := known.channels.get(to.thread_id, to.ns, to.parent_id, salt):
            return parent
        key = (to.thread_id, self._logs.horizon, to.ns, to.parent_id)
        found = yield from row(self._queries["parent"], key)
        if found is None:
            return None
        salt, *columns = found
        known.salts.put(to.thread_id, salt)  # statements refuse a wrong salt
        if columns[0] is None:
            return None
        return Channels.of(ThreadRows(to.thread_id, salt).checkpoint(columns))

    def _there(self, key: ThreadKey, ns: str, values: Sequence[ValueKey]) -> Plan[set[ValueKey]]:
        channels, versions = map(list, zip(*values, strict=True))
        found = yield from rows(self._queries["values_there"], (key, ns, channels, versions))
        return {(channel, version) for channel, version in found}

    def _sizes(
        self, key: ThreadKey, ns: str, values: Sequence[ValueKey]
    ) -> Plan[Sequence[tuple[str, str, int, bytes | None]]]:
        channels, versions = map(list, zip(*values, strict=True))
        found: list[Any] = yield from rows(
            self._queries["value_sizes"], (key, ns, channels, versions)
        )
        return found

    def _prepare(
        self, thread_id: str, records: Sequence[ChannelRecord]
    ) -> tuple[int | None, EncodedValues]:
        """Encode the records' values; returns the epoch for the thread if this put may create it,
        or else None, and the values. A thread whose salt is not cached is assumed to be new.
        """
        epoch = self._logs.new_epoch()
        prepared = self._logs.prepare(thread_id, records, ChunkIndex(epoch, 0))
        assert prepared is not None  # noqa: S101 (a chunk index is given)
        log = prepared.appender
        makes = log is None or not log.shares or log.epoch == epoch
        salt = self._logs.known.salts.get(thread_id) or new_salt()
        return (epoch if makes else None), prepared._replace(salt=salt)

    def _opening(
        self, thread_id: str, ttl: float | None, epoch: int | None, prepared: EncodedValues
    ) -> tuple[str, list[Any]]:
        """The statement's kind ("new" may create the thread, "known" may not), and $1 to $9."""
        logs, log = self._logs, prepared.appender
        begin = end = 0
        if log is not None and log.shares:
            begin, end = log.begin, log.end
        known = log.epoch if epoch is None and log is not None else epoch
        values = [thread_id, logs.clock(), ttl, logs.policy.default_ttl, logs.horizon]
        values += [known, begin, end, prepared.shares]
        return ("known" if epoch is None else "new"), values

    def _noted(
        self, thread_id: str, reply: Row, prepared: EncodedValues, put: PutRecord | None = None
    ) -> Plan[None]:
        """Update the chunk index after a statement has stored `prepared`."""
        epoch, log_end = reply[:2]
        prepared = prepared._replace(log=LogState(epoch, log_end))
        if not (yield from self._is_uncommitted(thread_id)):
            if not log_end:
                self._logs.known.put(thread_id, epoch, 0, ())
            if put is None:
                self._logs.committed(thread_id, prepared)
            else:
                self._logs.put_committed(put, prepared)

    def _committed(self, thread_id: str, prepared: EncodedValues | None) -> Plan[None]:
        if prepared is not None and not (yield from self._is_uncommitted(thread_id)):
            self._logs.committed(thread_id, prepared)

    def _is_uncommitted(self, thread_id: str) -> Plan[bool]:
        """Whether the caller may still roll back what was stored. If so, the thread's chunk index
        is dropped, and the next put reads the newest digests, to share chunks with this one.
        """
        is_uncommitted = yield from in_callers_transaction()
        if is_uncommitted:
            self._logs.known.forget(thread_id)
        return is_uncommitted

    @staticmethod
    def _columns(stored: Stored) -> tuple[Any, ...]:
        return columns(stored)

    # ------------------------------------------------------------------ put_writes

    def put_writes(
        self,
        codec: Codec,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]:
        """Store a task's writes: one statement, or a transaction after it; see the class."""
        at = address(config, checkpoint=True)
        if not writes:
            return
        records = codec.writes(at.thread_id, writes, task_id, task_path)
        epoch, prepared = self._prepare(at.thread_id, records)
        salt = prepared.salt
        kind, place = self._opening(at.thread_id, at.ttl, epoch, prepared)
        where = at.namespace, at.checkpoint_id or ""
        rows_of_writes = [
            ({"idx": one.idx, "channel": one.channel}, checked_write(salt, *where, one, stored))
            for one, stored in zip(records, prepared.stored, strict=True)
        ]
        data, segments, writes_json = parameters(salt, prepared, rows_of_writes)
        first = records[0]
        values = [
            *place,
            *where,
            data,
            segments,
            salt,
            first.task_id,
            first.task_path,
            [one.idx for one in records],
            writes_json,
        ]
        some = "special" if any(one.idx < 0 for one in records) else "writes"
        replied = yield from attempt(self._queries[f"{some}_{kind}"], values)
        if not replied:
            again = yield from write(self._store_writes, at, records, None)
            yield from self._committed(at.thread_id, again)
            return
        yield from self._noted(at.thread_id, replied[0], prepared)
        if replied[0][2] < len(records) and prepared.segments:
            # another writer has stored the same writes meanwhile: these segments may be garbage
            counted = prepared.appended, at.thread_id
            yield from write(execute, self._queries["add_garbage"], counted)
