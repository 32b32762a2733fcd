"""Copies a thread page by page: stores the rows that are missing, then compares all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from checkpoint_base.dedup.writer import EncodedValues
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.records.kinds import CheckpointRecord, Typed, ValueRecord, WriteRecord
from checkpoint_base.saver.records.snapshot import ReadSnapshot
from checkpoint_base.sql.logs import Thread
from checkpoint_base.sql.requests import execute, execute_many, row, rows
from checkpoint_base.sql.rows import (
    ThreadRows,
    checked_value,
    checked_write,
    checkpoint_columns,
)
from checkpoint_postgres.migrate_from_langgraph.source import (
    Name,
    RowConflict,
    SourceReader,
    Spot,
    columns_of,
    page_of,
)
from checkpoint_postgres.saver.reading import arrays_of, found_in
from checkpoint_postgres.saver.segments import PostgresDedupWriter, columns

_FIRST: Spot = ("", "")


@dataclass
class Task:
    """A thread that is being copied.

    Attributes:
        thread_id: the thread.
        state: fingerprint of the original when its copy began.
        after: the last checkpoint that is copied.
        unchanged: the thread was copied before, and the original has not changed since.
        compare_only: this saver has the thread, but not from `adopt`: add nothing, only compare.
        clash: why the thread cannot be copied at all; None: it can.
    """

    thread_id: str
    state: str
    after: Spot = _FIRST
    unchanged: bool = False
    compare_only: bool = False
    clash: str | None = None


class StoredPage(NamedTuple):
    """What the transaction of a page has added."""

    prepared: EncodedValues
    checkpoints: int
    writes: int


class Adopting:
    """Plans that copy a thread, each of which runs in a transaction."""

    def __init__(self, logs: PostgresDedupWriter, queries: Mapping[str, str], codec: Codec) -> None:
        self._logs = logs
        self._queries = queries
        self._codec = codec

    def begin(self, thread_id: str) -> Plan[Task]:
        """Look up how far earlier calls have copied a thread."""
        ((state,),) = yield from rows(self._queries["state"], (thread_id,))
        task = Task(thread_id, state)
        if state.startswith("0:"):
            task.clash = "there is no such thread in LangGraph's own tables"
            return task
        noted = yield from row(self._queries["adopted"], (thread_id,))
        if noted and noted[:2] == (state, None):
            task.unchanged = True
            return task
        there = yield from row(self._logs.queries["seen_thread"], (thread_id,))
        if there and not self._logs.is_expired(Thread(*there).expires_at):
            if own := (yield from row(self._queries["own"], (thread_id,))):
                task.clash = f"it is there already, with {own[0]}, which its original does not have"
            task.compare_only = noted is None
            if noted and noted[0] == state:
                task.after = noted[1:]
        return task

    def read(self, task: Task) -> Plan[SourceReader]:
        """The next page of the original."""
        return (yield from page_of(self._queries, self._codec, task.thread_id, task.after))

    def committed(self, task: Task, stored: StoredPage) -> None:
        """Update the chunk index after the transaction of `store` has committed."""
        self._logs.committed(task.thread_id, stored.prepared)

    def store(self, task: Task, page: SourceReader) -> Plan[StoredPage]:
        """Store the page's missing rows, read the page back, and compare it with the original.

        Raises:
            RowConflict: this saver has a row that differs from the original.
        """
        thread = yield from self._logs.open(task.thread_id, None)
        if task.compare_only:
            stored = StoredPage(EncodedValues([], None, salt=thread.salt), 0, 0)
        else:
            stored = yield from self._add(thread, page)
        yield from self._compare(thread, page)
        if page.last is None or not task.compare_only:
            noted = (task.thread_id, task.state, *(page.last or (None, None)))
            yield from execute(self._queries["note_adopted"], noted)
        return stored

    def _add(self, thread: Thread, page: SourceReader) -> Plan[StoredPage]:
        values = yield from self._new_values(thread, page)
        writes = yield from self._new_writes(thread, page)
        sealed = [
            ValueRecord(channel, version, self._codec.seal(value))
            for (_, channel, version), value in values.items()
        ]
        written = [write._replace(value=self._codec.seal(write.value)) for _, write in writes]
        prepared = yield from self._logs.append(thread.key, thread, None, [*sealed, *written])
        in_order = iter(prepared.stored)
        salt, stored = thread.salt, list[Any]()
        for (ns, _, _), record, one in zip(values, sealed, in_order, strict=False):
            stored.append(columns(checked_value(salt, ns, record, one)))
        for (spot, write), one in zip(writes, in_order, strict=True):
            stored.append(columns(checked_write(salt, *spot, write, one)))
        statements = self._logs.queries
        yield from execute_many(
            statements["insert_value"],
            [(*one, thread.key, *name) for name, one in zip(values, stored, strict=False)],
        )
        of_writes = zip(writes, stored[len(values) :], strict=True)
        yield from execute_many(
            statements["insert_write"],
            [
                (thread.key, *spot, one.task_id, one.idx, one.task_path, one.channel, *kept)
                for (spot, one), kept in of_writes
            ],
        )
        count = yield from execute_many(
            statements["insert_checkpoint"],
            [
                (*checkpoint_columns(salt, *original), thread.key, *spot)
                for spot, original in page.checkpoints.items()
            ],
        )
        yield from self._logs.touch(thread, prepared.end(thread.log_end))
        return StoredPage(prepared, count, len(writes))

    def _new_values(self, thread: Thread, page: SourceReader) -> Plan[dict[Name, Typed]]:
        keys = (thread.key, *columns_of(page.values, 3))
        there = set((yield from rows(self._queries["present_values"], keys)))
        return {name: value for name, value in page.values.items() if name not in there}

    def _new_writes(
        self, thread: Thread, page: SourceReader
    ) -> Plan[list[tuple[Spot, WriteRecord]]]:
        keys = (thread.key, *columns_of(page.spots, 2))
        there = set((yield from rows(self._queries["present_writes"], keys)))
        return [
            (spot, one)
            for spot, some in page.writes.items()
            for one in some
            if (*spot, one.task_id, one.idx) not in there
        ]

    # ------------------------------------------------------------------ comparing

    def _compare(self, thread: Thread, page: SourceReader) -> Plan[None]:
        """Read the page as `get_tuple` and `list` do, and compare it with the original."""
        places = (thread.key, *columns_of(page.spots, 2))
        found = yield from rows(self._queries["stored_checkpoints"], places)
        checked = ThreadRows(thread.key, thread.salt)
        records = {one[:2]: checked.checkpoint(one) for one in found}
        snapshot = ReadSnapshot([])
        keys = [(thread.key, *name) for name in page.values.keys() | page.absent]
        arrays = arrays_of(keys, [(thread.key, *spot) for spot in page.spots])
        parts = yield from rows(self._logs.queries["some"], arrays)
        found_in(snapshot, parts, {thread.key: checked})
        for spot in page.spots:
            self._compare_checkpoint(spot, page, records.get(spot))
            self._compare_writes(spot, page, snapshot.writes_of((thread.key, *spot), thread.key))
        got = {
            (ns, *name): self._codec.unseal(
                snapshot.value(thread.key, stored, "thread", thread.key, "channel", name[0])
            )
            for (_, ns), named in snapshot.values.items()
            for name, stored in named.items()
        }
        for (ns, _), record in records.items():
            for channel, value in record.small.values().items():
                got[ns, channel, record.versions[channel]] = self._codec.unseal(value)
        for name in page.values.keys() | page.absent:
            if got.get(name) != page.values.get(name) or (name in got and name in page.absent):
                raise RowConflict(
                    f"channel {name[1]!r} has another value here at version {name[2]!r}"
                )

    def _compare_checkpoint(
        self, spot: Spot, page: SourceReader, got: CheckpointRecord | None
    ) -> None:
        original = page.checkpoints.get(spot)
        wanted = None if original is None else original.record
        if wanted is None or got is None:
            if wanted is not got:
                raise RowConflict(f"checkpoint {spot[1]!r} is only in one of the two places")
        elif self._told(wanted) != self._told(got):
            raise RowConflict(f"checkpoint {spot[1]!r} is another one here")

    def _told(self, record: CheckpointRecord) -> tuple[Any, ...]:
        """The parts of a checkpoint that a reader sees, without its values."""
        codec = self._codec
        metadata = codec.metadata_of(record)
        body = codec.load(record.body, "thread", record.thread_id)
        return (record.checkpoint_id, record.parent_id, record.versions, body, metadata)

    def _compare_writes(self, spot: Spot, page: SourceReader, got: list[WriteRecord]) -> None:
        def told(writes: list[WriteRecord]) -> dict[Any, Any]:
            return {
                (one.task_path, one.task_id, one.idx): (one.channel, self._codec.unseal(one.value))
                for one in writes
            }

        if told(page.writes.get(spot, [])) != told(got):
            raise RowConflict(f"checkpoint {spot[1]!r} has other pending writes here")
