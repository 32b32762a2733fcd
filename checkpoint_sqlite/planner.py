"""The operations of a saver on SQLite: what is asked of the database, in which order."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from checkpoint_base.codec import Codec, versions_json
from checkpoint_base.config import Address, address, config_of
from checkpoint_base.filters import matches
from checkpoint_base.migrate import load_migrations, pending
from checkpoint_base.plan import Plan, offload, read, write
from checkpoint_base.planner import Listing, Page
from checkpoint_base.records import CheckpointRecord, PutRecord, Stored, ValueRecord, WriteRecord
from checkpoint_base.ttl import TTLPolicy
from checkpoint_sqlite.delta import Lineage, gather, histories
from checkpoint_sqlite.log import Logs, Prepared, Thread
from checkpoint_sqlite.reading import COLUMNS, Found, Snapshot
from checkpoint_sqlite.removal import Removal
from checkpoint_sqlite.requests import QUERIES, execute, execute_many, row, rows
from checkpoint_sqlite.threads import Threads

MIGRATIONS = load_migrations("checkpoint_sqlite")

_OFFLOAD_BYTES = 1 << 18
"""With more than this to decode, an event loop should not wait for it."""

_LATEST = (
    f"SELECT {COLUMNS} FROM saver_threads AS t "  # noqa: S608 (a constant)
    "CROSS JOIN saver_checkpoints AS c ON c.thread = t.no "
    "WHERE t.thread_id = ? AND (t.expires_at IS NULL OR t.expires_at > ?) AND c.ns = ? "
)
_ONE = _LATEST + "AND c.checkpoint_id = ?"
_NEWEST = _LATEST + "ORDER BY c.checkpoint_id DESC LIMIT 1"


class SqlitePlanner(Removal, Threads):
    """Plans for SQLite. Copies of a saver share one planner, and with it what is known of logs."""

    def __init__(
        self,
        policy: TTLPolicy,
        clock: Callable[[], float] = time.time,
        new_epoch: Callable[[], int] = lambda: secrets.randbits(63),
    ) -> None:
        self._logs = Logs(policy, clock, new_epoch)

    # ------------------------------------------------------------------ setup

    def setup(self) -> Plan[None]:
        """Create or migrate the schema; only reads when there is nothing to do."""
        if (yield from read(self._missing())):
            yield from write(self._migrate())

    def _missing(self) -> Plan[bool]:
        if not (yield from rows(QUERIES["has_migrations"])):
            return True
        applied = yield from rows(QUERIES["applied_migrations"])
        return bool(pending(MIGRATIONS, {number for (number,) in applied}, "this SQLite database"))

    def _migrate(self) -> Plan[None]:
        yield from execute(QUERIES["create_migrations"])
        applied = {number for (number,) in (yield from rows(QUERIES["applied_migrations"]))}
        for migration in pending(MIGRATIONS, applied, "this SQLite database"):
            for statement in migration.statements:
                yield from execute(statement)
            noted = (migration.number, self._logs.clock())
            yield from execute(QUERIES["note_migration"], noted)

    # ------------------------------------------------------------------ put

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        """Store a checkpoint: one transaction."""
        put = codec.put(config, checkpoint, metadata, new_versions)
        to = put.checkpoint
        early = self._logs.prepare(to.thread_id, [record.value for record in put.values])
        prepared = yield from write(self._put(put, early))
        if prepared is not None:
            self._logs.committed(to.thread_id, prepared)
        return config_of(to.thread_id, to.ns, to.checkpoint_id)

    def _put(self, put: PutRecord, early: Prepared | None) -> Plan[Prepared | None]:
        """Returns None when it had to remove something, which makes what is known void."""
        to, values = put.checkpoint, put.values
        thread = yield from self._logs.open(to.thread_id, put.ttl)
        prepared = yield from self._logs.append(
            to.thread_id, thread, early, [record.value for record in values]
        )
        replaced = yield from self._put_checkpoint(thread, to, put.run_id)
        replaced |= yield from self._put_values(thread, to.ns, values, prepared.stored)
        yield from self._logs.touch(thread, prepared.end(thread))
        if replaced:
            yield from self._logs.collect(thread.no)
            return None
        return prepared

    def _put_checkpoint(
        self, thread: Thread, record: CheckpointRecord, run_id: str | None
    ) -> Plan[bool]:
        sealed_type, sealed = record.sealed or (None, None)
        values = (
            record.parent_id,
            run_id,
            record.v,
            versions_json(record.versions),
            *record.body,
            record.metadata,
            sealed_type,
            sealed,
            thread.no,
            record.ns,
            record.checkpoint_id,
        )
        if (yield from execute(QUERIES["insert_checkpoint"], values)):
            return False
        yield from execute(QUERIES["replace_checkpoint"], values)
        return True

    def _put_values(
        self, thread: Thread, ns: str, records: Sequence[ValueRecord], stored: Sequence[Stored]
    ) -> Plan[bool]:
        if not records:
            return False
        values = [
            (*one, thread.no, ns, record.channel, record.version)
            for record, one in zip(records, stored, strict=True)
        ]
        if (yield from execute_many(QUERIES["insert_value"], values)) == len(values):
            return False
        yield from execute_many(QUERIES["replace_value"], values)
        return True

    # ------------------------------------------------------------------ put_writes

    def put_writes(
        self,
        codec: Codec,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]:
        """Store a task's writes: one transaction."""
        at = address(config, checkpoint=True)
        if not writes:
            return
        records = codec.writes(writes, task_id, task_path)
        early = self._logs.prepare(at.thread_id, [record.value for record in records])
        prepared = yield from write(self._put_writes(at, records, early))
        if prepared is not None:
            self._logs.committed(at.thread_id, prepared)

    def _put_writes(
        self, at: Address, records: Sequence[WriteRecord], early: Prepared | None
    ) -> Plan[Prepared | None]:
        thread = yield from self._logs.open(at.thread_id, at.ttl)
        prepared = yield from self._logs.append(
            at.thread_id, thread, early, [record.value for record in records]
        )
        key = (thread.no, at.namespace, at.checkpoint_id, records[0].task_id)
        values = [
            (*key, record.idx, record.task_path, record.channel, *one)
            for record, one in zip(records, prepared.stored, strict=True)
        ]
        regular = [entry for entry in values if entry[4] >= 0]
        special = [entry for entry in values if entry[4] < 0]
        replaced = False
        if special:
            shared = yield from row(QUERIES["shared_special_writes"], key)
            replaced = shared != (0,)
            yield from execute_many(QUERIES["upsert_write"], special)
        if regular:
            new = yield from execute_many(QUERIES["insert_write"], regular)
            replaced |= new < len(regular) and bool(prepared.segments)
        yield from self._logs.touch(thread, prepared.end(thread))
        if replaced:
            yield from self._logs.collect(thread.no)
            return None
        return prepared

    # ------------------------------------------------------------------ read

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """One checkpoint: one read transaction, and a write where reading moves a TTL."""
        at = address(config)
        snapshot = yield from read(self._whole(at))
        if snapshot is None:
            return None
        yield from self._refresh(at.thread_id, snapshot)
        found = yield from self._decoded(codec, snapshot)
        return found[0]

    def _find(self, at: Address) -> Plan[Found | None]:
        key = (at.thread_id, self._logs.horizon, at.namespace)
        if at.checkpoint_id is None:
            found = yield from row(_NEWEST, key)
        else:
            found = yield from row(_ONE, (*key, at.checkpoint_id))
        return Found.of(found) if found else None

    def _whole(self, at: Address) -> Plan[Snapshot | None]:
        found = yield from self._find(at)
        return (yield from Snapshot([found]).load(self._logs.known)) if found else None

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """What DeltaChannels are rebuilt from: one read transaction, however long the chain."""
        at = address(config)
        gathered = None
        if channels:
            gathered = yield from read(self._gather(at, channels))
        if gathered is None:
            return {channel: {"writes": []} for channel in channels}
        target, line, snapshot = gathered
        yield from self._refresh(at.thread_id, snapshot)
        return histories(codec, target, line, snapshot, channels)

    def _gather(
        self, at: Address, channels: Sequence[str]
    ) -> Plan[tuple[Found, Lineage, Snapshot] | None]:
        target = yield from self._find(at)
        if target is None:
            return None
        return (target, *(yield from gather(target, channels, self._logs.known)))

    def _refresh(self, thread_id: str, snapshot: Snapshot) -> Plan[None]:
        expires = any(one.expires_at is not None for one in snapshot.found)
        if expires and self._logs.policy.refresh_on_read:
            yield from write(self._logs.refresh(thread_id))

    @staticmethod
    def _decoded(codec: Codec, snapshot: Snapshot) -> Plan[list[CheckpointTuple]]:
        if snapshot.weight <= _OFFLOAD_BYTES:
            return snapshot.tuples(codec)
        return (yield from offload(lambda: snapshot.tuples(codec)))

    # ------------------------------------------------------------------ list

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        """Some checkpoints: one read transaction."""
        snapshot, rest = yield from read(self._page(codec, listing))
        if listing.thread_id is not None:
            yield from self._refresh(listing.thread_id, snapshot)
        tuples = yield from self._decoded(codec, snapshot)
        return Page(tuples, rest)

    def _page(self, codec: Codec, listing: Listing) -> Plan[tuple[Snapshot, Listing | None]]:
        size = listing.page_size
        found: list[Found] = []
        rest: Listing | None = listing
        while rest is not None and len(found) < size:
            wanted = size - len(found)
            some = yield from self._candidates(rest, wanted)
            fitting = [one for one in some if matches_metadata(codec, one, listing.filter)]
            found += fitting
            if len(some) < wanted:
                rest = None
            else:
                last = some[-1]
                rest = rest.after(len(fitting), (last.record.checkpoint_id, last.row_id))
        snapshot = yield from Snapshot(found).load(self._logs.known)
        return snapshot, rest if rest is None or rest.remaining != 0 else None

    def _candidates(self, listing: Listing, count: int) -> Plan[list[Found]]:
        """The next rows that may be wanted, in order."""
        conditions = ["(t.expires_at IS NULL OR t.expires_at > ?)"]
        values: list[Any] = [self._logs.horizon]
        for condition, value in (
            ("t.thread_id = ?", listing.thread_id),
            ("c.ns = ?", listing.ns),
            ("c.checkpoint_id = ?", listing.checkpoint_id),
            ("c.checkpoint_id < ?", listing.before),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        if listing.position is not None:
            conditions.append("(c.checkpoint_id, c.id) < (?, ?)")
            values += listing.position
        for fragment in _fragments(listing.filter):
            conditions.append("(c.sealed IS NOT NULL OR instr(c.metadata, ?))")
            values.append(fragment)
        join = "saver_threads AS t CROSS JOIN saver_checkpoints AS c ON c.thread = t.no"
        if listing.thread_id is None:
            join = "saver_checkpoints AS c CROSS JOIN saver_threads AS t ON t.no = c.thread"
        sql = (
            f"SELECT {COLUMNS} FROM {join} WHERE {' AND '.join(conditions)} "  # noqa: S608
            "ORDER BY c.checkpoint_id DESC, c.id DESC LIMIT ?"
        )
        found = yield from rows(sql, [*values, count])
        return [Found.of(entry) for entry in found]


def matches_metadata(codec: Codec, found: Found, wanted: Mapping[str, Any] | None) -> bool:
    """Whether a checkpoint's metadata is what `list` was asked for."""
    return not wanted or matches(codec.metadata(found.record.metadata, found.record.sealed), wanted)


def _fragments(wanted: Mapping[str, Any] | None) -> list[str]:
    """Pieces of JSON that every match has. They only spare rows: `matches` decides."""
    if not wanted:
        return []
    return [
        json.dumps({key: value}, separators=(",", ":"))[1:-1]
        for key, value in wanted.items()
        if type(key) is str and (type(value) is str or type(value) is bool)
    ]
