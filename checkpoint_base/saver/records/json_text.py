"""JSON text in records: a fast parser, and the test whether a value survives a JSON round trip."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

_scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())["scan_once"]


def parsed(text: str) -> Any:
    """Parse JSON text that has no surrounding white space, as records contain it.

    Raises:
        ValueError: the text is not valid JSON.
        TypeError: the argument is not a string.
    """
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        raise ValueError(f"no JSON value at {stop.value}") from stop
    if end != len(text):
        raise ValueError(f"more than one JSON value, at {end}")
    return value


def is_plain(value: Any) -> bool:
    """Whether `value` survives a JSON round trip, except that tuples become lists."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return True
    if kind is dict:
        return all(type(key) is str and is_plain(entry) for key, entry in value.items())
    if kind is list or kind is tuple:
        return all(map(is_plain, value))
    return kind is float and math.isfinite(value)
