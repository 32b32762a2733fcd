"""Fills a database with LangGraph's own Postgres saver, in all the ways that its threads come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver as OriginalSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Send

from checkpoint_base.tests import threads
from conformance_tests.samples.build import Chain, large, on
from conformance_tests.samples.driver_adapter import SyncFacade


@contextmanager
def original_saver(url: str) -> Iterator[OriginalSaver]:
    """LangGraph's own saver, set up."""
    with OriginalSaver.from_conn_string(url) as saver:
        saver.setup()
        yield saver


def fill(saver: OriginalSaver) -> list[str]:
    """Threads of all kinds; returns their ids."""
    thread_ids = threads.fill(saver)
    before_v4(saver, "before v4")
    early = on("early", "", "1f000000-0000-6000-8000-000000000000")
    Chain(SyncFacade(saver), "early").put({"a": 1})
    saver.put_writes(early, [("a", large(2))], "task")
    return [*thread_ids, "before v4", "early"]


def before_v4(saver: OriginalSaver, thread_id: str) -> None:
    """Rows as version 2 of the package wrote them: every value is a blob, sends are writes."""
    serde = JsonPlusSerializer()
    version = "00000000000000000000000000000002.0.5"
    ids = [f"1ef4f797-8335-6428-800{n}-8a1503f9b875" for n in range(3)]
    assert isinstance(saver.conn, psycopg.Connection)
    with psycopg.connect(saver.conn.info.dsn, autocommit=True) as connection:
        for n, checkpoint_id in enumerate(ids):
            body = {
                "v": 3,
                "ts": "2024-05-04T06:32:42.235444+00:00",
                "id": checkpoint_id,
                "channel_versions": {"text": version, "gone": version},
                "versions_seen": {"node": {"text": version}},
                "pending_sends": [],
            }
            told = {
                "source": "loop",
                "step": n,
                "writes": {"node": {"text": "a"}},
                "thread_id": "x",
            }
            connection.execute(
                "INSERT INTO checkpoints (thread_id, checkpoint_id, parent_checkpoint_id, type, "
                "checkpoint, metadata) VALUES (%s, %s, %s, NULL, %s, %s)",
                (thread_id, checkpoint_id, ids[n - 1] if n else "", *map(json.dumps, (body, told))),
            )
        for channel, row in {"text": serde.dumps_typed("plain"), "gone": ("empty", None)}.items():
            connection.execute(
                "INSERT INTO checkpoint_blobs VALUES (%s, '', %s, %s, %s, %s)",
                (thread_id, channel, version, *row),
            )
        for n, task in enumerate("ba"):
            sent = serde.dumps_typed(Send("node", {"n": n}))
            connection.execute(
                "INSERT INTO checkpoint_writes "
                "VALUES (%s, '', %s, %s, %s, '__pregel_tasks', %s, %s)",
                (thread_id, ids[1], f"task {task}", n, *sent),
            )
