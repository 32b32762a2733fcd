"""What puts replace: counted and left by them, collected by pruning and by the sweep."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from checkpoint_base.dedup.writer import SWEPT_GARBAGE
from checkpoint_sqlite import SqliteSaver
from checkpoint_sqlite.tests.raw import unreferenced
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    checkpoint_id,
    large,
    metadata,
    new_id,
    new_versions,
    on,
    values,
    version,
    writes,
)
from conformance_tests.samples.driver_adapter import SyncFacade

LONG = 5_000


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(tmp_path / "garbage.db", synchronous="off") as one:
        one.setup()
        yield one


def lengthen(connection: sqlite3.Connection, length: int) -> None:
    """Give the only thread so many older checkpoints, each with a value of its own."""
    connection.execute(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?) "
        "INSERT INTO saver_checkpoints (thread, ns, checkpoint_id, v, versions, link_checksum, "
        "body_type, body, metadata) SELECT 1, '', printf('0-%06d', n), 4, "
        "printf('{\"old\":\"v%d\"}', n), X'00', 'msgpack', X'00', '{}' FROM n",
        (length,),
    )
    connection.execute(
        "INSERT INTO saver_values (thread, ns, channel, version, type, data) "
        "SELECT 1, '', 'old', printf('v%d', CAST(substr(checkpoint_id, 3) AS INTEGER)), "
        "'msgpack', X'00' FROM saver_checkpoints WHERE checkpoint_id LIKE '0-%'"
    )
    connection.commit()


def again(saver: SqliteSaver, chain: Chain, number: int) -> None:
    """Put a checkpoint over the newest, with a new large value under a new version."""
    versions: dict[str, Any] = {"a": version(number), "b": version(number)}
    body = checkpoint({"a": large(number), "b": number}, versions, id=checkpoint_id(chain.head))
    saver.put(on(chain.thread_id), body, metadata(), new_versions(body))


OPERATIONS: dict[str, Callable[[SqliteSaver, Chain], object]] = {
    "a put": lambda _, chain: chain.put({"a": large(3), "b": 1}),
    "a put over a checkpoint": lambda saver, chain: again(saver, chain, 3),
    "a small write over one beside a large one": lambda _, chain: chain.write(("__resume__", 2)),
    "a large write over a large one": lambda _, chain: chain.write(("__interrupt__", large(9))),
    "the same writes again": lambda _, chain: chain.write(("a", large(4)), ("b", large(5))),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_cost_of_a_put_does_not_depend_on_the_length_of_its_thread(
    tmp_path: Path, name: str
) -> None:
    """Counted in steps of SQLite's virtual machine: each row looked at is a few of them."""
    steps: dict[int, int] = {}
    for length in (10, LONG):
        path = tmp_path / f"{length}.db"
        with SqliteSaver.from_conn_string(path, synchronous="off") as saver:
            saver.setup()
            chain = Chain(SyncFacade(saver), "t")
            chain.put({"a": large(1), "b": 0})
            chain.write(("a", large(4)), ("b", large(6)))
            chain.write(("__interrupt__", large(7)), ("__resume__", 1))
            lengthen(saver.conn, length)
            count = 0

            def step() -> None:
                nonlocal count
                count += 1

            saver.conn.set_progress_handler(step, 1)
            OPERATIONS[name](saver, chain)
            saver.conn.set_progress_handler(None, 1)
            steps[length] = count
    assert steps[LONG] < 1.1 * steps[10]


def counted(saver: SqliteSaver) -> int:
    """The garbage that is counted in all threads."""
    ((garbage,),) = saver.conn.execute("SELECT sum(garbage) FROM saver_threads").fetchall()
    return int(garbage)


def segments(saver: SqliteSaver) -> int:
    """Bytes in all logs."""
    ((size,),) = saver.conn.execute("SELECT sum(length(data)) FROM saver_segments").fetchall()
    return int(size)


def test_what_a_put_over_a_checkpoint_leaves_is_counted_until_it_is_pruned(
    saver: SqliteSaver,
) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"a": large(1), "b": 0})
    once = segments(saver)
    for number in range(2, 5):
        again(saver, chain, number)
    assert 3 * once < counted(saver) < 4 * once
    assert segments(saver) > 3 * once
    saver.prune(["t"])
    assert counted(saver) == 0
    assert segments(saver) < 1.1 * once
    assert unreferenced(saver.conn) == []
    assert values(saver.get_tuple(on("t"))) == {"a": large(4), "b": 4}


def test_a_replaced_write_is_counted_and_one_beside_it_is_not(saver: SqliteSaver) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"b": 0})
    chain.write(("__interrupt__", large(1)), ("__resume__", 1))
    chain.write(("__resume__", 2))
    assert counted(saver) == 0
    chain.write(("__interrupt__", "small"))
    assert counted(saver) >= len(large(1)) - 100
    assert ("task-1", "__resume__", 2) in writes(saver.get_tuple(on("t")))


def test_the_same_value_again_is_no_garbage(saver: SqliteSaver) -> None:
    body = checkpoint({"a": large(1)}, id=new_id())
    for _ in range(2):
        saver.put(on("t"), body, metadata(), new_versions(body))
    assert counted(saver) == 0


def test_what_is_replaced_is_shared_as_long_as_it_is_there(saver: SqliteSaver) -> None:
    """A put over a checkpoint makes nothing void that the process knows of the log."""
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"a": large(1), "b": 0})
    again(saver, chain, 2)
    size = segments(saver)
    chain.put({"c": large(1), "d": large(2)})
    assert segments(saver) < size + 1000


def test_a_copy_has_the_count_of_its_source(saver: SqliteSaver) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"a": large(1), "b": 0})
    again(saver, chain, 2)
    garbage = counted(saver)
    saver.copy_thread("t", "copy")
    assert counted(saver) == 2 * garbage
    saver.delete_thread("t")
    saver.prune(["copy"])
    assert unreferenced(saver.conn) == []


def test_a_sweep_collects_the_threads_with_much_garbage(saver: SqliteSaver) -> None:
    """With a time to live or without; it counts the expired threads alone."""
    for name in ("little", "much"):
        chain = Chain(SyncFacade(saver), name)
        chain.put({"a": large(1), "b": 0})
        again(saver, chain, 2)
    saver.conn.execute(
        "UPDATE saver_threads SET garbage = ? WHERE thread_id = 'much'", (SWEPT_GARBAGE,)
    )
    saver.conn.commit()
    size = segments(saver)
    assert saver.sweep_ttl() == 0
    left = "SELECT thread_id FROM saver_threads WHERE garbage > 0"
    assert saver.conn.execute(left).fetchall() == [("little",)]
    assert segments(saver) < 0.8 * size
    assert values(saver.get_tuple(on("much"))) == {"a": large(2), "b": 2}


def test_a_sweep_finds_its_threads_by_an_index(saver: SqliteSaver) -> None:
    from checkpoint_sqlite.saver.planner import QUERIES

    plan = saver.conn.execute("EXPLAIN QUERY PLAN " + QUERIES["garbage_threads"], (1, 1)).fetchall()
    assert "saver_threads_garbage" in str(plan)
