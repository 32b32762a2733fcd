"""Content-defined chunks: where a value is cut depends on the bytes there and on nothing else.

A cut follows each place where eight bytes, read as a little-endian number and multiplied by an odd
constant, come out large: an edit moves only the cuts near it, and zeros are no cuts. All eight
alignments are looked at as 64-bit words, so numpy does the work at about a gigabyte a second.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import numpy as np

DIGEST_SIZE: Final = 16
"""Bytes of a chunk's digest. Equal digests are taken as equal chunks, so it is cryptographic:
what users write into a thread must not be able to collide."""

_WINDOW: Final = 8
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_CLASSES: Final = ((1 << 22, 1 << 10), (1 << 26, 1 << 14), (1 << 62, 1 << 16))
"""(values up to this size, average chunk): a stored format, since cuts that move share nothing"""


def digest(chunk: bytes | memoryview) -> bytes:
    """The name of a chunk."""
    return blake2b(chunk, digest_size=DIGEST_SIZE).digest()


def cut(value: memoryview) -> list[int]:
    """The ends of the value's chunks, rising. What follows the last one is not a whole chunk.

    Chunks are a quarter of the average at least, and four times the average at most.
    """
    average = next(size for limit, size in _CLASSES if len(value) <= limit)
    shortest, longest = average // 4, average * 4
    ends: list[int] = []
    last = 0
    for place in [*_places(value, average), len(value)]:
        while place - last > longest:
            last += longest
            ends.append(last)
        if place - last >= shortest and place < len(value):
            last = place
            ends.append(last)
    return ends


def _places(value: memoryview, average: int) -> list[int]:
    data = np.frombuffer(value, np.uint8)
    limit = np.uint64((1 << 64) - (1 << 64) // average)
    words = np.empty(len(data) // _WINDOW, "<u8")  # one aligned buffer for all alignments
    octets, high = words.view(np.uint8), np.empty(len(words), np.bool_)
    found = []
    for shift in range(min(_WINDOW, len(data) - _WINDOW + 1)):
        count = (len(data) - shift) // _WINDOW
        octets[: count * _WINDOW] = data[shift : shift + count * _WINDOW]
        np.multiply(words[:count], _MULTIPLIER, out=words[:count])
        np.greater_equal(words[:count], limit, out=high[:count])
        found.append(np.flatnonzero(high[:count]) * _WINDOW + (shift + _WINDOW))
    if not found:
        return []
    places = np.concatenate(found)
    places.sort()
    result: list[int] = places.tolist()
    return result
