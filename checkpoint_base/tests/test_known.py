"""What a process knows of logs: only what is committed, whoever puts at the same time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import TASKS

from checkpoint_base.dedup import index as known
from checkpoint_base.dedup.chunker import digest
from checkpoint_base.dedup.index import ChunkIndex, ChunkIndexCache, digest_table
from checkpoint_base.dedup.segments import Segment, assemble
from checkpoint_base.dedup.writer import DedupWriter, EncodedValues
from checkpoint_base.plan import Plan, run
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.records.kinds import Typed, ValueRecord
from checkpoint_base.saver.records.snapshot import CheckpointRow, ReadSnapshot, SnapshotSet
from checkpoint_base.saver.ttl.policy import TTLPolicy
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on

# ---------------------------------------------------------------- threads that put at once


class Meanwhile(Protocol):
    def __call__(self, act: Callable[[], Any]) -> Future[Any]: ...


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meanwhile]:
    """Lets another thread act; returns when it is done, or has to wait for a lock of the cache."""
    moved = threading.Event()

    class Watched:
        def __init__(self) -> None:
            self._lock = threading.Lock()

        def __enter__(self) -> None:
            if not self._lock.acquire(blocking=False):
                moved.set()
                self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()

    monkeypatch.setattr(known, "Lock", Watched)
    with ThreadPoolExecutor(1) as pool:

        def let(act: Callable[[], Any]) -> Future[Any]:
            future = pool.submit(act)
            future.add_done_callback(lambda _: moved.set())
            moved.wait()
            return future

        yield let


class Once:
    """Calls `act` the first time that it is passed, once it is armed."""

    def __init__(self) -> None:
        self.act: Callable[[], Future[Any]] | None = None
        self.future: Future[Any] | None = None

    def __call__(self) -> None:
        act, self.act = self.act, None
        if act is not None:
            self.future = act()

    def result(self) -> Any:
        assert self.future is not None
        return self.future.result()


def table_of(number: int) -> bytes:
    return digest_table([(digest(bytes([number])), b"x")])


NAMES = {digest(bytes([number])) for number in range(3)}


def test_known_who_settles_at_the_same_time_sees_all(
    meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, other, read_table = ChunkIndex(1, 3), Once(), known.read_table

    def interrupted(table: bytes) -> Iterator[tuple[bytes, int]]:
        other()
        return read_table(table)

    monkeypatch.setattr(known, "read_table", interrupted)
    for start in range(3):
        log.learn(start, table_of(start))
    other.act = lambda: meanwhile(lambda: set(log.settle()))
    assert set(log.settle()) == NAMES
    assert other.result() == NAMES


def test_known_a_segment_is_settled_once(meanwhile: Meanwhile) -> None:
    log, other = ChunkIndex(1, 3), Once()

    class Start(int):
        def __hash__(self) -> int:  # before it is taken out
            other()
            return int(self)

    for start in range(3):
        log.learn(Start(start), table_of(start))
    other.act = lambda: meanwhile(log.settle)
    assert set(log.settle()) == NAMES
    assert set(other.result()) == NAMES


def test_known_learning_while_somebody_settles(meanwhile: Meanwhile) -> None:
    cache, other = ChunkIndexCache(), Once()

    class Table(bytes):
        def __len__(self) -> int:  # while they are counted
            other()
            return super().__len__()

    some = [(start, Table(table_of(start))) for start in range(2)]
    log = cache.put("t", 1, 2, some)
    other.act = lambda: meanwhile(log.settle)
    assert cache.put("t", 1, 3, [(2, table_of(2))]) is log
    other.result()
    assert set(log.settle()) == NAMES
    assert cache._total == sum(weight for _, weight in cache._logs.values())
    cache.forget("t")
    assert cache.get("t") is None
    assert cache._total == 0


# ---------------------------------------------------------------- transactions


def noise(seed: int) -> Typed:
    return "bytes", random.Random(seed).randbytes(20_000)


def fit(
    logs: DedupWriter, log_end: int, value: Typed, there: Sequence[Segment] = ()
) -> EncodedValues:
    """Prepare a value in a transaction that finds these segments in the log."""

    def newest(count: int) -> Plan[list[tuple[int, bytes]]]:
        yield from ()
        return [(one.start, one.digests) for one in reversed(there[-count:])]

    record = ValueRecord(value[1][:4].hex(), "1", value)  # a channel of its own
    plan = logs.fit("t", 7, log_end, None, [record], newest=newest)
    return run(plan, lambda request: pytest.fail(f"asked for {request}"))


@pytest.fixture
def logs() -> DedupWriter:
    return DedupWriter(TTLPolicy.of(None), lambda: 0.0, lambda: 7)


def test_known_nothing_before_the_commit(logs: DedupWriter) -> None:
    first = fit(logs, 0, noise(1))
    end = first.end(0)
    second = fit(logs, end, noise(2), first.segments)  # of the first, in the same transaction
    assert logs.known.get("t") is None  # it may come to nothing
    logs.committed("t", second)
    log = logs.known.get("t", 7)
    assert log is not None
    assert log.end == second.end(end)
    third = fit(logs, log.end, noise(1))
    assert not third.segments  # what the second one saw is known by now


def test_known_a_log_that_was_put_back(logs: DedupWriter) -> None:
    first = fit(logs, 0, noise(1))
    logs.committed("t", first)
    again = fit(logs, 0, noise(1))  # a copy from before the first one was restored
    (stored,) = again.stored
    assert assemble(stored, {one.start: one.data for one in again.segments}) == noise(1)[1]
    logs.committed("t", fit(logs, 0, noise(2)))
    log = logs.known.get("t", 7)
    assert log is not None
    assert fit(logs, log.end, noise(1)).segments  # nothing of the first one is taken to be there


# ---------------------------------------------------------------- several replies


def told(
    part: ReadSnapshot, codec: Codec, epoch: int, step: int, value: Typed
) -> list[CheckpointRow]:
    """Note a checkpoint of a thread whose log has only its value."""
    stored = checkpoint({"a": value[1]}, id=f"{step:08}")
    draft = codec.draft(on("t"), stored, metadata(step=step), new_versions(stored))
    put = draft.complete(None, embeds=False)
    (record,) = put.values
    prepared = fit(DedupWriter(TTLPolicy.of(None), lambda: 0.0, lambda: 7), 0, record.value)
    part.add_value(("t", "", record.channel, record.version, *prepared.stored[0]))
    for start, digests, data in prepared.segments:
        part.add_segment("t", start, digests, data)
    part.found.append(CheckpointRow(put.checkpoint, "t", epoch, prepared.end(0), None, ()))
    return part.found


def test_known_each_reply_by_its_own_epoch() -> None:
    codec, cache, replies = Codec(JsonPlusSerializer()), ChunkIndexCache(), SnapshotSet()
    newer = told(replies.add(), codec, 1, 2, noise(2))
    older = told(replies.add(), codec, 2, 1, noise(1))  # all was removed, and stored again
    alone, only = ChunkIndexCache(), SnapshotSet()
    told(only.add(), codec, 2, 1, noise(1))
    replies.keep([*newer, *older])
    replies.teach(cache)
    only.teach(alone)
    mine, other = cache.get("t", 2), alone.get("t", 2)
    assert mine is not None
    assert other is not None
    assert mine.settle() == other.settle()
    found = run(replies.decoded(codec), lambda request: request.work())
    values = [one.checkpoint["channel_values"]["a"] for one in found]
    assert values == [noise(2)[1], noise(1)[1]]


def test_known_writes_that_two_replies_tell_are_there_once() -> None:
    """A parent's writes, whose sends an old checkpoint needs, and again those of the parent."""
    codec, replies, found = Codec(JsonPlusSerializer()), SnapshotSet(), []
    (write,) = codec.writes("t", [(TASKS, "send")], "task", "")
    for step in (2, 1):
        part = replies.add()
        body = checkpoint(id=f"{step:08}", v=3)
        config = on("t", "", f"{step - 1:08}")
        record = codec.draft(config, body, metadata(step=step), {}).checkpoint
        part.add_write(("t", "", "00000001", "task", "", write.idx, TASKS, *write.value, None))
        part.found = [CheckpointRow(record, "t", 1, 0, None, ())]
        found += part.found
    replies.keep(found)
    child, parent = run(replies.decoded(codec), lambda request: request.work())
    assert child.checkpoint["channel_values"] == {TASKS: ["send"]}
    assert parent.pending_writes == [("task", TASKS, "send")]


def test_known_only_of_checkpoints_that_are_wanted() -> None:
    codec, cache, replies = Codec(JsonPlusSerializer()), ChunkIndexCache(), SnapshotSet()
    told(replies.add(), codec, 1, 2, noise(2))
    wanted = told(replies.add(), codec, 1, 1, noise(1))
    replies.keep(wanted)
    assert len(run(replies.decoded(codec), lambda request: request.work())) == 1
    replies.keep([])
    replies.teach(cache)
    assert cache.get("t") is None
