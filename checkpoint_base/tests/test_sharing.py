"""Sharing without a database: a log in a dict, and what comes back from it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint_base.dedup.chunker import cut, digest
from checkpoint_base.dedup.index import ChunkIndex, ChunkIndexCache, digest_table, read_table
from checkpoint_base.dedup.segments import (
    HEAD,
    MAX_SPANS,
    THRESHOLD,
    Appender,
    assemble,
    ranges_of,
    spans_of,
)
from checkpoint_base.errors import CorruptValueError
from checkpoint_base.saver.records.kinds import Stored


class Log:
    """A thread's log, and what one process knows of it."""

    def __init__(self) -> None:
        self.segments: dict[int, bytes] = {}
        self.known = ChunkIndex(epoch=1, end=0)
        self.kept = 0

    def store(self, value: bytes) -> Stored:
        appender = Appender(self.known)
        stored = appender.add(("bytes", value))
        self.commit(appender)
        self.kept += len(stored.inline) + len(stored.layout or b"")
        self.kept += sum(len(s.data) + len(s.digests) for s in appender.segments)
        return stored

    def commit(self, appender: Appender) -> None:
        """Note what was appended."""
        for segment in appender.segments:
            assert segment.start not in self.segments
            self.segments[segment.start] = segment.data
            self.known.learn(segment.start, segment.digests)
        self.known.end = appender.end
        self.known.remember(appender.added)

    def load(self, stored: Stored) -> bytes:
        """Read with exactly the segments that the layout asks for."""
        ranges = ranges_of([stored.layout] if stored.layout else [])
        needed = {
            start: data
            for start, data in self.segments.items()
            if any(first <= start < end for first, end in ranges)
        }
        return assemble(stored, needed)


def prose(seed: int, size: int) -> bytes:
    """Bytes that look like text: nothing in them repeats for long."""
    rng = random.Random(seed)
    return bytes(rng.choices(b"etaoinshrdlu cmfwypvbgkjqxz.,", k=size))


@st.composite
def edits(draw: st.DrawFn) -> list[bytes]:
    """A value and what became of it: appended to, cut, patched, turned round, replaced."""
    value = prose(draw(st.integers(0, 99)), draw(st.integers(0, 12_000)))
    history = [value]
    for kind in draw(
        st.lists(st.sampled_from(["append", "cut", "patch", "turn", "new", "same", "zeros"]))
    ):
        at = draw(st.integers(0, max(0, len(value))))
        piece = prose(draw(st.integers(0, 9)), draw(st.integers(0, 5_000)))
        value = {
            "append": value + piece,
            "cut": value[:at],
            "patch": value[:at] + piece[:40] + value[at + 40 :],
            "turn": value[at:] + value[:at],
            "new": piece,
            "same": value,
            "zeros": value[:at] + bytes(len(piece)) + value[at:],
        }[kind]
        history.append(value)
    return history


