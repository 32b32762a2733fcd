"""What a put takes for granted: looked for in its one statement, and stored if it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from checkpoint_base.plan import Plan, run
from checkpoint_base.sql.requests import ExecuteMany, Query
from checkpoint_postgres.connection.requests import ConditionalWrite
from checkpoint_postgres.tests.harness import PostgresHarness
from checkpoint_postgres.tests.test_planner import ONE, Counting
from conformance_tests.samples.build import Chain, large, values
from conformance_tests.samples.driver_adapter import SyncFacade

TRIED_AGAIN = {"statements": 1, "transactions": 1}


def put(counting: Counting, step: int, **new: Any) -> None:
    """A checkpoint of two channels, `kept` as it was at first."""
    state = {"kept": "kept" + large(), **new}
    checkpoint: Any = {
        "v": 4,
        "id": f"{step:08}",
        "ts": "",
        "channel_values": state,
        "channel_versions": {**dict.fromkeys(new, step), "kept": 1},
        "versions_seen": {},
    }
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_id": f"{step - 1:08}"}}
    changed: Any = dict.fromkeys(state if step == 1 else new, step)
    counting.run(counting.planner.put(counting.codec, config, checkpoint, {"step": step}, changed))


@pytest.fixture
def connection(database: PostgresHarness) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.url, autocommit=True) as one:
        yield one


def test_a_put_that_takes_values_for_granted_is_one_statement(
    connection: psycopg.Connection[Any],
) -> None:
    counting = Counting(connection)
    for step in range(1, 6):
        put(counting, step, a=step, b=large(step) if step % 2 else "small")
        assert counting.counts == ONE, step
    cold = Counting(connection)  # as a new process, which does not know the thread's salt
    put(cold, 6, a=6)
    assert cold.counts == {"statements": 2}  # the parent is read first
    put(cold, 7, a=7)
    assert cold.counts == ONE
    reader = Counting(connection)  # as a graph does, which reads its thread first
    config: Any = {"configurable": {"thread_id": "t"}}
    reader.run(reader.planner.get_tuple(reader.codec, config))
    put(reader, 8, a=8)
    assert reader.counts == ONE


def test_only_a_put_whose_values_are_gone_takes_more(
    connection: psycopg.Connection[Any],
) -> None:
    counting, other = Counting(connection), Counting(connection)
    put(counting, 1, a=1)
    other.run(other.planner.delete_thread("t"))
    put(counting, 2, a=2)
    assert counting.counts == TRIED_AGAIN
    put(counting, 3, a=3)
    assert counting.counts == ONE
    other.run(other.planner.prune(other.codec, ["t"], "keep_latest"))
    put(counting, 4, a=4)
    assert counting.counts == ONE  # the newest has it still


def test_each_value_is_looked_up_by_its_key(connection: psycopg.Connection[Any]) -> None:
    """Not all of the thread's, which may be thousands."""
    asked: list[ConditionalWrite] = []

    class Remembering(Counting):
        def perform(self, request: Any) -> Any:
            if isinstance(request, ConditionalWrite):
                asked.append(request)
            return super().perform(request)

    counting = Remembering(connection)
    for step in (1, 2):
        put(counting, step, a=step)
    explain = "EXPLAIN " + asked[-1].sql
    found = psycopg.RawCursor(connection).execute(explain, asked[-1].values).fetchall()
    lines = [line for (line,) in found]
    (at,) = [n for n, line in enumerate(lines) if "on saver_values v" in line]
    assert "saver_values_pkey" in lines[at]
    assert "version = k.version" in lines[at + 1]
    assert not [line for line in lines if "Anti Join" in line or "hashed SubPlan" in line]


def _unfinished(connection: psycopg.Connection[Any], plan: Plan[Any]) -> None:
    """Run what belongs into a transaction, and leave that open."""
    cursor = psycopg.RawCursor(connection)

    def perform(request: Any) -> Any:
        if isinstance(request, ExecuteMany):
            return sum(cursor.execute(request.sql, row).rowcount for row in request.rows)
        cursor.execute(request.sql, request.values)
        return cursor.fetchall() if isinstance(request, Query) else cursor.rowcount

    run(plan, perform)


@pytest.mark.parametrize("removal", ["delete_thread", "delete_for_runs", "of all runs"])
def test_a_removal_that_ends_while_a_put_waits_for_it(
    database: PostgresHarness, removal: str
) -> None:
    """The put looked before it had the lock: then all was there."""
    with (
        database.open() as saver,
        psycopg.connect(database.url) as remover,
        ThreadPoolExecutor(1) as pool,
    ):
        chain = Chain(SyncFacade(saver))
        if removal == "delete_for_runs":
            Chain(SyncFacade(saver), chain.thread_id, "sub").put({"a": 1})
        chain.put({"a": 1, "kept": "kept" + large()}, run_id="run")
        planner = Counting(remover).planner
        plan = planner._delete(chain.thread_id)
        if removal != "delete_thread":
            plan = planner._delete_runs(["run"])
        _unfinished(remover, plan)
        putting = pool.submit(chain.put, {"a": 2})
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
        while not database.query(waiting):
            assert not putting.done()
        remover.commit()
        putting.result()
        assert values(saver.get_tuple(chain.head)) == {"a": 2, "kept": "kept" + large()}
