"""JSON texts as records have them: without white space around, so that one step parses them."""

from __future__ import annotations

import json
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
