"""Looking at the file behind the saver's back."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from checkpoint_base.dedup.segments import spans_of
from checkpoint_sqlite.saver.segments import LOG_BITS


def unreferenced(connection: sqlite3.Connection) -> list[str]:
    """Every row that nothing refers to, unless its thread counts garbage, and everything that is
    referred to but not there.
    """

    def query(sql: str) -> list[Any]:
        return connection.execute(sql).fetchall()

    numbers = {no for (no,) in query("SELECT no FROM saver_threads")}
    counting = {no for (no,) in query("SELECT no FROM saver_threads WHERE garbage > 0")}
    live = {
        (no, ns, *entry)
        for no, ns, versions in query("SELECT thread, ns, versions FROM saver_checkpoints")
        for entry in json.loads(versions).items()
    }
    wrong = []
    layouts = []
    for no, ns, channel, version, layout in query(
        "SELECT thread, ns, channel, version, layout FROM saver_values"
    ):
        if (no, ns, channel, version) not in live and no not in counting:
            wrong.append(f"value {channel} {version} of thread {no}")
        layouts.append((no, layout))
    layouts += query("SELECT thread, layout FROM saver_writes")
    for table in ("checkpoints", "values", "writes"):
        owners = {no for (no,) in query(f"SELECT thread FROM saver_{table}")}
        wrong += [f"saver_{table} of no thread: {no}" for no in owners - numbers]
    needed = [
        ((no << LOG_BITS) + span.start + span.offset, (no << LOG_BITS) + span.end)
        for no, layout in layouts
        if layout is not None
        for span in spans_of(layout)
    ]
    covered = 0
    for number, size in query("SELECT id, length(data) FROM saver_segments"):
        pieces = [(max(a, number), min(b, number + size)) for a, b in needed]
        used = [(a, b) for a, b in pieces if a < b]
        covered += sum(b - a for a, b in used)
        if not used and number >> LOG_BITS not in counting:
            wrong.append(f"segment {number}")
    if covered != sum(b - a for a, b in needed):
        wrong.append("a span reaches into segments that are not there")
    return wrong
