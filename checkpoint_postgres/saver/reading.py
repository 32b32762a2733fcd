"""Reads checkpoints with their values, writes and segments from the rows of one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from checkpoint_base.saver.pagination import prefilter_terms
from checkpoint_base.saver.planner import Listing
from checkpoint_base.saver.records.snapshot import (
    CheckpointKey,
    CheckpointRow,
    ReadSnapshot,
    ThreadKey,
)
from checkpoint_base.sql.requests import Row
from checkpoint_base.sql.rows import ThreadRows, add_value, add_write, checked_threads


def found_in(
    snapshot: ReadSnapshot,
    rows: Sequence[Row],
    threads: Mapping[ThreadKey, ThreadRows] | None = None,
) -> list[CheckpointRow]:
    """Check the rows of the statements `whole` or `some` and add them to a snapshot.

    Args:
        snapshot: gets values, writes and segments.
        rows: of one statement.
        threads: the rows' threads, needed if neither rows nor snapshot have checkpoints.

    Returns:
        The checkpoints among the rows.

    Raises:
        CorruptValueError: a row was damaged, or was moved to another key.
    """
    found = [_found(row) for row in rows if row[0] == 0]
    threads = threads or checked_threads(found or snapshot.found)
    for kind, thread, ns, a, b, c, d, n, _, _, _, data_type, data, _, more, *_ in rows:
        if kind == 1:
            add_value(snapshot, threads, (thread, ns, a, b, data_type, data, more))
        elif kind == 2:
            add_write(snapshot, threads, (thread, ns, a, b, c, n, d, data_type, data, more))
        elif kind == 3:
            snapshot.add_segment(thread, n, threads[thread].digests(n, more), data)
    return found


def _found(row: Row) -> CheckpointRow:
    _, thread, ns, checkpoint_id, parent_id, versions, metadata, epoch, log_end, *rest = row
    v, expires_at, body_type, body, sealed_type, sealed, salt, small, ttl = rest
    place = ns, checkpoint_id, parent_id
    columns = (*place, v, versions, body_type, body, metadata, sealed_type, sealed, small)
    record = ThreadRows(thread, salt).checkpoint(columns)
    position = checkpoint_id, thread, ns
    return CheckpointRow(record, thread, epoch, log_end, expires_at, position, salt, ttl)


def arrays_of(
    keys: Sequence[tuple[ThreadKey, str, str, str]],
    places: Sequence[CheckpointKey],
    channel: str | None = None,
) -> list[Any]:
    """The parameters of the statement `some`: the keys of values, and the checkpoints whose writes
    to `channel` (None: to all channels) are read.
    """
    return [
        *([key[column] for key in keys] for column in range(4)),
        *([place[column] for place in places] for column in range(3)),
        channel,
    ]


def candidates(
    form: str, queries: Mapping[str, str], listing: Listing, horizon: float, count: int
) -> tuple[str, list[Any]]:
    """The statement, and its values, for the next `count` checkpoints that may match a listing.

    Args:
        form: the statement around the SELECT of checkpoints, whose slot is `{found}`.
        queries: named statements.
        listing: the conditions.
        horizon: epoch seconds; threads that expire until then count as absent.
        count: how many checkpoints.
    """
    conditions: list[str] = []
    values: list[Any] = []

    def where(condition: str, *some: Any) -> None:
        marks = [f"${len(values) + n}" for n in range(1, len(some) + 1)]
        conditions.append(condition.format(*marks))
        values.extend(some)

    where("(t.expires_at IS NULL OR t.expires_at > {}::double precision)", horizon)
    for condition, value in (
        ("t.thread_id = {}::text", listing.thread_id),
        ("c.ns = {}::text", listing.ns),
        ("c.checkpoint_id = {}::text", listing.checkpoint_id),
        ("c.checkpoint_id < {}::text", listing.before),
    ):
        if value is not None:
            where(condition, value)
    # Always true. Without statistics, Postgres estimates ten rows for a thread, and sorts all its
    # rows. Two more conditions lower the estimate to a row or two: it reads in the index's order.
    where("c.checkpoint_id >= '' AND c.ns >= ''")
    everywhere = listing.thread_id is None
    # the primary key has this order for one thread; another index has it for all threads
    order = ("(c.checkpoint_id || '')", "c.thread_id") if everywhere else ("c.checkpoint_id",)
    if listing.position is not None:
        checkpoint_id, thread_id, ns = listing.position
        last = (checkpoint_id, thread_id, ns) if everywhere else (checkpoint_id, ns)
        marks = ", ".join(["{}::text"] * len(last))
        where(f"({', '.join((*order, 'c.ns'))}) < ({marks})", *last)
    for fragment in prefilter_terms(listing.filter):
        where("(c.sealed IS NOT NULL OR strpos(c.metadata, {}::text) > 0)", fragment)
    sql = (
        f"SELECT {queries['columns']} FROM {queries['tables']} "  # noqa: S608 (constants)
        f"WHERE {' AND '.join(conditions)} "
        f"ORDER BY {', '.join(f'{name} DESC' for name in (*order, 'c.ns'))} LIMIT {int(count)}"
    )
    return form.replace("{found}", sql, 1), values
