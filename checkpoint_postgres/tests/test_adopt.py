"""Threads of LangGraph's own Postgres saver, taken over and compared."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver as OriginalSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.types import Command

from checkpoint_base.errors import CorruptValueError, InvalidArgumentError
from checkpoint_base.tests.threads import nested, nested_graph
from checkpoint_postgres import PostgresSaver
from checkpoint_postgres.migrate_from_langgraph.adopt import Adopted, AdoptionProgress
from checkpoint_postgres.migrate_from_langgraph.source import PAGE_CHECKPOINTS
from checkpoint_postgres.tests.harness import PostgresHarness
from checkpoint_postgres.tests.originals import fill, original_saver
from conformance_tests.samples.build import Chain, large, on, values
from conformance_tests.samples.compare import assert_same, assert_same_tuple
from conformance_tests.samples.driver_adapter import FLAVOURS, Flavour, SyncFacade, opened

TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
LONG = 2 * PAGE_CHECKPOINTS + 50


@pytest.fixture
def originals(database: PostgresHarness) -> Iterator[OriginalSaver]:
    with original_saver(database.url) as saver:
        yield saver


@pytest.fixture
def saver(database: PostgresHarness) -> Iterator[PostgresSaver]:
    with database.open() as one:
        yield one


def rows_of_originals(database: PostgresHarness) -> list[Any]:
    return [
        database.query(f"SELECT *, xmin::text FROM {table} ORDER BY 1, 2, 3, 4") for table in TABLES
    ]


def assert_same_threads(original: OriginalSaver, ours: Any, thread_ids: list[str]) -> None:
    for thread_id in thread_ids:
        wanted = list(original.list(on(thread_id, None)))
        got: dict[str, list[Any]] = {
            one.config["configurable"]["checkpoint_ns"]: [] for one in wanted
        }
        for one in ours.list(on(thread_id, None)):
            got[one.config["configurable"]["checkpoint_ns"]].append(one)
        for ns, found in got.items():
            same = [one for one in wanted if one.config["configurable"]["checkpoint_ns"] == ns]
            assert len(same) == len(found) > 0
            for one, other in zip(same, found, strict=True):
                assert_same_tuple(one, other)
                assert_same_tuple(one, ours.get_tuple(one.config))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_all_reads_the_same(
    database: PostgresHarness, originals: OriginalSaver, flavour: Flavour
) -> None:
    thread_ids = fill(originals)
    before = rows_of_originals(database)
    told: list[AdoptionProgress] = []
    with opened(database, flavour) as ours:
        adopted: Adopted = ours.call("adopt", progress=told.append)
        assert adopted.conflicts == []
        assert adopted.threads == len(thread_ids) == told[-1].of == told[-1].threads
        ((checkpoints, writes),) = database.query(
            "SELECT (SELECT count(*) FROM checkpoints), (SELECT count(*) FROM checkpoint_writes)"
        )
        assert (adopted.checkpoints, adopted.writes) == (checkpoints, writes)
        assert_same_threads(originals, ours, thread_ids)
        head = on("deltas")
        assert_same(
            originals.get_delta_channel_history(config=head, channels=["log"]),
            ours.get_delta_channel_history(config=head, channels=["log"]),
        )
        early = "SELECT count(*) FROM saver_writes WHERE thread_id = 'early'"
        assert database.query(early) == [(1,)]
        again: Adopted = ours.call("adopt")
        assert again == Adopted(unchanged=len(thread_ids))
    assert rows_of_originals(database) == before


def test_a_graph_goes_on(originals: OriginalSaver, saver: PostgresSaver) -> None:
    nested(originals)
    saver.adopt(["nested"])
    graph = nested_graph(saver)
    (task,) = graph.get_state(on("nested")).tasks
    assert [one.value for one in task.interrupts] == ["second?"]
    graph.invoke(Command(resume="two"), on("nested"))
    assert graph.get_state(on("nested")).values["seen"][-2:] == ["one", "two"]


# ---------------------------------------------------------------- going on


def long_thread(saver: OriginalSaver, thread_id: str = "long") -> Chain:
    chain = Chain(SyncFacade(saver), thread_id)
    for step in range(LONG):
        chain.put({"step": step, "list": [large(step % 7, 3000)]})
    return chain


class Enough(Exception):
    pass


def stopping_after(pages: int) -> Any:
    told: list[AdoptionProgress] = []

    def progress(one: AdoptionProgress) -> None:
        told.append(one)
        if len(told) == pages:
            raise Enough

    return progress


def test_an_interrupted_one_goes_on_where_it_was(
    originals: OriginalSaver, saver: PostgresSaver
) -> None:
    long_thread(originals)
    with pytest.raises(Enough):
        saver.adopt(progress=stopping_after(2))
    assert len(list(saver.list(on("long")))) == 2 * PAGE_CHECKPOINTS
    told: list[AdoptionProgress] = []
    rest = Adopted(threads=1, checkpoints=LONG - 2 * PAGE_CHECKPOINTS)
    assert saver.adopt(progress=told.append) == rest
    assert len(told) == 1  # no page is read again
    assert_same_threads(originals, saver, ["long"])


KILLED = """
import sys
from checkpoint_base.tests.threads import nested, nested_graph
from checkpoint_postgres import PostgresSaver

