"""Plans of a checkpoint saver on Postgres. What a graph waits for is one statement each."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.types import INTERRUPT

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan, in_callers_transaction, read, unlimited, write
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import Address, address
from checkpoint_base.saver.delta import Lineage, histories
from checkpoint_base.saver.pagination import filter_fully_pushed_down, paginate
from checkpoint_base.saver.planner import HeadPage, HeadQuery, Listing, Page, ThreadQuery
from checkpoint_base.saver.records.json_text import parsed
from checkpoint_base.saver.records.kinds import ThreadPage
from checkpoint_base.saver.records.snapshot import (
    CheckpointKey,
    CheckpointRow,
    ReadSnapshot,
    SnapshotSet,
)
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.saver.ttl.refresh import refresh_ttl_best_effort
from checkpoint_base.sql.logs import Thread
from checkpoint_base.sql.requests import execute, row, rows
from checkpoint_base.sql.rows import (
    ThreadRows,
)
from checkpoint_base.sql.setup import SqlSetup
from checkpoint_base.sql.threads import SqlThreads
from checkpoint_postgres.connection.requests import attempt
from checkpoint_postgres.saver.reading import arrays_of, candidates, found_in
from checkpoint_postgres.saver.segments import PostgresDedupWriter
from checkpoint_postgres.saver.statements import migrations, statements
from checkpoint_postgres.saver.writing import OneStatementWriting


class PostgresPlanner(SqlSetup, OneStatementWriting, SqlThreads):
    """Plans for Postgres. Copies of a saver share one planner, and with it the chunk indexes."""

    backend = "postgres"
    database = "this Postgres schema"
    _logs: PostgresDedupWriter

    def __init__(
        self,
        policy: TTLPolicy,
        clock: Callable[[], float] = time.time,
        schema: str = "public",
        new_epoch: Callable[[], int] = lambda: secrets.randbits(63),
        *,
        deduplicate: bool = True,
    ) -> None:
        self._queries = statements(schema)
        self._schema = schema
        self._migrations = migrations(schema)
        self._logs = PostgresDedupWriter(
            self._queries, policy, clock, new_epoch, deduplicate=deduplicate
        )

    @property
    def logs(self) -> PostgresDedupWriter:
        """The threads' logs, for plans outside of this class."""
        return self._logs

    @property
    def schema(self) -> str:
        """The schema of the tables."""
        return self._schema

    # ------------------------------------------------------------------ setup

    def setup(self, partitions: int | None = None) -> Plan[None]:
        """Create or migrate the schema; only reads if there is nothing to do.

        Args:
            partitions: number of hash partitions, by thread id, of new tables; None: they are not
                partitioned. Existing tables stay as they are.

        Raises:
            InvalidArgumentError: `partitions` is less than 1.
        """
        if partitions is not None and (type(partitions) is not int or partitions < 1):
            raise InvalidArgumentError(f"partitions: wanted 1 or more, got {partitions!r}")
        if (yield from unlimited(read(self._missing))):
            yield from unlimited(write(self._create, partitions))

    def _create(self, partitions: int | None) -> Plan[None]:
        yield from rows(self._queries["lock_setup"])
        if not (yield from rows(self._queries["has_schema"])):
            yield from execute(self._queries["create_schema"])
        self._migrations = migrations(self._schema, partitions)
        yield from self._migrate()

    # ------------------------------------------------------------------ read

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """Read a checkpoint: one statement, and another if the read refreshes a TTL."""
        at = address(config)
        snapshot = ReadSnapshot([])
        yield from self._find(at, snapshot)
        if not snapshot.found:
            return None
        yield from self._refresh(at.thread_id, snapshot)
        found = yield from snapshot.decoded(codec)
        return found[0]

    def _find(self, at: Address, snapshot: ReadSnapshot) -> Plan[None]:
        key = [at.thread_id, self._logs.horizon, at.namespace]
        if at.checkpoint_id is None:
            found = yield from rows(self._queries["newest"], key)
        else:
            found = yield from rows(self._queries["one"], [*key, at.checkpoint_id])
        snapshot.found = found_in(snapshot, found)
        yield from self._learn(snapshot)

    def _learn(self, read: ReadSnapshot | SnapshotSet) -> Plan[None]:
        """Cache what was read, unless the caller may still roll it back."""
        if not (yield from in_callers_transaction()):
            read.teach(self._logs.known)

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """Read what `DeltaChannel`s are rebuilt from: one read transaction, however many ancestors;
        and a statement if the read refreshes a TTL.
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
        snapshot = ReadSnapshot([])
        yield from self._find(at, snapshot)
        if not snapshot.found:
            return None
        target = snapshot.found[0]
        key, ns = target.thread, target.record.ns
        checked = ThreadRows(target.record.thread_id, target.salt)
        line = yield from self._lineage(checked, key, ns, target.record.checkpoint_id, channels)
        yield from self._read_embedded(checked, key, ns, line)
        keys = [(key, ns, *entry) for entry in line.seeds.values()]
        places = [(key, ns, ancestor) for ancestor in line.needed]
        found = yield from rows(self._queries["some"], arrays_of(keys, places))
        parts = ReadSnapshot([target])
        found_in(parts, found)
        return target, line, parts

    # ------------------------------------------------------------------ list

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        """Read a page of checkpoints: one statement, or more while too few rows match the filter.
        If Postgres cannot evaluate the filter completely, values are read after the matching
        checkpoints are known, in one transaction. Another statement if a TTL is refreshed.
        """
        if filter_fully_pushed_down(codec, listing.filter):
            replies = SnapshotSet()
            found, rest = yield from self._fill(codec, listing, replies.add, "found")
            replies.keep(found)
        else:
            whole, rest = yield from read(self._fill_bare, codec, listing)
            replies = SnapshotSet(whole)
        yield from self._learn(replies)
        if listing.thread_id is not None:
            yield from self._refresh(listing.thread_id, replies)
        tuples = yield from replies.decoded(codec)
        return Page(tuples, rest)

    def _fill(
        self, codec: Codec, listing: Listing, add: Callable[[], ReadSnapshot], statement: str
    ) -> Plan[tuple[list[CheckpointRow], Listing | None]]:
        def next_candidates(rest: Listing, count: int) -> Plan[list[CheckpointRow]]:
            form = self._queries[statement], self._queries
            sql, values = candidates(*form, rest, self._logs.horizon, count)
            told, part = (yield from rows(sql, values)), add()
            part.found = found_in(part, told)
            return sorted(part.found, key=lambda one: one.position, reverse=True)

        return (yield from paginate(codec, listing, next_candidates))

    def _fill_bare(
        self, codec: Codec, listing: Listing
    ) -> Plan[tuple[ReadSnapshot, Listing | None]]:
        whole = ReadSnapshot([])
        whole.found, rest = yield from self._fill(codec, listing, lambda: ReadSnapshot([]), "bare")
        if whole.found:
            arrays = arrays_of(whole.keys(), whole.places())
            found_in(whole, (yield from rows(self._queries["some"], arrays)))
        return whole, rest

    # ------------------------------------------------------------------ removing

    def delete_thread(self, thread_id: str) -> Plan[None]:
        """Delete a thread: one statement, and a transaction if a writer changes it meanwhile."""
        replied = yield from attempt(self._queries["delete_thread"], (thread_id,))
        if replied != [(0,)]:
            yield from write(self._delete, thread_id)

    def _of_runs(self, run_ids: Sequence[str]) -> Plan[list[CheckpointKey]]:
        seen = yield from super()._of_runs(run_ids)
        keys = sorted({str(key) for key, _, _ in seen})
        yield from rows(self._queries["lock_threads"], (keys,))
        return (yield from super()._of_runs(run_ids))

    # ------------------------------------------------------------------ threads

    def _refresh(self, thread_id: str, snapshot: ReadSnapshot | SnapshotSet) -> Plan[None]:
        logs = self._logs
        if logs.is_refresh_due(snapshot.expiry):
            values = (thread_id, logs.clock(), logs.policy.default_ttl, logs.horizon)
            refresh = attempt(self._queries["read_thread"], values)
            yield from refresh_ttl_best_effort(refresh, f"thread {thread_id!r}")

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        """A page of threads: one statement."""
        return query.page((yield from self._thread_rows(query)))

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        """The next threads, each with its newest root checkpoint and what was written to it: one
        statement, or two in a transaction if values of interrupts are read.
        """
        if query.interrupts:
            return (yield from super().list_heads(query))
        return (yield from self._heads(query))

    def _thread_rows(self, query: ThreadQuery) -> Plan[list[Any]]:
        values = [*self._of_threads(query), query.limit + 1]
        return (yield from rows(self._queries["list_threads"], values))

    def _head_rows(self, query: HeadQuery) -> Plan[list[Any]]:
        values = [*self._of_threads(query), query.limit, list(query.terms), query.channel]
        found = yield from rows(self._queries["list_heads"], values)
        return [(*row[:6], parsed(row[6] or "[]"), *row[7:]) for row in found]

    def _of_threads(self, query: ThreadQuery) -> Sequence[Any]:
        """The first parameters of the statements that list threads."""
        updated_at, thread_id = query.position or (None, None)
        bounds = query.updated_before, query.updated_after
        return self._logs.horizon, query.prefix, *bounds, updated_at, thread_id

    def _load_interrupts(self, snapshot: ReadSnapshot) -> Plan[None]:
        arrays = arrays_of([], [one.place for one in snapshot.found], INTERRUPT)
        found_in(snapshot, (yield from rows(self._queries["some"], arrays)))

    def _thread_counts(self, thread: Thread) -> Plan[Sequence[int] | None]:
        return (yield from row(self._queries["thread_stats"], (thread.key,)))
