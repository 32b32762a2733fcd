"""Reads checkpoints with their values, writes and segments, with few statements for many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from langgraph.checkpoint.serde.types import INTERRUPT

from checkpoint_base.dedup.index import ChunkIndexCache
from checkpoint_base.plan import Plan, in_callers_transaction
from checkpoint_base.saver.records.kinds import WriteRecord
from checkpoint_base.saver.records.snapshot import (
    CheckpointKey,
    CheckpointRow,
    ReadSnapshot,
    ThreadKey,
)
from checkpoint_base.sql.requests import Row, rows
from checkpoint_base.sql.rows import ThreadRows, add_value, add_write, checked_threads
from checkpoint_sqlite.saver.segments import LOG_BITS

_RECORD: Final = (
    "c.ns, c.checkpoint_id, c.parent_id, c.v, c.versions, c.body_type, c.body, c.metadata, "
    "c.sealed_type, c.sealed, c.small"
)
COLUMNS: Final = (
    f"t.thread_id, t.no, t.epoch, t.log_end, t.expires_at, t.ttl_override, t.salt, c.id, {_RECORD}"
)
"""Columns of saver_threads AS t and saver_checkpoints AS c, in the order that `found_of` reads."""

_VALUES: Final = (
    "SELECT v.thread, v.ns, v.channel, v.version, v.type, v.data, v.layout FROM want "
    "CROSS JOIN saver_values AS v ON v.thread = want.a AND v.ns = want.b "
    "AND v.channel = want.c AND v.version = want.d"
)
_SEGMENTS: Final = (
    "SELECT s.id, s.digests, CAST(s.data AS BLOB) FROM want "
    "CROSS JOIN saver_segments AS s ON s.id >= want.a AND s.id < want.b"
)
_WRITES: Final = (
    "SELECT w.thread, w.ns, w.checkpoint_id, w.task_id, w.task_path, w.idx, w.channel, w.type, "
    "w.data, w.layout FROM want CROSS JOIN saver_writes AS w ON w.thread = want.a "
    "AND w.ns = want.b AND w.checkpoint_id = want.c"
)
_INTERRUPTS: Final = f"{_WRITES} AND w.channel = ?"
_WHOLE: Final = (
    f"SELECT {COLUMNS}, w.task_id, w.task_path, w.idx, w.channel, w.type, w.data, w.layout "  # noqa: S608
    "FROM saver_threads AS t CROSS JOIN saver_checkpoints AS c LEFT JOIN saver_writes AS w "
    "ON w.thread = c.thread AND w.ns = c.ns AND w.checkpoint_id = c.checkpoint_id "
    "WHERE t.thread_id = ? AND (t.expires_at IS NULL OR t.expires_at > ?) AND c.thread = t.no "
)
_NEWEST_ID: Final = (
    "SELECT n.id FROM saver_checkpoints AS n WHERE n.thread = t.no AND n.ns = ? "
    "ORDER BY n.checkpoint_id DESC LIMIT 1"
)
_WIDTH: Final = COLUMNS.count(",") + 1
NEWEST_WHOLE: Final = f"{_WHOLE} AND c.id = ({_NEWEST_ID})"
ONE_WHOLE: Final = f"{_WHOLE} AND c.ns = ? AND c.checkpoint_id = ?"
"""A checkpoint joined with its writes, a row for each (at least one). `whole` reads the rows."""

_OF_HEAD: Final = (
    "FROM saver_writes AS w "
    "WHERE w.thread = c.thread AND w.ns = c.ns AND w.checkpoint_id = c.checkpoint_id"
)
_HEADS: Final = (
    "SELECT t.thread_id, t.created_at, t.updated_at, t.expires_at, t.no, t.salt, "  # noqa: S608
    f"(SELECT json_group_array(json_array(w.task_id, w.channel)) {_OF_HEAD}), {_RECORD} "
    "FROM ({}) AS t LEFT JOIN saver_checkpoints AS c "
    f"ON c.id = ({_NEWEST_ID}) "
)

BATCH: Final = 400
"""Maximum of rows of VALUES in one statement."""


def found_of(row: Row) -> CheckpointRow:
    """The checkpoint in a row of COLUMNS.

    Raises:
        CorruptValueError: the row's checksum is wrong.
    """
    thread_id, no, epoch, log_end, expires_at, ttl, salt, row_id = row[:8]
    record = ThreadRows(thread_id, salt).checkpoint(row[8:_WIDTH])
    position = record.checkpoint_id, row_id
    return CheckpointRow(record, no, epoch, log_end, expires_at, position, salt, ttl)


Whole = tuple[CheckpointRow, list[WriteRecord]]
"""A checkpoint whose values are all embedded, with its writes."""


def whole(rows: Sequence[Row]) -> Whole | tuple[()] | None:
    """A checkpoint from its rows. (): it does not exist. None: other rows are needed, namely values
    that are not embedded, segments, or the parent's writes.
    """
    if not rows:
        return ()
    found = found_of(rows[0])
    record = found.record
    if record.v < 4 and record.parent_id is not None:
        return None
    if len(record.small.names) + len(record.valueless) < len(record.versions):
        return None
    if rows[0][_WIDTH] is None:
        return found, []
    checked = ThreadRows(record.thread_id, found.salt)
    writes = []
    for row in rows:
        write = task_id, path, idx, channel, kind, _, layout = row[_WIDTH:]
        if layout is not None:
            return None
        data = checked.write(record.ns, record.checkpoint_id, write)
        writes.append(WriteRecord(task_id, path, idx, channel, (kind, data)))
    return found, writes


def heads(
    threads: str, values: Sequence[Any], terms: Sequence[str], channel: str | None
) -> tuple[str, list[Any]]:
    """The statement, and its values, that reads threads with their newest root checkpoints.

    Args:
        threads: the statement that selects the threads.
        values: its values.
        terms: as in `HeadQuery`.
        channel: as in `HeadQuery`.
    """
    sql, values = _HEADS.format(threads), [*values, ""]
    for term in terms:
        sql += "AND (c.sealed IS NOT NULL OR instr(c.metadata, ?)) "
        values.append(term)
    if channel is not None:
        sql += f"AND EXISTS (SELECT 1 {_OF_HEAD} AND w.channel = ?)"
        values.append(channel)
    return sql, values


def wanted(
    sql: str, wants: Sequence[tuple[Any, ...]], values: Sequence[Any] = ()
) -> Plan[list[Row]]:
    """The rows of `sql`, which joins the table want (a, b, …): one statement for each BATCH keys.

    Args:
        sql: the statement.
        wants: the rows of the table want.
        values: of the statement's own parameters.
    """
    found: list[Row] = []
    for at in range(0, len(wants), BATCH):
        some = wants[at : at + BATCH]
        whole = _with_wants(sql, len(some), len(some[0]))
        found += yield from rows(whole, [*(value for want in some for value in want), *values])
    return found


@lru_cache(512)
def _with_wants(sql: str, count: int, width: int) -> str:
    marks = ", ".join(["(" + ", ".join("?" * width) + ")"] * count)
    return f"WITH want ({', '.join('abcd'[:width])}) AS (VALUES {marks}) {sql}"


def load(found: list[CheckpointRow], known: ChunkIndexCache) -> Plan[ReadSnapshot]:
    """Fetch the values, writes and segments of checkpoints: three statements, or two without
    segments; more for more than BATCH keys.
    """
    snapshot = ReadSnapshot(found)
    yield from load_parts(snapshot, snapshot.keys(), snapshot.places(), known)
    return snapshot


def load_parts(
    snapshot: ReadSnapshot,
    keys: Sequence[tuple[ThreadKey, str, str, str]],
    places: Sequence[CheckpointKey],
    known: ChunkIndexCache,
) -> Plan[None]:
    """Fetch the values `keys`, the writes of the checkpoints `places`, and the segments of both.

    Chunks are cached, unless the caller may roll back the transaction.
    """
    threads = checked_threads(snapshot.found)
    for row in (yield from wanted(_VALUES, keys)):
        add_value(snapshot, threads, row)
    for row in (yield from wanted(_WRITES, places)):
        add_write(snapshot, threads, row)
    yield from _load_segments(snapshot)
    if not (yield from in_callers_transaction()):
        snapshot.teach(known)


def load_interrupts(snapshot: ReadSnapshot) -> Plan[None]:
    """Fetch the writes to INTERRUPT of the snapshot's checkpoints, and their segments."""
    threads = checked_threads(snapshot.found)
    places = [one.place for one in snapshot.found]
    for row in (yield from wanted(_INTERRUPTS, places, (INTERRUPT,))):
        add_write(snapshot, threads, row)
    yield from _load_segments(snapshot)


def _load_segments(snapshot: ReadSnapshot) -> Plan[None]:
    threads = checked_threads(snapshot.found)
    wants = [
        ((int(no) << LOG_BITS) + start, (int(no) << LOG_BITS) + end)
        for no, start, end in snapshot.ranges()
    ]
    for number, digests, data in (yield from wanted(_SEGMENTS, wants)):
        no, start = number >> LOG_BITS, number & ((1 << LOG_BITS) - 1)
        snapshot.add_segment(no, start, threads[no].digests(start, digests), data)
