"""Keys of fields: what filters look for, as texts that an index has in the order of filters.

A key is a path, then a mark of the type, then the value: a number as the hexadecimal digits of a
double in the same order, a text by its first characters. If a < b then key(a) <= key(b), and what
is equal has the same key. So a range has all that matches, and little else: `Filter.matches`
decides.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from store_vector.facets import LARGEST
from store_vector.filters import OBJECT, Condition, is_number
from store_vector.spans import LONGEST, Key, Span, key_of, span

MOST: Final = 200
"""An item with more fields has no keys: what is looked for among such items is judged here."""

_LONGEST_PATH: Final = 256
_NUMBER, _TEXT, _OTHER, _OBJECT, _ARRAY, _BEHIND = "123456"
_DOUBLE: Final = struct.Struct(">d")
_SIGN: Final = 1 << 63


class Bounds(NamedTuple):
    """Where keys are that fulfil conditions on one path: from `low`, or behind it, to `high`, or
    before it.
    """

    low: str
    high: str
    is_behind_low: bool = False
    has_high: bool = True

    @property
    def is_key(self) -> bool:
        """Whether it is a single key."""
        return self.has_high and self.low == self.high

    @property
    def test(self) -> dict[str, str]:
        """The condition on a key."""
        first = "$gt" if self.is_behind_low else "$gte"
        return {first: self.low, "$lte" if self.has_high else "$lt": self.high}

    def meet(self, other: Bounds) -> Bounds:
        """What is in both."""
        low, is_behind_low = max((self.low, self.is_behind_low), (other.low, other.is_behind_low))
        high, has_high = min((self.high, self.has_high), (other.high, other.has_high))
        return Bounds(low, high, is_behind_low, has_high)


def keys_of(value: Mapping[str, Any]) -> list[str] | None:
    """The keys of all fields of a value, also of those within objects; None: they are too many.

    Of objects and arrays they say only that they are there.
    """
    found: list[str] = []
    for path, inner in _walk((), value):
        if (text := path_text(path)) is None:
            continue
        found.append(text + _mark(inner))
        if len(found) > MOST:
            return None
    return found


def _walk(path: tuple[str, ...], value: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        here = (*path, name)
        yield here, inner
        if isinstance(inner, Mapping) and path_text(here) is not None:
            yield from _walk(here, inner)


@lru_cache(1024)
def path_text(path: tuple[str, ...]) -> str | None:
    """What a field's key begins with: no such text begins with another. None: it is too long."""
    text = json.dumps(path)  # names may have dots, NUL, anything
    return text if len(text) <= _LONGEST_PATH else None


def _mark(value: Any) -> str:
    if isinstance(value, Mapping):
        return _OBJECT
    key = key_of(value)
    return _ARRAY if key is None else _text_of(key)


def _text_of(key: Key) -> str:
    if isinstance(key, str):
        return _TEXT + key
    if isinstance(key, bytes):
        return _OTHER + key.decode()
    bits = int.from_bytes(_DOUBLE.pack(float(key) + 0.0), "big")  # -0.0 is 0.0
    return f"{_NUMBER}{bits ^ (2 * _SIGN - 1) if bits & _SIGN else bits | _SIGN:016x}"


# ---------------------------------------------------------------- conditions


def bounds_of(condition: Condition) -> Bounds | None:
    """Where the keys are of what fulfils a condition; None: keys do not say."""
    path = path_text(condition.path)
    if path is None:
        return None
    if condition.op == "$ne":  # a field has to be there
        return Bounds(path + _NUMBER, path + _BEHIND, has_high=False)
    if condition.op == OBJECT:
        return Bounds(path + _OBJECT, path + _OBJECT)
    if condition.op == "$eq" and key_of(condition.operand) is None:
        mark = path + _mark(condition.operand)
        return Bounds(mark, mark)
    found = span(condition)
    return None if found is None else _of_span(path, found)


def _of_span(path: str, found: Span) -> Bounds:
    low = path + (_NUMBER if found.low is None else _text_of(found.low))
    return Bounds(low, path + _text_of(found.high), found.is_behind_low, found.has_high)


def other_than(condition: Condition) -> str | None:
    """The key that `$ne` leaves out; None: others have it, too."""
    path, operand = path_text(condition.path), condition.operand
    if condition.op != "$ne" or path is None or not _is_exact(operand):
        return None
    return path + _mark(operand)


def _is_exact(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() and len(value) < LONGEST
    if is_number(value):
        return bool(-LARGEST < value < LARGEST)
    return value is None or isinstance(value, bool)
