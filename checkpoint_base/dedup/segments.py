"""Sharing: a thread's large values are cut into chunks, and a chunk is stored once.

Each thread has a *log* of bytes that only grows. A put appends the chunks that the thread does not
have yet, as one *segment* per value, and stores the value as a *layout*: the spans of the log that
it is made of. Its first bytes and its last piece, which change every time, stay inline; but a value
that is all new goes to the log whole, and is read back as it lies there. Chunks that follow one
another in the log are one span, so that an unchanged megabyte is one entry. `chunks.py` says where
values are cut.

Nothing here touches a database. What this process knows of a thread's log (`known.py`) is good for
as long as the thread's *epoch* is what it was: whoever removes segments changes it.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np
from xxhash import xxh3_128_digest

from checkpoint_base.dedup.chunker import average_chunk, cut, digest
from checkpoint_base.dedup.index import Channel, ChunkIndex, digest_table
from checkpoint_base.dedup.resemblance import SharingHistory, after
from checkpoint_base.errors import CorruptValueError
from checkpoint_base.saver.records.kinds import Remembered, Stored, Typed

THRESHOLD: Final = 2048
"""Values up to this many bytes are stored inline."""
HEAD: Final = 16
"""Bytes at the front that stay inline: a list's length is there, and it changes every time."""
SEGMENT: Final = 1 << 18
"""A longer run of new chunks becomes several segments."""
MAX_SPANS: Final = 64
"""A value in more spans than this has its short ones written anew, together."""

_HEADER: Final = struct.Struct("<BI16s")  # format, length, xxh3 of the value
_SPAN: Final = struct.Struct("<QII")
_FORMAT: Final = 1


class SegmentSpan(NamedTuple):
    """`length` bytes of the log, from `offset` into the segment that begins at `start`; they may
    go on through the segments behind it.
    """

    start: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        """Where in the log it ends; the segments needed begin at `start` or later, before this."""
        return self.start + self.offset + self.length


class Segment(NamedTuple):
    """A row of the log. `digests` holds length and digest of each chunk in `data`."""

    start: int
    digests: bytes
    data: bytes


def spans_of(layout: bytes) -> list[SegmentSpan]:
    """The spans of a layout, in the order of the value's bytes."""
    if layout[:1] != bytes([_FORMAT]) or (len(layout) - _HEADER.size) % _SPAN.size:
        raise CorruptValueError(f"a stored layout has the unknown format {layout[:1]!r}")
    return [SegmentSpan(*entry) for entry in _SPAN.iter_unpack(layout[_HEADER.size :])]


