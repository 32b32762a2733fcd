"""A COMMIT that fails: nothing of it may be remembered, and the same calls do well later."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checkpoint_sqlite import SqliteSaver
from checkpoint_sqlite.connection.sync_driver import SyncSqliteDriver
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on

VALUES = [random.Random(size).randbytes(size) for size in (40_000, 50_000, 60_000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saver.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Its COMMIT fails when anything is in `broken`, after all statements went well."""
    made = sqlite3.connect(path, check_same_thread=False)
    made.execute("PRAGMA foreign_keys = ON")
    made.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
    made.execute("CREATE TABLE broken (id REFERENCES other (id) DEFERRABLE INITIALLY DEFERRED)")
    made.commit()
    yield made
    made.close()


def begun(saver: SqliteSaver) -> Any:
    """The config of a thread with an empty log, of which the saver knows nothing."""
    stored = checkpoint({"a": "hi"})
    return saver.put(on("t"), stored, metadata(), new_versions(stored))


def put(saver: SqliteSaver, config: Any, number: int, errors: list[Exception]) -> None:
    try:
        saver.put_writes(config, [("a", VALUES[number])], f"task {number}")
    except sqlite3.IntegrityError as error:
        errors.append(error)


def read_elsewhere(path: Path, config: Any) -> list[Any]:
    with SqliteSaver.from_conn_string(path) as other:
        found = other.get_tuple(config)
        assert found is not None
        return [value for _, _, value in found.pending_writes or []]


def test_commit_of_two_tasks_fails(connection: sqlite3.Connection, path: Path) -> None:
    saver = SqliteSaver(connection)
    config = begun(saver)
    connection.execute(
        "CREATE TRIGGER spoil AFTER INSERT ON saver_writes BEGIN INSERT INTO broken VALUES (1); END"
    )
    errors: list[Exception] = []
    driver: SyncSqliteDriver = saver._driver  # type: ignore[assignment]
    threads = [threading.Thread(target=put, args=(saver, config, n, errors)) for n in range(2)]
    with driver._writer.lock:  # somebody commits just now: both go into the next transaction
        for thread in threads:
            thread.start()
        while len(driver._writer.waiting) < len(threads):
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert len(errors) == 2
    connection.execute("DROP TRIGGER spoil")
    with SqliteSaver.from_conn_string(path) as other:  # where the two would have been
        put(other, config, 2, errors)
    for number in range(2):
        put(saver, config, number, errors)
    assert len(errors) == 2
    assert read_elsewhere(path, config) == VALUES
