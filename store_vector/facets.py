"""Facets: what is short in an item's value, for databases that judge conditions by it.

A database that keeps them beside the text need not take the text apart. They only spare items:
`Filter.matches` decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LONGEST: Final = 100
"""Characters of a string that is kept."""
LARGEST: Final = 2**53
"""Numbers that are kept: no larger ones, which floats do not tell apart."""
LEFT_OUT: Final[list[Any]] = [0]
"""What stands where something is that is not kept: arrays, what is too long or too large, text
that is no UTF-8 or has a NUL.
"""
_MOST: Final = 2000
_DEEPEST: Final = 8

Facets = dict[str, Any]


def facets(value: Mapping[str, Any]) -> Facets | None:
    """The facets of an item's value: its objects with all their fields, except those whose names
    databases cannot keep. None: they would be too many, or lie too deep.
    """
    kept: Facets = {}
    return kept if _keep(value, kept, _MOST, _DEEPEST) >= 0 else None


def _keep(value: Mapping[str, Any], kept: Facets, room: int, depth: int) -> int:
    """Fill `kept`; the room that is left, less than 0 if it was not enough."""
    for name, inner in value.items():
        if not is_plain(name):
            continue
        room -= len(name) + 8
        if room < 0:
            break
        if isinstance(inner, dict):
            within: Facets = {}
            kept[name] = within
            room = _keep(inner, within, room, depth - 1) if depth else -1
        elif is_kept(inner):
            kept[name] = inner
            room -= len(inner) if isinstance(inner, str) else 0
        else:
            kept[name] = LEFT_OUT
    return room


def is_kept(value: Any) -> bool:
    """Whether facets have a value that is no object as it is."""
    if isinstance(value, str):
        return len(value) <= LONGEST and is_plain(value)
    if value is None or isinstance(value, bool):
        return True
    return isinstance(value, (int, float)) and -LARGEST <= value <= LARGEST


def is_plain(text: str) -> bool:
    """Whether databases can keep it as text."""
    if "\0" in text:
        return False
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True