with PostgresSaver.from_conn_string(sys.argv[1]) as saver:
    saver.adopt(progress=lambda told: print(told.checkpoints, flush=True) or sys.stdin.readline())
"""


def test_a_killed_process_leaves_whole_pages(
    database: PostgresHarness, originals: OriginalSaver, saver: PostgresSaver
) -> None:
    long_thread(originals)
    program = [sys.executable, "-c", KILLED, database.url]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == f"{PAGE_CHECKPOINTS}\n".encode()
        process.stdin.write(b"\n")
        process.stdin.flush()  # it is at the second page when it dies, or behind it
        process.send_signal(signal.SIGKILL)
    there = len(list(saver.list(on("long"))))
    assert there % PAGE_CHECKPOINTS == 0
    assert saver.adopt() == Adopted(threads=1, checkpoints=LONG - there)
    assert_same_threads(originals, saver, ["long"])


def test_what_is_new_since_is_copied(originals: OriginalSaver, saver: PostgresSaver) -> None:
    chain = long_thread(originals)
    saver.adopt()
    chain.write(("list", [large(1)]), ("step", 7))
    chain.put({"list": [large(2)]})
    assert saver.adopt() == Adopted(threads=1, checkpoints=1, writes=2)
    assert_same_threads(originals, saver, ["long"])


def test_pages_are_bounded_by_their_bytes_too(
    originals: OriginalSaver, saver: PostgresSaver
) -> None:
    chain = Chain(SyncFacade(originals), "heavy")
    for step in range(12):
        chain.put(
            {"state": [large(step, 2_000_000)], "same": ["x" * 1_000_000] if step == 0 else []},
            drop=(),
        )
    told: list[AdoptionProgress] = []
    assert saver.adopt(progress=told.append).checkpoints == 12
    assert len(told) >= 4
    assert_same_threads(originals, saver, ["heavy"])


# ---------------------------------------------------------------- what is there already


def test_a_thread_with_other_content_is_left_alone(
    database: PostgresHarness, originals: OriginalSaver, saver: PostgresSaver
) -> None:
    Chain(SyncFacade(originals), "both").put({"a": [1]})
    Chain(SyncFacade(originals), "fine").put({"a": [1]})
    Chain(SyncFacade(saver), "both").put({"a": [2]})
    before = [database.query("SELECT * FROM saver_values"), list(saver.list(on("both")))]
    adopted = saver.adopt()
    assert (adopted.threads, [one.thread_id for one in adopted.conflicts]) == (1, ["both"])
    assert "its original does not have" in adopted.conflicts[0].reason
    assert before[0] == database.query("SELECT * FROM saver_values WHERE thread_id = 'both'")
    assert [values(one) for one in saver.list(on("both"))] == [{"a": [2]}]


def test_the_beginning_of_a_thread_that_we_did_not_copy_is_not_completed(
    database: PostgresHarness, originals: OriginalSaver, saver: PostgresSaver
) -> None:
    """The first page is the same, the second is not: nothing may be added."""
    long_thread(originals)
    saver.adopt()
    database.query("DELETE FROM saver_adopted RETURNING 1")
    newest = "SELECT max(checkpoint_id) FROM saver_checkpoints"
    database.query(f"DELETE FROM saver_checkpoints WHERE checkpoint_id = ({newest}) RETURNING 1")
    for _ in range(2):
        adopted = saver.adopt()
        assert [one.thread_id for one in adopted.conflicts] == ["long"]
        assert len(list(saver.list(on("long")))) == LONG - 1


def test_the_same_thread_is_taken_for_a_copy(
    database: PostgresHarness, originals: OriginalSaver, saver: PostgresSaver
) -> None:
    chain = long_thread(originals)
    saver.adopt()
    database.query("DELETE FROM saver_adopted RETURNING 1")
    assert saver.adopt() == Adopted(threads=1)
    chain.put({"step": -1})
    assert saver.adopt().checkpoints == 1


def test_a_thread_that_went_on_here(originals: OriginalSaver, saver: PostgresSaver) -> None:
    chain = Chain(SyncFacade(originals), "t")
    chain.put({"a": 1})
    saver.adopt()
    here = Chain(SyncFacade(saver), "t")
    here.head = chain.head
    here.put({"a": 2})
    assert saver.adopt() == Adopted(unchanged=1)
    chain.put({"a": 3})
    assert [one.thread_id for one in saver.adopt().conflicts] == ["t"]
    assert [values(one) for one in saver.list(on("t"))] == [{"a": 2}, {"a": 1}]


def test_a_thread_deleted_here_stays_deleted(
    originals: OriginalSaver, saver: PostgresSaver
) -> None:
    Chain(SyncFacade(originals), "t").put({"a": 1})
    saver.adopt()
    saver.delete_thread("t")
    assert saver.adopt() == Adopted(unchanged=1)
    assert saver.get_tuple(on("t")) is None


@pytest.mark.parametrize(
    ("table", "spoilt"),
    [
        ("values", "data = 'spoilt'"),
        ("writes", "task_path = 'spoilt'"),
        ("checkpoints", "parent_id = 'spoilt'"),
        ("checkpoints", "metadata = '{}'"),
    ],
)
def test_what_does_not_read_the_same_is_not_committed(
    database: PostgresHarness,
    originals: OriginalSaver,
    saver: PostgresSaver,
    table: str,
    spoilt: str,
) -> None:
    chain = Chain(SyncFacade(originals), "t")
    chain.put({"a": [1]})
    chain.write(("a", [2]))
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN NEW.{spoilt}; RETURN NEW; END $$; ".encode()
        )
        connection.execute(
            f"CREATE TRIGGER spoil BEFORE INSERT ON saver_{table} "
            "FOR EACH ROW EXECUTE FUNCTION spoil()".encode()
        )
    with pytest.raises(CorruptValueError):
        saver.adopt()
    assert database.rows() == dict.fromkeys(database.rows(), 0)


THE_NEWEST = "WHERE checkpoint_id = (SELECT max(checkpoint_id) FROM checkpoints)"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("checkpoint || '{\"channel_versions\": {}}'", "without a version"),
        (f"jsonb_set(checkpoint, '{{channel_values,n}}', '5') {THE_NEWEST}", "two values"),
        (f"checkpoint #- '{{channel_values,n}}' {THE_NEWEST}", "another value"),
    ],
)
def test_what_cannot_be_told_the_same_is_reported(
    database: PostgresHarness,
    originals: OriginalSaver,
    saver: PostgresSaver,
    change: str,
    reason: str,
) -> None:
    chain = Chain(SyncFacade(originals), "t")
    chain.put({"n": 1})
    chain.put({"other": 2})
    database.query(f"UPDATE checkpoints SET checkpoint = {change} RETURNING 1")
    adopted = saver.adopt()
    assert reason in adopted.conflicts[0].reason
    assert database.rows()["checkpoints"] == 0


# ---------------------------------------------------------------- where from, and how it is stored


def test_encryption_covers_what_is_copied(
    database: PostgresHarness, originals: OriginalSaver
) -> None:
    chain = Chain(SyncFacade(originals), "t")
    chain.put(
        {"a": "plainly told", "b": ["plainly told", large(1) + "plainly told"]}, user="plainly told"
    )
    chain.write(("b", ["plainly told"]))
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"0123456789abcdef")
    with database.open(serde=serde) as saver:
        assert saver.adopt().conflicts == []
        assert_same_threads(originals, saver, ["t"])
        assert saver.adopt(["t"]) == Adopted(unchanged=1)
    assert b"plainly" not in database.stored()


@dataclass
class Note:
    text: str


def test_objects_are_copied_without_their_class(
    originals: OriginalSaver, saver: PostgresSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(SyncFacade(originals), "t")
    chain.put({"note": Note("x")})
    chain.write(("note", [Note("y")]))
    with monkeypatch.context() as gone:
        gone.delattr(f"{__name__}.Note")
        assert saver.adopt().conflicts == []
    assert_same_threads(originals, saver, ["t"])


def test_encrypted_originals(database: PostgresHarness) -> None:
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"0123456789abcdef")
    with (
        psycopg.connect(database.url, autocommit=True, row_factory=psycopg.rows.dict_row) as conn,
        database.open(serde=serde) as saver,
    ):
        original = OriginalSaver(conn, serde=serde)
        original.setup()
        chain = Chain(SyncFacade(original), "t")
        chain.put({"a": "text", "b": [large(1)]})
        chain.write(("b", [1]))
        assert saver.adopt().conflicts == []
        assert_same_threads(original, saver, ["t"])


def test_only_some_threads_out_of_another_schema(database: PostgresHarness) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "the ""old"" one"')
    options = '?options=-csearch_path%3D"the%5C%20""old""%5C%20one"'
    with original_saver(database.url + options) as originals:
        for thread_id in ("a", "b"):
            Chain(SyncFacade(originals), thread_id).put({"n": [1]})
    with PostgresSaver.from_conn_string(database.url, schema="the new one") as saver:
        saver.setup(partitions=2)
        adopted = saver.adopt(["b", "nobody"], from_schema='the "old" one')
        assert adopted.threads == 1
        assert [one.thread_id for one in adopted.conflicts] == ["nobody"]
        assert [one.thread_id for one in saver.list_threads().threads] == ["b"]


def test_where_nothing_is(database: PostgresHarness, saver: PostgresSaver) -> None:
    with pytest.raises(InvalidArgumentError, match="from_schema: 'public' has no tables"):
        saver.adopt()
    with original_saver(database.url):
        assert saver.adopt() == Adopted()
        database.query("DELETE FROM checkpoint_migrations WHERE v > 8 RETURNING 1")
        with pytest.raises(InvalidArgumentError, match="old version"):
            saver.adopt()