@settings(deadline=None, max_examples=200)
@given(edits())
def test_every_version_of_a_value_reads_back_byte_for_byte(history: list[bytes]) -> None:
    log = Log()
    stored = [log.store(value) for value in history]
    assert [log.load(one) for one in stored] == history
    for one in stored:
        assert one.layout is None or len(spans_of(one.layout)) <= 2 * MAX_SPANS


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.integers(0, 60_000), st.booleans())
def test_cuts_depend_on_what_is_there_and_on_nothing_else(
    front: bytes, size: int, repetitive: bool
) -> None:
    value = b"ab" * (size // 2) if repetitive else prose(1, size)
    ends = cut(memoryview(value))
    assert ends == sorted(set(ends))
    lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    assert all(256 <= length <= 4096 for length in lengths)
    assert len(value) - (ends[-1] if ends else 0) <= 4096
    moved = cut(memoryview(front + value))
    if not repetitive and size > 30_000:
        same = {end - len(front) for end in moved} & set(ends)
        assert len(same) > len(ends) // 2


def test_a_growing_list_costs_what_is_new() -> None:
    log, value = Log(), b""
    versions: list[tuple[Stored, bytes]] = []
    for turn in range(400):
        value += prose(turn, 700)
        versions.append((log.store(len(versions).to_bytes(4, "little") + value), value))
    said, whole = len(value), sum(len(value) for _, value in versions)
    assert log.kept < 4 * said < whole / 40
    assert all(log.load(stored)[4:] == value for stored, value in versions)


def test_channels_that_grow_in_turn_stay_a_few_spans_each() -> None:
    log, values = Log(), dict.fromkeys("abc", b"")
    most = 0
    for turn in range(900):
        name = "abc"[turn % 3]
        values[name] += prose(turn, 1500)
        stored = log.store(values[name])
        assert log.load(stored) == values[name]
        most = max(most, len(spans_of(stored.layout or b"\1" + bytes(20))))
    assert 8 < most <= MAX_SPANS
    assert log.kept < 8 * sum(map(len, values.values()))


def test_a_value_that_is_all_new_is_one_segment_and_one_span() -> None:
    log = Log()
    stored = log.store(prose(5, 65_536))
    assert len(log.segments) == 1
    assert stored.layout is not None
    assert len(spans_of(stored.layout)) == 1


def test_a_value_that_comes_again_is_stored_as_it_was() -> None:
    log, value = Log(), prose(5, 65_536)
    first = log.store(value)
    assert log.store(bytes(bytearray(value))) == first
    log.store(prose(6, 4000))
    assert len(log.segments) == 2
    assert log.store(value) == first


def test_what_is_small_stays_inline_and_needs_no_log() -> None:
    appender = Appender(ChunkIndex(1, 0))
    assert appender.add(("msgpack", b"x" * THRESHOLD)).layout is None
    assert not appender.shares
    assert not appender.segments


@pytest.mark.parametrize("where", ["segment", "head", "tail", "missing", "shorter"])
def test_a_changed_byte_is_never_a_value(where: str) -> None:
    log = Log()
    log.store(prose(3, 20_000))
    stored = log.store(prose(3, 20_000) + b"more")  # what is not new altogether has ends inline
    start, data = next(iter(log.segments.items()))
    if where == "segment":
        log.segments[start] = data[:700] + bytes([data[700] ^ 1]) + data[701:]
    elif where == "missing":
        del log.segments[start]
    elif where == "shorter":
        log.segments[start] = data[: len(data) // 2]
    else:
        at = 3 if where == "head" else HEAD
        flipped = bytes([stored.inline[at] ^ 1])
        stored = stored._replace(inline=stored.inline[:at] + flipped + stored.inline[at + 1 :])
    with pytest.raises(CorruptValueError):
        log.load(stored)


def test_a_layout_of_another_format_is_refused() -> None:
    with pytest.raises(CorruptValueError, match="format"):
        spans_of(b"\x09" + bytes(20))


def test_digest_tables_read_back() -> None:
    chunks = [(digest(piece), piece) for piece in (b"one", b"three", b"")]
    places = list(read_table(digest_table(chunks)))
    assert places == [(chunks[0][0], 0), (chunks[1][0], 3), (chunks[2][0], 8)]
    with pytest.raises(CorruptValueError):
        list(read_table(b"short"))


def test_what_is_known_is_bounded_and_ends_with_its_epoch() -> None:
    cache = ChunkIndexCache(capacity=40)
    table = digest_table([(bytes(16), b"x")] * 10)
    for number in range(9):
        cache.put(f"thread {number}", epoch=7, end=10, segments=[(0, table)])
    assert cache.get("thread 0") is None
    assert cache.get("thread 8", epoch=7) is not None
    assert cache.get("thread 8", epoch=8) is None
    assert cache.put("thread 8", epoch=8, end=0, segments=[]).settle() == {}
