"""Heuristic that predicts whether a channel's next version shares chunks with the last one.

Cutting a value and hashing its chunks costs more than storing it, and pays only if versions share
chunks. In a channel whose value is replaced each time they never do. So four short samples of each
version are kept and searched for in the next one, near their old positions; a version that contains
none of them is stored whole. Samples can mislead either way, so a measurement overrides them: how
many bytes of the last cut version were already stored.

A wrong prediction costs time or storage, and never changes a value.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SHARED_AT_LEAST: Final = 0.1
"""Fraction of a version that must already be stored for cutting to count as worthwhile."""
LOOK_EVERY: Final = 64
"""In a series of dissimilar versions, `LOOKS` of every 64 are cut anyway, to detect a change."""
LOOKS: Final = 3
"""Number of consecutive probes. If two values alternate, a version shares chunks with the last but
one, so a single probe would find nothing."""

_SAMPLES: Final = 4
_SAMPLE: Final = 128  # bytes; `bytes.find` is five times slower with shorter samples
_DISTANCE: Final = 8  # search for a sample within an eighth of the value's size


class Samples(NamedTuple):
    """Samples of a value: its size, and (offset, bytes) of each sample."""

    size: int
    pieces: tuple[tuple[int, bytes], ...]

    @classmethod
    def of(cls, data: bytes) -> Samples:
        """Take samples spread evenly over the value."""
        size = len(data)
        starts = [size * (2 * n + 1) // (2 * _SAMPLES) for n in range(_SAMPLES)]
        return cls(size, tuple([(at, data[at : at + _SAMPLE]) for at in starts]))

    def in_common(self, data: bytes) -> int:
        """How many samples occur in `data` near their old offset from the start or from the end."""
        shift, around = len(data) - self.size, len(data) // _DISTANCE
        before, behind = min(shift, 0) - around, max(shift, 0) + around + _SAMPLE
        found = [data.find(piece, max(0, at + before), at + behind) for at, piece in self.pieces]
        return len(found) - found.count(-1)


class SharingHistory(NamedTuple):
    """How the stored versions of a channel resembled each other.

    Attributes:
        samples: samples of the last version.
        unlike: number of last versions in a row that shared nothing; 0: the last one shared.
        was_cut: whether the last version was cut, so that the next one can share its chunks.
        misleading: the largest number of samples found in a version that then shared nothing.
    """

    samples: Samples
    unlike: int
    was_cut: bool
    misleading: int

    def is_worth_cutting(self, data: bytes) -> bool:
        """Whether the next version, `data`, is likely to share enough chunks."""
        if self.unlike == 0 or self.unlike % LOOK_EVERY >= LOOK_EVERY - LOOKS:
            return True
        return self.samples.in_common(data) > self.misleading


def after(last: SharingHistory | None, data: bytes, *, is_cut: bool, new: int) -> SharingHistory:
    """The history after one more version was stored.

    Args:
        last: the previous history; None: unknown.
        data: the stored version.
        is_cut: whether it was cut into chunks, which the next version can share.
        new: how many of its bytes had to be stored.
    """
    samples = Samples.of(data)
    if new <= len(data) * (1 - SHARED_AT_LEAST):
        return SharingHistory(samples, 0, is_cut, misleading=0)
    if last is None:
        return SharingHistory(samples, 1, is_cut, misleading=0)
    misleading = last.misleading
    if is_cut and last.was_cut:  # otherwise there were no chunks to share
        misleading = max(misleading, last.samples.in_common(data))
    return SharingHistory(samples, last.unlike + 1, is_cut, misleading)
