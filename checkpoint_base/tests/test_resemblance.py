"""Which versions of a channel are cut, and that every one of them comes back."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint_base.dedup import chunker as chunks
from checkpoint_base.dedup import segments as sharing
from checkpoint_base.dedup.index import Channel
from checkpoint_base.dedup.resemblance import LOOK_EVERY, LOOKS, Samples, SharingHistory
from checkpoint_base.dedup.segments import Appender, assemble
from checkpoint_base.dedup.writer import DedupWriter, EncodedValues
from checkpoint_base.plan import Plan, run
from checkpoint_base.saver.records.kinds import ChannelRecord, Stored, ValueRecord, WriteRecord
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.tests.test_sharing import Log, edits, prose

SIZE = 20_000


class Cuts:
    """Counts the values that are cut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._cut = chunks.cut
        monkeypatch.setattr(sharing, "cut", self)

    def __call__(self, value: memoryview, begin: int = 0) -> list[int]:
        self.count += 1
        return self._cut(value, begin)


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> Cuts:
    return Cuts(monkeypatch)


class Thread:
    """A thread of one process, whose log is in a dict."""

    def __init__(self, *, deduplicate: bool = True) -> None:
        self.logs = DedupWriter(TTLPolicy.of(None), lambda: 0.0, lambda: 7, deduplicate=deduplicate)
        self.segments: dict[int, bytes] = {}
        self.bytes = 0

    def store(self, record: ChannelRecord) -> Stored:
        """Store a value, and check that it comes back."""
        end = sum(map(len, self.segments.values()))
        prepared: EncodedValues = run(self._fit(record, end), pytest.fail)
        for segment in prepared.segments:
            self.segments[segment.start] = segment.data
            self.bytes += len(segment.data) + len(segment.digests)
        self.logs.committed("t", prepared)
        (stored,) = prepared.stored
        self.bytes += len(stored.inline)
        assert assemble(stored, self.segments) == record.value[1]
        return stored

    def _fit(self, record: ChannelRecord, end: int) -> Plan[EncodedValues]:
        def newest(_: int) -> Plan[Any]:
            yield from ()
            return []

        early = self.logs.prepare("t", [record])
        return (yield from self.logs.fit("t", 7, end, early, [record], newest=newest))

    def put(self, data: bytes, channel: str = "a") -> Stored:
        """Store a channel's next version."""
        return self.store(ValueRecord(channel, "1", ("bytes", data)))

    def write(self, data: bytes, channel: str = "a") -> Stored:
        """Store a task's write."""
        return self.store(WriteRecord("task", "", 0, channel, ("bytes", data)))


def test_resemblance_replaced_values_are_rarely_cut(cuts: Cuts) -> None:
    thread = Thread()
    for version in range(2 * LOOK_EVERY):
        thread.put(prose(version, SIZE))
    assert cuts.count == 1 + 2 * LOOKS
    assert thread.bytes < 2 * LOOK_EVERY * SIZE * 1.01


def test_resemblance_values_that_begin_to_grow_share_from_the_second_version(cuts: Cuts) -> None:
    thread = Thread()
    for version in range(10):
        value = prose(version, SIZE)
        thread.put(value)
    assert cuts.count == 1
    before = thread.bytes
    for version in range(10, 40):
        value += prose(version, 500)
        thread.put(value)
    assert cuts.count == 1 + 30
    assert thread.bytes - before < 2 * len(value)


def test_resemblance_a_list_that_only_grows_is_cut_from_the_beginning(cuts: Cuts) -> None:
    thread, value = Thread(), b""
    for version in range(50):
        value += prose(version, 3000)
        thread.put(value)
    assert cuts.count == 50
    assert thread.bytes < 1.5 * len(value)  # with the end of each version, which is inline


def test_resemblance_a_window_that_slides_is_cut(cuts: Cuts) -> None:
    thread = Thread()
    for version in range(30):
        thread.put(b"".join(prose(message, 800) for message in range(version, version + 20)))
    assert cuts.count == 30
    assert thread.bytes < 4 * 50 * 800


def test_resemblance_something_put_in_front_is_cut(cuts: Cuts) -> None:
    thread, value = Thread(), b""
    for version in range(20):
        value = prose(version, 5000) + value
        thread.put(value)
    assert cuts.count == 20
    assert thread.bytes < 2 * len(value)


def test_resemblance_values_that_take_turns_are_found_after_some_time(cuts: Cuts) -> None:
    thread = Thread()
    for version in range(LOOK_EVERY):
        thread.put(prose(version, SIZE), "a" if version % 9 else "b")
    for version in range(LOOK_EVERY, 3 * LOOK_EVERY):
        last = thread.bytes
        thread.put(prose(version % 2, SIZE) + prose(version, 400))
    assert thread.bytes - last < SIZE / 2


def test_resemblance_what_every_version_begins_with_does_not_mislead_twice(cuts: Cuts) -> None:
    thread, same = Thread(), prose(1, 64)
    for version in range(LOOK_EVERY - LOOKS):
        rows = [same + prose(version * 1000 + row, 1000) for row in range(20)]
        thread.put(b"".join(rows))  # each kilobyte is new, but for what it begins with
    assert cuts.count <= 2 + 4  # once for each number of samples that may be found


def test_resemblance_a_write_and_the_value_that_follows_are_stored_once(cuts: Cuts) -> None:
    thread = Thread()
    for version in range(10):
        value = prose(version, SIZE)
        written = thread.write(value)
        before = thread.bytes
        assert thread.put(value) == written
        assert thread.bytes == before
    assert cuts.count == 1


def test_resemblance_what_is_turned_off_cuts_nothing(cuts: Cuts) -> None:
    thread, value = Thread(deduplicate=False), b""
    stored = 0
    for version in range(20):
        value += prose(version, 3000)
        stored += len(value)
        thread.put(value)
    assert cuts.count == 0
    assert thread.bytes == stored


def test_resemblance_a_value_of_several_segments_is_stored_whole(cuts: Cuts) -> None:
    thread = Thread()
    for version in range(2):
        thread.put(random.Random(version).randbytes(700_000))
    assert cuts.count == 1


@st.composite
def histories(draw: st.DrawFn) -> SharingHistory | None:
    """What may be known, true or not."""
    if draw(st.booleans()):
        return None
    data = prose(draw(st.integers(0, 99)), draw(st.integers(0, 12_000)))
    return SharingHistory(
        Samples.of(data),
        draw(st.integers(0, 2 * LOOK_EVERY)),
        draw(st.booleans()),
        draw(st.integers(0, 4)),
    )


@settings(deadline=None, max_examples=100)
@given(edits(), st.data())
def test_resemblance_whatever_is_known_every_version_reads_back(
    versions: list[bytes], data: st.DataObject
) -> None:
    log = Log()
    stored = []
    for version in versions:
        known = data.draw(histories())
        channel: Channel = (data.draw(st.booleans()), data.draw(st.sampled_from("ab")))
        appender = Appender(log.known, history=lambda _, known=known: known)  # type: ignore[misc]
        stored.append(appender.add(("bytes", version), channel))
        log.commit(appender)
    assert [log.load(one) for one in stored] == versions


@settings(deadline=None, max_examples=100)
@given(edits())
def test_resemblance_every_version_of_a_channel_reads_back(versions: list[bytes]) -> None:
    thread = Thread()
    for version in versions:
        thread.put(version)
