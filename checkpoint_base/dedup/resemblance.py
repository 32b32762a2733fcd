"""Whether a channel's next version is worth cutting: does it have anything in common with the last?

Cutting a value and hashing its chunks costs more than storing it. It pays where versions share
chunks, and a channel whose value is replaced each time never does. So four short samples of each
version are kept, and looked for in the next one near where they were; a version that has none of
them is stored whole. Samples can be wrong in both directions, so what is measured counts for more:
how much of a version that was cut did not have to be stored.

What is kept here decides about speed and storage only, never about what a value is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SHARED_AT_LEAST: Final = 0.1
"""A version of which less than this was already stored shares nothing worth the effort."""
LOOK_EVERY: Final = 64
"""Of so many versions in a row that resemble nothing, some are cut all the same."""
LOOKS: Final = 3
"""How many of them, one after the other: two values that take turns share with the last but one."""

_SAMPLES: Final = 4
_SAMPLE: Final = 128  # bytes; Python looks for shorter ones five times as slowly
_DISTANCE: Final = 8  # a sample is looked for within an eighth of the value


class Samples(NamedTuple):
    """Pieces of a value: where they begin, and the bytes."""

    size: int
    pieces: tuple[tuple[int, bytes], ...]

    @classmethod
    def of(cls, data: bytes) -> Samples:
        """Evenly spread over the value."""
        size = len(data)
        starts = [size * (2 * n + 1) // (2 * _SAMPLES) for n in range(_SAMPLES)]
        return cls(size, tuple([(at, data[at : at + _SAMPLE]) for at in starts]))

    def in_common(self, data: bytes) -> int:
        """How many of the pieces `data` has near where they were, as seen from its beginning or
        its end.
        """
        shift, around = len(data) - self.size, len(data) // _DISTANCE
        before, behind = min(shift, 0) - around, max(shift, 0) + around + _SAMPLE
        found = [data.find(piece, max(0, at + before), at + behind) for at, piece in self.pieces]
        return len(found) - found.count(-1)


class SharingHistory(NamedTuple):
    """What is known of the versions of a channel that were stored.

    Attributes:
        samples: of the last one.
        unlike: how many in a row shared nothing, as far as is known; 0: the last one shared.
        was_cut: whether the last one has chunks that the next one can share.
        misleading: so many samples were found in a version that then shared nothing.
    """

    samples: Samples
    unlike: int
    was_cut: bool
    misleading: int

    def is_worth_cutting(self, data: bytes) -> bool:
        """Whether the next version may share enough."""
        if self.unlike == 0 or self.unlike % LOOK_EVERY >= LOOK_EVERY - LOOKS:
            return True
        return self.samples.in_common(data) > self.misleading


def after(last: SharingHistory | None, data: bytes, *, is_cut: bool, new: int) -> SharingHistory:
    """The history with one more version.

    Args:
        last: the history before; None: it is not known.
        data: the version.
        is_cut: whether it was cut into chunks: the next version can share them.
        new: how many of its bytes had to be stored.
    """
    samples = Samples.of(data)
    if new <= len(data) * (1 - SHARED_AT_LEAST):
        return SharingHistory(samples, 0, is_cut, misleading=0)
    if last is None:
        return SharingHistory(samples, 1, is_cut, misleading=0)
    misleading = last.misleading
    if is_cut and last.was_cut:  # else there were no chunks to share
        misleading = max(misleading, last.samples.in_common(data))
    return SharingHistory(samples, last.unlike + 1, is_cut, misleading)