def ranges_of(layouts: Iterable[bytes]) -> list[tuple[int, int]]:
    """Ranges [first, end) of segment starts that the layouts need, merged and sorted."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((s.start, s.end) for layout in layouts for s in spans_of(layout)):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def assemble(stored: Stored, log: Mapping[int, bytes]) -> bytes:
    """Put a value together; `log` has the segments that `ranges_of` named.

    Raises:
        CorruptValueError: a segment is missing, or the bytes are not those that were stored.
    """
    if stored.layout is None:
        return stored.inline
    spans = spans_of(stored.layout)
    _, length, checksum = _HEADER.unpack_from(stored.layout)
    pieces = [stored.inline[:HEAD]] if stored.inline else []
    for span in spans:
        _copy(span, log, pieces)
    if stored.inline:
        pieces.append(stored.inline[HEAD:])
    value = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if len(value) != length or xxh3_128_digest(value) != checksum:
        raise CorruptValueError(
            f"a stored value of {length} bytes does not match its checksum: it was damaged"
        )
    return value


def _copy(span: SegmentSpan, log: Mapping[int, bytes], pieces: list[bytes]) -> None:
    start, offset, wanted = span
    while wanted > 0:
        data = log.get(start)
        if data is None:
            raise CorruptValueError(f"a stored value needs the segment at {start}, which is gone")
        piece = data[offset : offset + wanted] if offset or wanted < len(data) else data
        pieces.append(piece)
        wanted -= len(piece)
        start, offset = start + len(data), 0
        if not data:
            raise CorruptValueError(f"the segment at {start} is empty")


class Appender:
    """Turns the serialized values of one put into what is stored, and collects new segments.

    Args:
        known: the thread's log as far as it is known.
        end: where the log ends; None: where it is known to end.
        history: gives what is known of a channel's versions.
        deduplicate: cut values; otherwise each is stored whole.

    Attributes:
        epoch: the epoch of the log that the spans refer to.
        begin: where the log ended before.
        end: where it ends with the new segments.
        histories: of the channels whose values were put into the log, as they are with these.
        segments: what is to be appended.
        shares: whether anything stored needs the log to be as it was known.
        added: the values that were put into the log.
    """

    def __init__(
        self,
        known: ChunkIndex,
        end: int | None = None,
        history: Callable[[Channel], SharingHistory | None] = lambda _: None,
        *,
        deduplicate: bool = True,
    ) -> None:
        self.epoch = known.epoch
        self.begin = self.end = known.end if end is None else end
        self.segments: list[Segment] = []
        self.shares = False
        self.added: list[Remembered] = []
        self._recent = known.recent
        self._log = known
        self._known: Mapping[bytes, tuple[int, int]] = {}
        self._history = history
        self._deduplicate = deduplicate
        self.histories: dict[Channel, SharingHistory] = {}
        self._new: dict[bytes, tuple[int, int]] = {}
        self._run: list[tuple[bytes, memoryview]] = []  # chunks of the segment being filled
        self._filled = 0

    def add(self, value: Typed, channel: Channel | None = None) -> Stored:
        """Store one value.

        Args:
            value: what the serializer made of it.
            channel: whose it is; None: none whose versions resemble each other.
        """
        kind, data = value
        if len(data) <= THRESHOLD:
            return Stored(kind, data, None)
        # a task's write becomes its channel's value
        again = (entry for entry in (*self._recent, *self.added) if entry.value == value)
        entry = next(again, None) or self._store(kind, data, channel)
        if entry.stored.layout is not None:
            self.shares = True
            self.added.append(entry)
        return entry.stored

    def _store(self, kind: str, data: bytes, channel: Channel | None) -> Remembered:
        if not self._deduplicate:
            return self._store_whole(kind, data)
        history = None
        if channel is not None:
            history = self.histories.get(channel) or self._history(channel)
        worth, before = history is None or history.is_worth_cutting(data), self.end
        entry = self._cut(kind, data) if worth else self._store_whole(kind, data)
        if channel is not None:
            new = self.end - before + len(entry.stored.inline)
            self.histories[channel] = after(history, data, is_cut=bool(entry.ends), new=new)
        return entry

    def _store_whole(self, kind: str, data: bytes) -> Remembered:
        """Append a value as it is, without digests: nothing will be shared with it, unless the same
        value comes again at once.
        """
        span = SegmentSpan(self.end, 0, len(data))
        for at in range(0, len(data), SEGMENT):
            piece = data[at : at + SEGMENT]
            self.segments.append(Segment(self.end, b"", piece))
            self.end += len(piece)
        return Remembered((kind, data), Stored(kind, b"", _layout(data, [span])), [])

    def _cut(self, kind: str, data: bytes) -> Remembered:
        self._known = self._log.settle()
        body = memoryview(data)[HEAD:]
        before, spans = self._begun(body)
        begin = before[-1] if before else 0
        later = cut(body, begin)
        ends = [*before, *later]
        if not ends:
            return Remembered((kind, data), Stored(kind, data, None), [])
        pieces = [body[start:end] for start, end in zip([begin, *later], later, strict=False)]
        names = [digest(piece) for piece in pieces]
        inline = data[:HEAD] + bytes(body[ends[-1] :])
        if spans or any(name in self._known or name in self._new for name in names):
            spans = _joined([*spans, *self._placed(pieces, names, known=True)])
            if len(spans) > MAX_SPANS:
                spans = _joined(self._rewritten(spans, body))
        else:
            pieces = [memoryview(data)[:HEAD], *pieces, body[ends[-1] :]]
            names = [digest(pieces[0]), *names, digest(pieces[-1])]
            spans, inline = self._whole(data, pieces, names), b""
        return Remembered((kind, data), Stored(kind, inline, _layout(data, spans)), ends)

    def _begun(self, body: memoryview) -> tuple[list[int], list[SegmentSpan]]:
        """The ends and the spans of what the body has in common with a recent value, from its
        beginning up to a cut: a list that grew is looked at only where it is new.
        """
        best: list[int] = []
        spans: list[SegmentSpan] = []
        for entry in reversed((*self._recent, *self.added)):
            if not entry.ends:
                continue
            old = memoryview(entry.value[1])[HEAD:]
            if average_chunk(len(old)) != average_chunk(len(body)):
                continue
            ends = entry.ends[: bisect_right(entry.ends, _common(old, body))]
            if len(ends) > len(best):
                best, spans = ends, _first(entry.stored, ends[-1])
                if len(ends) == len(entry.ends):
                    break  # it only grew
        return best, spans

    def _placed(
        self, pieces: Iterable[memoryview], names: Iterable[bytes], *, known: bool
    ) -> list[SegmentSpan]:
        """Where the log has the pieces. Those it has not are appended; or all, if not `known`."""
        spans = []
        for name, piece in zip(names, pieces, strict=True):
            place = (self._new.get(name) or self._known.get(name)) if known else None
            spans.append(SegmentSpan(*(place or self._append(name, piece)), len(piece)))
        self._flush()
        return spans

    def _whole(
        self, data: bytes, pieces: list[memoryview], names: list[bytes]
    ) -> list[SegmentSpan]:
        """Append a value from its first byte to its last; as it is, if one segment takes it."""
        if len(data) > SEGMENT:
            return _joined(self._placed(pieces, names, known=False))
        offset = 0
        for name, piece in zip(names, pieces, strict=True):
            self._new[name] = (self.end, offset)
            offset += len(piece)
        table = digest_table(zip(names, pieces, strict=True))
        self.segments.append(Segment(self.end, table, data))
        self.end += len(data)
        return [SegmentSpan(self.segments[-1].start, 0, len(data))]

    def _append(self, name: bytes, piece: memoryview) -> tuple[int, int]:
        if self._filled + len(piece) > SEGMENT:
            self._flush()
        place = self._new[name] = (self.end, self._filled)
        self._run.append((name, piece))
        self._filled += len(piece)
        return place

    def _flush(self) -> None:
        if self._run:
            data = b"".join(piece for _, piece in self._run)
            self.segments.append(Segment(self.end, digest_table(self._run), data))
            self.end += len(data)
            self._run, self._filled = [], 0

    def _rewritten(self, spans: list[SegmentSpan], body: memoryview) -> list[SegmentSpan]:
        """Write runs of short spans anew: reading a value stays a few long steps, however often
        it was edited. A byte is rewritten about once while its value grows 32-fold.
        """
        short = len(body) // (MAX_SPANS // 2)
        result: list[SegmentSpan] = []
        begin = 0
        for is_short, group in groupby(spans, key=lambda span: span.length < short):
            run = list(group)
            end = begin + sum(span.length for span in run)
            if is_short and len(run) > 1:
                piece = body[begin:end]
                ends = [*cut(piece), len(piece)]
                pieces = [piece[a:b] for a, b in zip([0, *ends], ends, strict=False)]
                result += self._placed(pieces, map(digest, pieces), known=False)
            else:
                result += run
            begin = end
        return result


def _layout(data: bytes, spans: Sequence[SegmentSpan]) -> bytes:
    header = _HEADER.pack(_FORMAT, len(data), xxh3_128_digest(data))
    return header + b"".join([_SPAN.pack(*span) for span in spans])


def _common(a: memoryview, b: memoryview) -> int:
    """How many bytes are the same from the beginning."""
    size = min(len(a), len(b))
    if a[:HEAD] != b[:HEAD]:  # most often it shows at once
        return 0
    differs = np.frombuffer(a, np.uint8)[:size] != np.frombuffer(b, np.uint8)[:size]
    first = int(differs.argmax())
    return first if differs[first] else size


def _first(stored: Stored, size: int) -> list[SegmentSpan]:
    """The spans of the first `size` bytes of a stored value's body."""
    skip = 0 if stored.inline else HEAD  # without ends of its own, the head is in the log too
    spans: list[SegmentSpan] = []
    for start, offset, length in spans_of(stored.layout or b""):
        taken = min(length - skip, size)
        if taken > 0:
            spans.append(SegmentSpan(start, offset + skip, taken))
        size, skip = size - taken, 0
    return spans


def _joined(places: Iterable[SegmentSpan]) -> list[SegmentSpan]:
    """Spans that follow one another in the log, made one."""
    joined: list[SegmentSpan] = []
    for span in places:
        if joined and span.start + span.offset == joined[-1].end:
            last = joined[-1]
            joined[-1] = SegmentSpan(last.start, last.offset, last.length + span.length)
        else:
            joined.append(span)
    return joined
