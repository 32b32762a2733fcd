"""Filters on databases that keep values as text: pieces of JSON that every match has."""

from __future__ import annotations

from typing import Any, Final

from store_vector.filters import Condition
from store_vector.values import dumps

_SMALL, _LARGE = 1e-3, 10**15  # between them, Python writes no exponents
EXACT: Final = 2**53
"""Numbers up to this are the same in all databases."""


def fragment(condition: Condition) -> str | None:
    """What the text of every value has that fulfils the condition; None: there is no such text.

    Other than printable ASCII may be written or escaped. 7 is the beginning of 7.0, but 0 also
    equals -0.0, and a large number may have an exponent.
    """
    name, operand = condition.path[-1], condition.operand
    kind = type(operand)
    if kind is float:
        operand, kind = (int(operand), int) if operand.is_integer() else (operand, kind)
    is_sought = operand is None or kind is bool or (kind is str and _is_printable(operand))
    if kind is int or kind is float:
        is_sought = _SMALL < abs(operand) < _LARGE
    if condition.op != "$eq" or not is_sought or not _is_printable(name):
        return None
    return dumps({name: operand})[1:-1]


def is_text(operand: Any) -> bool:
    """Whether databases take it as a text."""
    if not isinstance(operand, str) or "\0" in operand:
        return False
    try:
        operand.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_printable(text: str) -> bool:
    return text.isascii() and text.isprintable()
