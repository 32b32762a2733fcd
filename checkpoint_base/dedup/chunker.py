"""Content-defined chunks: where a value is cut depends on the bytes there and on nothing else.

A cut follows eight bytes that pass two sieves: a weighted sum of the last four of them, which numpy
computes for all places at once, and, for the few that are left, a multiplicative hash of all eight.
An edit moves only the cuts near it.
"""

from __future__ import annotations

from hashlib import blake2b
from threading import local
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

DIGEST_SIZE: Final = 16
"""Bytes of a chunk's digest. Equal digests are taken as equal chunks, so it is cryptographic:
what users write into a thread must not be able to collide."""

_WINDOW: Final = 8
_BLOCK: Final = 1 << 15
_WEIGHTS: Final = (np.uint8(167), np.uint8(59), np.uint8(113), np.uint8(229))
_CHOSEN: Final = np.uint8(0x5B)  # not 0: zeros are no cuts
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_CLASSES: Final = ((1 << 22, 1 << 10), (1 << 26, 1 << 14), (1 << 62, 1 << 16))
"""(values up to this size, average chunk): a stored format, since cuts that move share nothing"""


def digest(chunk: bytes | memoryview) -> bytes:
    """The name of a chunk."""
    return blake2b(chunk, digest_size=DIGEST_SIZE).digest()


def average_chunk(size: int) -> int:
    """The average size of chunks of a value of this size."""
    return next(average for limit, average in _CLASSES if size <= limit)


def cut(value: memoryview, begin: int = 0) -> list[int]:
    """The ends of the value's chunks, rising. What follows the last one is not a whole chunk.

    Chunks are a quarter of the average at least, and four times the average at most.

    Args:
        value: what is to be cut.
        begin: where to begin, if it is known that a chunk ends there; only later ends are given.
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
    """Room for a block's sums, a thread's own: fresh memory would cost more than the arithmetic."""

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
    """Where the last four of eight bytes, weighted and added modulo 256, give one number."""
    count = len(data) - _WINDOW + 1
    skipped = _WINDOW - len(_WEIGHTS)
    sums, product = _scratch.sums[:count], _scratch.product[:count]
    np.multiply(data[skipped : skipped + count], _WEIGHTS[0], out=sums)
    for at, weight in enumerate(_WEIGHTS[1:], skipped + 1):
        np.multiply(data[at : at + count], weight, out=product)
        np.add(sums, product, out=sums)
    np.equal(sums, _CHOSEN, out=_scratch.chosen[:count])
    return np.flatnonzero(_scratch.chosen[:count])
