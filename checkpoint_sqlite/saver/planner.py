"""Plans of a checkpoint saver on SQLite: the statements of each operation, in their order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from checkpoint_base.plan import Plan, in_callers_transaction, read, write
from checkpoint_base.saver.codec.checkpoints import NO_VALUES, Codec
from checkpoint_base.saver.config import Address, address, config_of
from checkpoint_base.saver.delta import Lineage, histories
from checkpoint_base.saver.pagination import paginate, prefilter_terms
from checkpoint_base.saver.planner import HeadQuery, Listing, Page, ThreadQuery
from checkpoint_base.saver.records.json_text import parsed
from checkpoint_base.saver.records.kinds import ValueKey
from checkpoint_base.saver.records.snapshot import CheckpointRow, ReadSnapshot, ThreadKey
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.sql.logs import Thread
from checkpoint_base.sql.migrations import load_migrations, load_queries
from checkpoint_base.sql.requests import Row, row, rows
from checkpoint_base.sql.rows import ThreadRows
from checkpoint_base.sql.setup import SqlSetup
from checkpoint_base.sql.threads import SqlThreads
from checkpoint_base.sql.writing import SqlWriting
from checkpoint_sqlite.connection.jobs import Single
from checkpoint_sqlite.saver.reading import (
    COLUMNS,
    NEWEST_WHOLE,
    ONE_WHOLE,
    found_of,
    heads,
    load,
    load_interrupts,
    load_parts,
    wanted,
    whole,
)
from checkpoint_sqlite.saver.segments import LOG_BITS, SqliteDedupWriter

T = TypeVar("T")

QUERIES = load_queries("checkpoint_sqlite")
MIGRATIONS = load_migrations("checkpoint_sqlite")

_LATEST = (
    f"SELECT {COLUMNS} FROM saver_threads AS t "  # noqa: S608 (a constant)
    "CROSS JOIN saver_checkpoints AS c ON c.thread = t.no "
    "WHERE t.thread_id = ? AND (t.expires_at IS NULL OR t.expires_at > ?) AND c.ns = ? "
)
_ONE = _LATEST + "AND c.checkpoint_id = ?"
_WANTED_VALUES = (
    "FROM want CROSS JOIN saver_values AS v ON v.thread = want.a "
    "AND v.ns = want.b AND v.channel = want.c AND v.version = want.d"
)
_STORED = f"SELECT v.channel, v.version {_WANTED_VALUES}"
_SIZES = f"SELECT v.channel, v.version, length(v.data), v.layout {_WANTED_VALUES}"
_NEWEST = _LATEST + "ORDER BY c.checkpoint_id DESC LIMIT 1"


def unless_callers(make: Callable[[], Plan[T | None]]) -> Plan[T | None]:
    """Run the plan of a put; returns what it stored, to be cached. In the caller's transaction
    None, so that nothing is cached: the caller may roll back.
    """
    stored = yield from make()
    return None if (yield from in_callers_transaction()) else stored


class SqlitePlanner(SqlSetup, SqlWriting, SqlThreads):
    """Plans for SQLite. Copies of a saver share one planner, and with it the chunk indexes."""

    backend = "sqlite"
    database = "this SQLite database"

    def __init__(
        self,
        policy: TTLPolicy,
        clock: Callable[[], float] = time.time,
        new_epoch: Callable[[], int] = lambda: secrets.randbits(63),
        *,
        deduplicate: bool = True,
    ) -> None:
        self._logs = SqliteDedupWriter(QUERIES, policy, clock, new_epoch, deduplicate=deduplicate)
        self._migrations = MIGRATIONS

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
        draft = codec.draft(config, checkpoint, metadata, new_versions)
        store = partial(self._store_checkpoint, draft, self._logs.early(draft))
        stored = yield from write(unless_callers, store)
        if stored is not None:
            self._logs.put_committed(*stored)
        to = draft.checkpoint
        return config_of(to.thread_id, to.ns, to.checkpoint_id)

    def _there(self, key: ThreadKey, ns: str, values: Sequence[ValueKey]) -> Plan[set[ValueKey]]:
        return set((yield from wanted(_STORED, [(key, ns, *each) for each in values])))

    def _sizes(
        self, key: ThreadKey, ns: str, values: Sequence[ValueKey]
    ) -> Plan[Sequence[tuple[str, str, int, bytes | None]]]:
        return (yield from wanted(_SIZES, [(key, ns, *each) for each in values]))

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
        records = codec.writes(at.thread_id, writes, task_id, task_path)
        early = self._logs.prepare(at.thread_id, records)
        store = partial(self._store_writes, at, records, early)
        prepared = yield from write(unless_callers, store)
        if prepared is not None:
            self._logs.committed(at.thread_id, prepared)

    # ------------------------------------------------------------------ read

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """Read a checkpoint: one statement, or a read transaction if it has values that are not
        embedded; and a write if the read refreshes a TTL.
        """
        at = address(config)
        statement, key = NEWEST_WHOLE, [at.thread_id, self._logs.horizon, at.namespace]
        if at.checkpoint_id is not None:
            statement, key = ONE_WHOLE, [*key, at.checkpoint_id]
        answer, is_uncommitted = yield Single(statement, key, whole, self._with_records)
        if not answer:
            return None
        if type(answer) is ReadSnapshot:
            yield from self._refresh(at.thread_id, answer)
            return (yield from answer.decoded(codec))[0]
        found, writes = answer
        record = found.record
        if not is_uncommitted:
            self._logs.known.learn(record, found.salt, found.epoch, found.log_end)
        if found.expires_at is not None:
            yield from self._refresh(at.thread_id, ReadSnapshot([found]))
        return codec.checkpoint_tuple(record, codec.metadata_of(record), NO_VALUES, writes)

    def _find(self, at: Address) -> Plan[CheckpointRow | None]:
        key = (at.thread_id, self._logs.horizon, at.namespace)
        if at.checkpoint_id is None:
            found = yield from row(_NEWEST, key)
        else:
            found = yield from row(_ONE, (*key, at.checkpoint_id))
        return found_of(found) if found else None

    def _with_records(self, read: Sequence[Row]) -> Plan[ReadSnapshot]:
        """A checkpoint some of whose values have records of their own."""
        return (yield from load([found_of(read[0])], self._logs.known))

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """Read what `DeltaChannel`s are rebuilt from: one read transaction, however many ancestors;
        and a write if the read refreshes a TTL.
        """
        at = address(config)
        gathered = None
        if channels:
            gathered = yield from read(self._gather, at, channels)
        if gathered is None:
            return {channel: {"writes": []} for channel in channels}
        target, line, snapshot = gathered
        yield from self._refresh(at.thread_id, snapshot)
        return (yield from histories(codec, target, line, snapshot, channels))

    def _gather(
        self, at: Address, channels: Sequence[str]
    ) -> Plan[tuple[CheckpointRow, Lineage, ReadSnapshot] | None]:
        target = yield from self._find(at)
        if target is None:
            return None
        no, ns = target.thread, target.record.ns
        checked = ThreadRows(target.record.thread_id, target.salt)
        line = yield from self._lineage(checked, no, ns, target.record.checkpoint_id, channels)
        yield from self._read_embedded(checked, no, ns, line)
        snapshot = ReadSnapshot([target])
        keys = [(no, ns, *key) for key in line.seeds.values()]
        places = [(no, ns, ancestor) for ancestor in line.needed]
        yield from load_parts(snapshot, keys, places, self._logs.known)
        return target, line, snapshot

    # ------------------------------------------------------------------ list

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        """Read a page of checkpoints: one read transaction, and a write if it refreshes a TTL."""
        snapshot, rest = yield from read(self._page, codec, listing)
        if listing.thread_id is not None:
            yield from self._refresh(listing.thread_id, snapshot)
        tuples = yield from snapshot.decoded(codec)
        return Page(tuples, rest)

    def _page(self, codec: Codec, listing: Listing) -> Plan[tuple[ReadSnapshot, Listing | None]]:
        found, rest = yield from paginate(codec, listing, self._candidates)
        return (yield from load(found, self._logs.known)), rest

    def _candidates(self, listing: Listing, count: int) -> Plan[list[CheckpointRow]]:
        """The next rows that may match the listing, newest first. The caller checks the filter."""
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
        for fragment in prefilter_terms(listing.filter):
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
        return [found_of(entry) for entry in found]

    # ------------------------------------------------------------------ threads

    def _thread_rows(self, query: ThreadQuery) -> Plan[list[Any]]:
        sql, values = self._of_threads(query, "thread_id, created_at, updated_at, expires_at")
        return (yield from rows(sql, [*values, query.limit + 1]))

    def _head_rows(self, query: HeadQuery) -> Plan[list[Any]]:
        threads, values = self._of_threads(query, "*")
        sql, values = heads(threads, [*values, query.limit], query.terms, query.channel)
        found = yield from rows(sql, values)
        return [(*row[:6], parsed(row[6]), *row[7:]) for row in found]

    def _load_interrupts(self, snapshot: ReadSnapshot) -> Plan[None]:
        yield from load_interrupts(snapshot)

    def _of_threads(self, query: ThreadQuery, columns: str) -> tuple[str, list[Any]]:
        """The statement that reads columns of threads, and its values, without the last: LIMIT."""
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
        sql = (
            f"SELECT {columns} FROM saver_threads WHERE {' AND '.join(conditions)} "  # noqa: S608
            "ORDER BY updated_at DESC, thread_id DESC LIMIT ?"
        )
        return sql, values

    def _thread_counts(self, thread: Thread) -> Plan[Sequence[int] | None]:
        ids = thread.key << LOG_BITS, (thread.key + 1) << LOG_BITS
        return (yield from row(QUERIES["thread_stats"], (thread.key, *ids)))
