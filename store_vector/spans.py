"""Spans: conditions as ranges of keys, for databases that keep an index over a field's values.

A key is a value as something that sorts as filters compare: numbers, then texts by code point, then
bytes, which is SQLite's order. If a < b then key(a) <= key(b); what is equal has the same key. So a
range has all that matches, and little else: `Filter.matches` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from store_vector.facets import LARGEST
from store_vector.filters import OBJECT, Condition, is_number

LONGEST: Final = 64
"""Characters of a text that are its key."""

_BEHIND_SURROGATES: Final = "\ue000"
_FIRST_TEXT, _BEHIND_TEXTS = "", b""
_NULL, _FALSE, _TRUE = b"n", b"f", b"t"

Key = int | float | str | bytes


class Span(NamedTuple):
    """Where the keys of all are that fulfil a condition.

    Attributes:
        low: from here, or behind it if `is_behind_low`; None: from the first.
        high: to here, it too if `has_high`.
    """

    low: Key | None
    high: Key
    is_behind_low: bool = False
    has_high: bool = False

    @property
    def is_point(self) -> bool:
        """Whether it is a single key."""
        return self.low is not None and self.low == self.high and self.has_high


def key_at(value: Any, path: Sequence[str]) -> Key | None:
    """What an item's value has at a path, as a key; None: nothing, or an array or object."""
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return key_of(value)


def key_of(value: Any) -> Key | None:
    """A JSON value as a key; None: it is an array or object."""
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, (int, float)):
        return value if -LARGEST <= value <= LARGEST else _of_large(value)
    return _NULL if value is None else None


def _of_text(value: str) -> str:
    short = value[:LONGEST]
    if not short.isascii():
        for at, character in enumerate(short):
            if "\ud800" <= character < _BEHIND_SURROGATES:  # UTF-8 has none
                return short[:at] + _BEHIND_SURROGATES
    return short


def _of_large(value: float) -> float:
    """Large integers may become equal, but are never turned round."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def span(condition: Condition) -> Span | None:
    """Where what fulfils a condition is; None: keys do not say."""
    _, op, operand = condition
    key = key_of(operand)
    if key is None or op in ("$ne", OBJECT):
        return None
    if op == "$eq":
        return Span(key, key, has_high=True)
    if is_number(operand):
        is_exact = -LARGEST < operand < LARGEST
        first: Key | None = None
        behind: Key = _FIRST_TEXT
    elif isinstance(operand, str):
        is_exact = len(operand) < LONGEST and operand.isascii()
        first, behind = _FIRST_TEXT, _BEHIND_TEXTS
    else:
        return Span(0, 0)  # nothing else is greater or less
    if op in ("$gt", "$gte"):
        return Span(key, behind, is_behind_low=is_exact and op == "$gt")
    return Span(first, key, has_high=op == "$lte" or not is_exact)
