"""Layouts and segments: encode a large value as spans of its thread's log, and decode it again.

Each thread has an append-only *log* of bytes. `chunker.py` cuts a value into chunks. A put appends
the chunks that the log lacks as *segments*, and stores the value as a *layout*: the spans of the
log that it consists of. Chunks that are adjacent in the log are one span, so an unchanged megabyte
takes one entry. The first bytes of a value and its last piece, which change in almost every
version, stay inline. A value of which no chunk is known is written to the log whole, inline parts
included, and is read back without joining pieces.

This module does no I/O. The chunk index (`index.py`) is valid for one *epoch* of the thread: an
operation that removes segments changes the epoch.
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
"""Leading bytes that stay inline: they hold a list's length, which changes with each append."""
SEGMENT: Final = 1 << 18
"""Maximum bytes of a segment; a longer run of new chunks becomes several segments."""
MAX_SPANS: Final = 64
"""Maximum spans of a value; beyond that, runs of short spans are rewritten as longer ones."""

_HEADER: Final = struct.Struct("<BI16s")  # format, length, xxh3 of the value
_SPAN: Final = struct.Struct("<QII")
_FORMAT: Final = 1


class SegmentSpan(NamedTuple):
    """`length` bytes of the log, from `offset` in the segment that begins at `start`. A span may
    continue into the following segments.
    """

    start: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        """Its end in the log. It needs the segments whose start is in [`start`, `end`)."""
        return self.start + self.offset + self.length


class Segment(NamedTuple):
    """A row of the log. `digests` is the `digest_table` of `data`; empty if `data` was not cut."""

    start: int
    digests: bytes
    data: bytes


def spans_of(layout: bytes) -> list[SegmentSpan]:
    """Decode a layout to its spans, in the order of the value's bytes.

    Raises:
        CorruptValueError: the layout has an unknown format.
    """
    if layout[:1] != bytes([_FORMAT]) or (len(layout) - _HEADER.size) % _SPAN.size:
        raise CorruptValueError(f"a stored layout has the unknown format {layout[:1]!r}")
    return [SegmentSpan(*entry) for entry in _SPAN.iter_unpack(layout[_HEADER.size :])]


def ranges_of(layouts: Iterable[bytes]) -> list[tuple[int, int]]:
    """Ranges [first, end) of the segment starts that the layouts need, merged and sorted."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((s.start, s.end) for layout in layouts for s in spans_of(layout)):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def assemble(stored: Stored, log: Mapping[int, bytes]) -> bytes:
    """Rebuild a value from its inline bytes and its spans, and verify its checksum.

    Args:
        stored: the stored value.
        log: start -> data of the segments that `ranges_of` names.

    Raises:
        CorruptValueError: a segment is missing, or the checksum does not match.
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
    """Encodes the serialized values of one put as layouts, and collects the new segments.

    Args:
        known: the thread's chunk index.
        end: the end offset of the log; None: the end that the index knows.
        history: returns a channel's history, or None.
        deduplicate: whether to cut values; otherwise each is stored whole.

    Attributes:
        epoch: the epoch that the spans refer to.
        begin: the end of the log before this put.
        end: the end of the log with the new segments.
        histories: the updated histories of the channels whose values went to the log.
        segments: the segments to append.
        shares: whether a stored value refers to the log, so that the put depends on its epoch and
            end.
        added: the values that went to the log.
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
        self._run: list[tuple[bytes, memoryview]] = []  # chunks of the segment under construction
        self._filled = 0

    def add(self, value: Typed, channel: Channel | None = None) -> Stored:
        """Encode one value for storage, and append its new chunks.

        Args:
            value: the serialized value.
            channel: its channel; None: keep no history.
        """
        kind, data = value
        if len(data) <= THRESHOLD:
            return Stored(kind, data, None)
        # reuse the layout of an equal value: a task's pending write becomes its channel's value
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
        """Append a value without cutting it. Without digests, later values cannot share its chunks;
        only an equal value that follows soon (`recent`) is deduplicated.
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
        """Chunk ends and spans of the longest prefix that the body shares with a recent value, up
        to a chunk's end. So of a list that grew, only the new part is cut and hashed.
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
                    break  # the new value contains all chunks of the old one
        return best, spans

    def _placed(
        self, pieces: Iterable[memoryview], names: Iterable[bytes], *, known: bool
    ) -> list[SegmentSpan]:
        """The spans of the pieces in the log. Missing pieces are appended; all, if not `known`."""
        spans = []
        for name, piece in zip(names, pieces, strict=True):
            place = (self._new.get(name) or self._known.get(name)) if known else None
            spans.append(SegmentSpan(*(place or self._append(name, piece)), len(piece)))
        self._flush()
        return spans

    def _whole(
        self, data: bytes, pieces: list[memoryview], names: list[bytes]
    ) -> list[SegmentSpan]:
        """Append a whole value, inline parts included; without a copy if it fits one segment."""
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
        """Append runs of short spans again as contiguous data, so that a value that was edited
        often is still read in a few long spans. While a value grows 32-fold, each byte is rewritten
        about once.
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
    """The length of the common prefix of two buffers."""
    size = min(len(a), len(b))
    if a[:HEAD] != b[:HEAD]:  # cheap test for the usual case
        return 0
    differs = np.frombuffer(a, np.uint8)[:size] != np.frombuffer(b, np.uint8)[:size]
    first = int(differs.argmax())
    return first if differs[first] else size


def _first(stored: Stored, size: int) -> list[SegmentSpan]:
    """The spans of the first `size` bytes of a stored value's body."""
    skip = 0 if stored.inline else HEAD  # nothing inline: the head is in the log as well
    spans: list[SegmentSpan] = []
    for start, offset, length in spans_of(stored.layout or b""):
        taken = min(length - skip, size)
        if taken > 0:
            spans.append(SegmentSpan(start, offset + skip, taken))
        size, skip = size - taken, 0
    return spans


def _joined(places: Iterable[SegmentSpan]) -> list[SegmentSpan]:
    """Merge spans that are adjacent in the log."""
    joined: list[SegmentSpan] = []
    for span in places:
        if joined and span.start + span.offset == joined[-1].end:
            last = joined[-1]
            joined[-1] = SegmentSpan(last.start, last.offset, last.length + span.length)
        else:
            joined.append(span)
    return joined
