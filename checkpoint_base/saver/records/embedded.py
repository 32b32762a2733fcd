"""Small values embedded in their checkpoint's row: most often a checkpoint is read as one row.

Which channels have their value there, the row's versions say (`versions.versions_json`). The row's
own checksum covers the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import ormsgpack

from checkpoint_base.errors import CorruptValueError

if TYPE_CHECKING:
    from checkpoint_base.saver.records.kinds import Typed, ValueRecord

EMBEDDED_BYTES: Final = 2048
"""A checkpoint's row has at most so many bytes of values."""


class EmbeddedValues(NamedTuple):
    """The embedded values of a checkpoint, not decoded.

    Attributes:
        names: their channels.
        kinds: the serializer's type of each; or of all, where it is the same.
        lengths: the bytes of each.
        data: all of them, one after the other.
    """

    names: Sequence[str] = ()
    kinds: str | Sequence[str] = ()
    lengths: Sequence[int] = ()
    data: bytes = b""

    @classmethod
    def of(cls, values: Mapping[str, Typed]) -> EmbeddedValues:
        """Some values, by channel."""
        if not values:
            return NOTHING
        kinds = [kind for kind, _ in values.values()]
        return cls(
            tuple(values),
            kinds[0] if len(set(kinds)) == 1 else kinds,
            [len(data) for _, data in values.values()],
            b"".join([data for _, data in values.values()]),
        )

    def values(self) -> dict[str, Typed]:
        """Each value, by channel."""
        kinds = [self.kinds] * len(self.names) if isinstance(self.kinds, str) else self.kinds
        found: dict[str, Typed] = {}
        at = 0
        for name, kind, length in zip(self.names, kinds, self.lengths, strict=True):
            found[name] = kind, self.data[at : at + length]
            at += length
        return found

    def packed(self) -> bytes | None:
        """As the row has it, without the names: msgpack of the other three. None: no value."""
        return ormsgpack.packb((self.kinds, self.lengths, self.data)) if self.names else None


NOTHING: Final = EmbeddedValues()


def unpacked(stored: bytes | None, names: Sequence[str]) -> EmbeddedValues:
    """The values of a row; `names`: the channels of which its versions say that they are in there.

    Raises:
        CorruptValueError: these are not so many values.
    """
    if not names and stored is None:
        return NOTHING
    try:
        small = EmbeddedValues(names, *ormsgpack.unpackb(stored or b""))
        is_whole = len(names) == len(small.lengths) and sum(small.lengths) == len(small.data)
    except (ValueError, TypeError) as error:
        raise CorruptValueError("a checkpoint's embedded values cannot be read") from error
    if not is_whole:
        raise CorruptValueError("a checkpoint's row does not have all of its embedded values")
    return small


def embedded(values: Iterable[ValueRecord]) -> set[str]:
    """The channels whose values a checkpoint's row takes: the smallest, while there is room."""
    taken: set[str] = set()
    room = EMBEDDED_BYTES
    for one in sorted(values, key=lambda one: len(one.value[1])):
        room -= len(one.value[1])
        if room < 0:
            break
        taken.add(one.channel)
    return taken
