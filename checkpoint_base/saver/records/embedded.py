"""Small values, embedded in their checkpoint's row so that most checkpoints are read as one row.

The row's channel versions mark the embedded channels (`versions.versions_json`). The row's own
checksum covers the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import ormsgpack

from checkpoint_base.errors import CorruptValueError

if TYPE_CHECKING:
    from checkpoint_base.saver.records.kinds import Typed, ValueRecord

EMBEDDED_BYTES: Final = 2048
"""Maximum bytes of embedded values in a checkpoint's row."""


class EmbeddedValues(NamedTuple):
    """The undecoded embedded values of a checkpoint.

    Attributes:
        names: the channels.
        kinds: the serializer's type of each value; a single string if all are equal.
        lengths: the size of each value in bytes.
        data: the concatenated values.
    """

    names: Sequence[str] = ()
    kinds: str | Sequence[str] = ()
    lengths: Sequence[int] = ()
    data: bytes = b""

    @classmethod
    def of(cls, values: Mapping[str, Typed]) -> EmbeddedValues:
        """Embed these values; `values` is channel -> (type, bytes)."""
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
        """Channel -> (type, bytes)."""
        kinds = [self.kinds] * len(self.names) if isinstance(self.kinds, str) else self.kinds
        found: dict[str, Typed] = {}
        at = 0
        for name, kind, length in zip(self.names, kinds, self.lengths, strict=True):
            found[name] = kind, self.data[at : at + length]
            at += length
        return found

    def packed(self) -> bytes | None:
        """Encode for the row: msgpack of kinds, lengths and data. None: no values."""
        return ormsgpack.packb((self.kinds, self.lengths, self.data)) if self.names else None


NOTHING: Final = EmbeddedValues()


def unpacked(stored: bytes | None, names: Sequence[str]) -> EmbeddedValues:
    """Decode a row's embedded values; `names` are the channels that its versions mark as embedded.

    Raises:
        CorruptValueError: the number or sizes of the values do not match.
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
    """The channels to embed: the smallest values, up to `EMBEDDED_BYTES` in total."""
    taken: set[str] = set()
    room = EMBEDDED_BYTES
    for one in sorted(values, key=lambda one: len(one.value[1])):
        room -= len(one.value[1])
        if room < 0:
            break
        taken.add(one.channel)
    return taken
