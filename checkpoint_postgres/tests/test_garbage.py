"""What puts replace: counted and left by them, collected by pruning and by the sweep."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from checkpoint_base.dedup.writer import SWEPT_GARBAGE
from checkpoint_postgres import PostgresSaver
from checkpoint_postgres.saver.statements import statements
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    checkpoint_id,
    large,
    metadata,
    new_versions,
    on,
    values,
    version,
)
from conformance_tests.samples.driver_adapter import SyncFacade

LONG = 5_000


def lengthen(connection: psycopg.Connection[Any], length: int) -> None:
    """Give the thread so many older checkpoints, each with a value of its own."""
    for table in ("checkpoints", "values"):
        connection.execute(f"ALTER TABLE saver_{table} SET (autovacuum_enabled = off)".encode())
    connection.execute(
        "INSERT INTO saver_checkpoints (thread_id, ns, checkpoint_id, v, versions, "
        "link_checksum, body_type, body, metadata) SELECT 't', '', '0-' || n, 4, "
        "'{\"old\":\"v' || n || '\"}', '', 'msgpack', '', '{}' FROM generate_series(1, %s) AS n",
        (length,),
    )
    connection.execute(
        "INSERT INTO saver_values (thread_id, ns, channel, version, type, data) "
        "SELECT 't', '', 'old', 'v' || n, 'msgpack', '' FROM generate_series(1, %s) AS n",
        (length,),
    )
    connection.execute("ANALYZE")


def again(saver: PostgresSaver, chain: Chain, number: int) -> None:
    """Put a checkpoint over the newest, with a new large value under a new version."""
    versions: dict[str, Any] = {"a": version(number), "b": version(number)}
    body = checkpoint({"a": large(number), "b": number}, versions, id=checkpoint_id(chain.head))
    saver.put(on(chain.thread_id), body, metadata(), new_versions(body))


OPERATIONS: dict[str, Callable[[PostgresSaver, Chain], object]] = {
    "a put": lambda _, chain: chain.put({"a": large(3), "b": 1}),
    "a put over a checkpoint": lambda saver, chain: again(saver, chain, 3),
    "a small write over one beside a large one": lambda _, chain: chain.write(("__resume__", 2)),
    "a large write over a large one": lambda _, chain: chain.write(("__interrupt__", large(9))),
    "the same writes again": lambda _, chain: chain.write(("a", large(4)), ("b", large(5))),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_cost_of_a_put_does_not_depend_on_the_length_of_its_thread(
    database: PostgresHarness, name: str
) -> None:
    """Counted in rows that the server looked at, by index or by reading a whole table."""
    looked_at = (
        "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) "
        "FROM pg_stat_xact_user_tables"
    )
    counts: dict[int, int] = {}
    with psycopg.connect(database.url, autocommit=True) as connection:
        saver = PostgresSaver(connection)
        saver.setup()
        chain = Chain(SyncFacade(saver), "t")
        chain.put({"a": large(1), "b": 0})
        chain.write(("a", large(4)), ("b", large(6)))
        chain.write(("__interrupt__", large(7)), ("__resume__", 1))
        for length in (10, LONG):
            lengthen(connection, length)
            with connection.transaction(force_rollback=True):
                ((before,),) = connection.execute(looked_at).fetchall()
                OPERATIONS[name](saver, chain.fork())
                ((after,),) = connection.execute(looked_at).fetchall()
                counts[length] = after - before
            connection.execute("DELETE FROM saver_checkpoints WHERE checkpoint_id LIKE '0-%'")
            connection.execute("DELETE FROM saver_values WHERE channel = 'old'")
            saver.get_tuple(on("t"))  # what it knew was rolled back
    assert counts[LONG] <= counts[10] + 10


def counted(database: PostgresHarness) -> int:
    """The garbage that is counted in all threads."""
    return int(database.query("SELECT sum(garbage) FROM saver_threads")[0][0])


def segments(database: PostgresHarness) -> int:
    """Bytes in all logs."""
    return int(database.query("SELECT sum(length(data)) FROM saver_segments")[0][0])


def test_what_a_put_over_a_checkpoint_leaves_is_counted_until_it_is_pruned(
    database: PostgresHarness,
) -> None:
    with PostgresSaver.from_conn_string(database.url) as saver:
        saver.setup()
        chain = Chain(SyncFacade(saver), "t")
        chain.put({"a": large(1), "b": 0})
        once = segments(database)
        for number in range(2, 5):
            again(saver, chain, number)
        assert 3 * once < counted(database) < 4 * once
        assert segments(database) > 3 * once
        saver.prune(["t"])
        assert counted(database) == 0
        assert segments(database) < 1.1 * once
        assert values(saver.get_tuple(on("t"))) == {"a": large(4), "b": 4}


def test_a_replaced_write_is_counted_and_one_beside_it_is_not(database: PostgresHarness) -> None:
    with PostgresSaver.from_conn_string(database.url) as saver:
        saver.setup()
        chain = Chain(SyncFacade(saver), "t")
        chain.put({"b": 0})
        chain.write(("__interrupt__", large(1)), ("__resume__", 1))
        chain.write(("__resume__", 2))
        chain.write(("__interrupt__", large(1)))  # shares all of what it replaces
        assert counted(database) == 0
        chain.write(("__interrupt__", "small"))
        assert counted(database) >= len(large(1)) - 100


def test_a_copy_has_the_count_of_its_source(database: PostgresHarness) -> None:
    with PostgresSaver.from_conn_string(database.url) as saver:
        saver.setup()
        chain = Chain(SyncFacade(saver), "t")
        chain.put({"a": large(1), "b": 0})
        again(saver, chain, 2)
        garbage = counted(database)
        saver.copy_thread("t", "copy")
        assert counted(database) == 2 * garbage
        saver.prune(["t", "copy"])
        assert counted(database) == 0


def test_a_sweep_collects_the_threads_with_much_garbage(database: PostgresHarness) -> None:
    """With a time to live or without; it counts the expired threads alone."""
    with PostgresSaver.from_conn_string(database.url) as saver:
        saver.setup()
        for name in ("little", "much"):
            chain = Chain(SyncFacade(saver), name)
            chain.put({"a": large(1), "b": 0})
            again(saver, chain, 2)
        much = f"UPDATE saver_threads SET garbage = {SWEPT_GARBAGE} WHERE thread_id = 'much'"
        database.query(much + " RETURNING 1")
        size = segments(database)
        assert saver.sweep_ttl() == 0
        left = "SELECT thread_id FROM saver_threads WHERE garbage > 0"
        assert database.query(left) == [("little",)]
        assert segments(database) < 0.8 * size
        assert values(saver.get_tuple(on("much"))) == {"a": large(2), "b": 2}


def test_a_sweep_finds_its_threads_by_an_index(database: PostgresHarness) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        PostgresSaver(connection).setup()
        cursor = psycopg.RawCursor(connection)
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        sql = statements("public")["garbage_threads"]
        cursor.execute(f"PREPARE sweep (bigint, bigint) AS {sql}".encode())
        cursor.execute("EXPLAIN EXECUTE sweep (1, 1)")
        assert "saver_threads_garbage" in str(cursor.fetchall())


def test_writers_that_store_the_same_at_one_moment_count_what_they_appended(
    database: PostgresHarness,
) -> None:
    """The second writer looked before it had the lock, and appended what is there by then."""
    with PostgresSaver.from_conn_string(database.url) as saver:
        saver.setup()
        chain = Chain(SyncFacade(saver), "t")
        chain.put({"b": 0})
        with (
            PostgresSaver.from_conn_string(database.url) as other,
            psycopg.connect(database.url, autocommit=True) as connection,
            ThreadPoolExecutor(1) as pool,
        ):
            other.get_tuple(chain.head)
            with connection.transaction():
                first = PostgresSaver(connection)
                first.put_writes(chain.head, [("a", "small")], "task")
                waiting = pool.submit(other.put_writes, chain.head, [("a", large(1))], "task")
                while not database.query("SELECT 1 FROM pg_locks WHERE NOT granted"):
                    assert not waiting.done()
            waiting.result()
        assert counted(database) >= len(large(1)) - 100
        saver.prune(["t"])
        assert counted(database) == 0
