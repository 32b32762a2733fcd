"""Pieces of the JSON text of values that match. They spare items; `Filter.matches` decides."""

from __future__ import annotations

from typing import Any

from store_vector.values import dumps

_SMALL, _LARGE = 1e-3, 10**15  # between them, Python writes no exponents


def fragment(name: str, operand: Any) -> str | None:
    """What the text of every value has that fulfils the condition; None: there is no such text.

    Other than printable ASCII may be written or escaped. 7 is the beginning of 7.0, but 0 also
    equals -0.0, and a large number may have an exponent.
    """
    kind = type(operand)
    if kind is float:
        operand, kind = (int(operand), int) if operand.is_integer() else (operand, kind)
    is_sought = operand is None or kind is bool or (kind is str and is_printable(operand))
    if kind is int or kind is float:
        is_sought = _SMALL < abs(operand) < _LARGE
    if not is_sought or not is_printable(name):
        return None
    return dumps({name: operand})[1:-1]


def is_printable(text: str) -> bool:
    """Whether it is printable ASCII."""
    return text.isascii() and text.isprintable()
