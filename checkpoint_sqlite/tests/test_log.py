"""The logs in the file: after every single call, no row is left that nothing refers to and that
is not counted as garbage.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from checkpoint_base.errors import CorruptValueError
from checkpoint_sqlite import SqliteSaver
from checkpoint_sqlite.tests.harness import SqliteHarness
from checkpoint_sqlite.tests.raw import unreferenced
from conformance_tests.samples.build import Chain, large, new_versions, on
from conformance_tests.samples.driver_adapter import SyncFacade
from conformance_tests.savers.stateful import SaverMachine


def test_no_call_leaves_anything_uncounted(tmp_path: Path) -> None:
    numbers = iter(range(10**6))

    class Machine(SaverMachine):
        """The reference machine, with a look at the file after each step."""

        def __init__(self) -> None:
            super().__init__(SqliteHarness(tmp_path / f"{next(numbers)}.db"), "sync")

        @invariant()
        def nothing_unreferenced(self) -> None:
            connection = sqlite3.connect(self.harness.location())
            try:
                assert unreferenced(connection) == []
            finally:
                connection.close()

        def teardown(self) -> None:
            """Pruning leaves no garbage and no count of it."""
            connection = sqlite3.connect(self.harness.location())
            try:
                self.both(0, "prune", ["t1", "t2", "t3"])
                left = "SELECT count(*) FROM saver_threads WHERE garbage > 0"
                assert connection.execute(left).fetchone() == (0,)
                assert unreferenced(connection) == []
            finally:
                connection.close()
                super().teardown()

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def saver(path: Path) -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(path) as one:
        one.setup()
        yield one


def sizes(saver: SqliteSaver) -> tuple[int, int]:
    """(segments, bytes in them)."""
    query = "SELECT count(*), coalesce(sum(length(data)), 0) FROM saver_segments"
    found: tuple[int, int] = saver.conn.execute(query).fetchone()
    return found


def test_a_record_that_becomes_an_embedded_value_is_counted(saver: SqliteSaver, path: Path) -> None:
    """The checkpoint is put again, with a small value at the version of the large one."""
    chain = Chain(SyncFacade(saver), "t")
    found = saver.get_tuple(chain.put({"a": large()}))
    assert found is not None
    found.checkpoint["channel_values"]["a"] = None
    saver.put(on("t"), found.checkpoint, found.metadata, new_versions(found.checkpoint))
    with closing(sqlite3.connect(path)) as connection:
        assert unreferenced(connection) == []
        assert connection.execute("SELECT garbage FROM saver_threads").fetchone() > (10_000,)


def test_another_process_shares_what_the_first_one_stored(saver: SqliteSaver, path: Path) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"log": large(1)})
    before = sizes(saver)
    with SqliteSaver.from_conn_string(path) as cold:
        chain.saver = SyncFacade(cold)
        chain.put({"log": large(1) + " and on"})
        assert sizes(saver)[1] - before[1] < 5000
        assert cold.get_tuple(on("t")) == saver.get_tuple(on("t"))


def test_what_another_process_removed_is_sent_again(saver: SqliteSaver, path: Path) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"log": large(1)})
    with SqliteSaver.from_conn_string(path) as other:
        other.delete_thread("t")
        assert sizes(saver) == (0, 0)
    head = chain.put({"log": large(1) + " and on"})  # this process thinks that it is all there
    found = saver.get_tuple(head)
    assert found is not None
    assert found.checkpoint["channel_values"]["log"] == large(1) + " and on"


def test_a_value_without_a_cut_says_nothing_about_the_log(saver: SqliteSaver, path: Path) -> None:
    def noise(seed: int, size: int) -> bytes:
        return random.Random(seed).randbytes(size)

    with SqliteSaver.from_conn_string(path) as other:
        here, there = Chain(SyncFacade(saver), "t"), Chain(SyncFacade(other), "t")
        here.put({"x": noise(1, 20_000)})
        there.put({"x": noise(2, 20_000)})
        here.put({"y": noise(3, 2_060)})  # over the threshold, but in one piece
        here.put({"x": noise(4, 20_000)})
        found = saver.get_tuple(here.head)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"x": noise(4, 20_000), "y": noise(3, 2_060)}


def test_a_write_and_the_value_that_it_becomes_are_stored_once(saver: SqliteSaver) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"log": "nothing yet"})
    chain.write(("log", large(1)))
    before = sizes(saver)
    chain.put({"log": large(1)})
    assert sizes(saver) == before


def test_two_namespaces_of_a_thread_share(saver: SqliteSaver) -> None:
    Chain(SyncFacade(saver), "t").put({"log": large(1)})
    before = sizes(saver)
    Chain(SyncFacade(saver), "t", ns="sub:1").put({"messages": large(1)})
    assert sizes(saver) == before


@pytest.mark.parametrize("column", ["data", "digests"])
def test_damage_is_an_error(saver: SqliteSaver, path: Path, column: str) -> None:
    chain = Chain(SyncFacade(saver), "t")
    head = chain.put({"log": large(1)})
    ((blob,),) = saver.conn.execute(f"SELECT {column} FROM saver_segments").fetchall()
    flipped = blob[:99] + bytes([blob[99] ^ 4]) + blob[100:]
    saver.conn.execute(f"UPDATE saver_segments SET {column} = ?", (flipped,))
    saver.conn.commit()
    with SqliteSaver.from_conn_string(path) as other, pytest.raises(CorruptValueError):
        other.get_tuple(head)


def test_damage_in_a_list_of_all_threads_is_told_with_its_thread_and_channel(
    saver: SqliteSaver,
) -> None:
    Chain(SyncFacade(saver), "whole").put({"log": large(2)})
    Chain(SyncFacade(saver), "damaged").put({"log": large(1)})
    last = "WHERE id = (SELECT max(id) FROM saver_segments)"
    saver.conn.execute(f"UPDATE saver_segments SET data = zeroblob(length(data)) {last}")
    with pytest.raises(CorruptValueError, match=r"^thread 'damaged', channel 'log': "):
        list(saver.list(None))


def test_a_damaged_write_is_told_with_its_thread_and_task(saver: SqliteSaver) -> None:
    chain = Chain(SyncFacade(saver), "damaged")
    chain.put({"n": 1})
    chain.write(("log", large(1)))
    saver.conn.execute("UPDATE saver_segments SET data = zeroblob(length(data))")
    with pytest.raises(CorruptValueError, match=r"^thread 'damaged', task '.*', write to 'log': "):
        list(saver.list(None))


def test_a_byte_that_leaves_no_text_is_damage(saver: SqliteSaver) -> None:
    head = Chain(SyncFacade(saver), "damaged").put({"n": 1})
    saver.conn.execute("UPDATE saver_checkpoints SET metadata = CAST(X'7BFF7D' AS TEXT)")
    with pytest.raises(CorruptValueError, match=r"^thread 'damaged': .*column 'metadata'"):
        saver.get_tuple(head)
    saver.delete_thread("damaged")
    assert saver.get_tuple(head) is None


def test_damaged_digests_are_not_shared(saver: SqliteSaver, path: Path) -> None:
    chain = Chain(SyncFacade(saver), "t")
    chain.put({"log": large(1)})
    saver.conn.execute("UPDATE saver_segments SET digests = zeroblob(length(digests))")
    saver.conn.commit()
    with SqliteSaver.from_conn_string(path) as other:
        chain.saver = SyncFacade(other)
        with pytest.raises(CorruptValueError):
            chain.put({"log": large(1) + "!"})
