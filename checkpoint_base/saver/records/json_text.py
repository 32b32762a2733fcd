"""JSON texts as records have them: what JSON gives back as it was, and text without white space
around, so that one step parses it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

_scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())["scan_once"]


def parsed(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not one.
        TypeError: it is not even text.
    """
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        raise ValueError(f"no JSON value at {stop.value}") from stop
    if end != len(text):
        raise ValueError(f"more than one JSON value, at {end}")
    return value


def is_plain(value: Any) -> bool:
    """Whether JSON gives `value` back as it was (a tuple comes back as a list)."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return True
    if kind is dict:
        return all(type(key) is str and is_plain(entry) for key, entry in value.items())
    if kind is list or kind is tuple:
        return all(map(is_plain, value))
    return kind is float and math.isfinite(value)
