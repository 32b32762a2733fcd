"""Content-defined chunking: cut positions depend only on nearby bytes, so an edit moves few cuts.

A cut is made after eight bytes that pass two tests. The first is a weighted sum of the last four
bytes, which numpy computes for all positions at once. The second, a multiplicative hash of all
eight bytes, is computed only for the few positions that pass the first.
"""

from __future__ import annotations

from hashlib import blake2b
from threading import local
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

DIGEST_SIZE: Final = 16
"""Bytes of a chunk's digest. Chunks with equal digests are treated as equal, so the hash must be
cryptographic: otherwise a user could craft values that collide."""

_WINDOW: Final = 8
_BLOCK: Final = 1 << 15
_WEIGHTS: Final = (np.uint8(167), np.uint8(59), np.uint8(113), np.uint8(229))
_CHOSEN: Final = np.uint8(0x5B)  # not 0, so that runs of zero bytes are not cut everywhere
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_CLASSES: Final = ((1 << 22, 1 << 10), (1 << 26, 1 << 14), (1 << 62, 1 << 16))
"""(maximum value size, average chunk size). Part of the stored format: with other cuts, new values
would share no chunks with stored ones."""


def digest(chunk: bytes | memoryview) -> bytes:
    """A chunk's digest, which identifies it."""
    return blake2b(chunk, digest_size=DIGEST_SIZE).digest()


def average_chunk(size: int) -> int:
    """The average chunk size for a value of `size` bytes."""
    return next(average for limit, average in _CLASSES if size <= limit)


def cut(value: memoryview, begin: int = 0) -> list[int]:
    """The end offsets of the value's chunks, ascending. The rest after the last end is no chunk.

    A chunk has at least a quarter of the average size, and at most four times the average.

    Args:
        value: the bytes to cut.
        begin: an offset at which a chunk is known to end. Only later ends are returned.
    """
    average = average_chunk(len(value))
    shortest, longest = average // 4, average * 4
    ends: list[int] = []
    last = begin
    for place in [*(begin + place for place in _places(value[begin:], average)), len(value)]:
        while place - last > longest:
            last += longest
            ends.append(last)
        if place - last >= shortest and place < len(value):
            last = place
            ends.append(last)
    return ends


class _Scratch(local):
    """Buffers reused by one OS thread: allocating them costs more than the arithmetic."""

    def __init__(self) -> None:
        self.sums = np.empty(_BLOCK, np.uint8)
        self.product = np.empty(_BLOCK, np.uint8)
        self.chosen = np.empty(_BLOCK, np.bool_)


_scratch = _Scratch()


def _places(value: memoryview, average: int) -> list[int]:
    data = np.frombuffer(value, np.uint8)
    count = len(data) - _WINDOW + 1
    if count <= 0:
        return []
    starts = np.concatenate(
        [at + _sieve(data[at : at + _BLOCK + _WINDOW - 1]) for at in range(0, count, _BLOCK)]
    )
    words = sliding_window_view(data, _WINDOW)[starts].view("<u8").ravel()
    limit = np.uint64((1 << 64) - (1 << 64) // (average // 256))
    result: list[int] = (starts[words * _MULTIPLIER >= limit] + _WINDOW).tolist()
    return result


def _sieve(data: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Positions where the weighted sum (mod 256) of the last four of eight bytes is `_CHOSEN`."""
    count = len(data) - _WINDOW + 1
    skipped = _WINDOW - len(_WEIGHTS)
    sums, product = _scratch.sums[:count], _scratch.product[:count]
    np.multiply(data[skipped : skipped + count], _WEIGHTS[0], out=sums)
    for at, weight in enumerate(_WEIGHTS[1:], skipped + 1):
        np.multiply(data[at : at + count], weight, out=product)
        np.add(sums, product, out=sums)
    np.equal(sums, _CHOSEN, out=_scratch.chosen[:count])
    return np.flatnonzero(_scratch.chosen[:count])
