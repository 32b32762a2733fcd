"""Fields that searches filter by: conditions as ranges of what lua/store/fields.lua lists."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from checkpoint_redis.requests import Arg
from store_vector.facets import is_plain
from store_vector.filters import OBJECT, Condition, Filter, is_number

LISTED_AT_ONCE: Final = 1000
"""Items that one script lists."""
_LONGEST: Final = 64
_LONGEST_PATH: Final = 500
_NUMBER, _BEHIND_NUMBERS = b"3", b"4"
_TEXT, _BEHIND_TEXTS = b"4", b"5"
_BEHIND: Final = b"\xff"  # no time that is listed begins with it
_DOUBLE: Final = struct.Struct(">d")
_SIGN: Final = 1 << 63


class Span(NamedTuple):
    """A range of keys: from `low`, before `high`; whether it is one key."""

    low: bytes
    high: bytes
    is_key: bool = False


def spans(wanted: Filter) -> list[tuple[str, Span]]:
    """What conditions select, with their paths."""
    return [
        (path, found)
        for condition in wanted.conditions
        if all(map(is_plain, condition.path))
        and len(path := json.dumps(condition.path)) <= _LONGEST_PATH
        and (found := _span(condition)) is not None
    ]


def arguments(found: Sequence[tuple[str, Span]]) -> list[Arg]:
    """Spans as lua/store/browse.lua takes them."""
    args: list[Arg] = [4 * len(found)]
    for path, span in found:
        args += path.encode(), span.low, span.high, int(span.is_key)
    return args


def _span(condition: Condition) -> Span | None:
    _, op, operand = condition
    if op in ("$ne", OBJECT) or not (operand is None or isinstance(operand, (str, int, float))):
        return None
    if op == "$eq":
        key = _key(operand)
        return Span(key, key + _BEHIND, is_key=True)
    if is_number(operand):
        first, key, behind = _NUMBER, _key(operand), _BEHIND_NUMBERS
    elif isinstance(operand, str):
        first, key, behind = _TEXT, _key(operand), _BEHIND_TEXTS
    else:
        return Span(b"", b"")  # nothing else is greater or less
    return Span(key, behind) if op in ("$gt", "$gte") else Span(first, key + _BEHIND)


def _key(value: float | str | None) -> bytes:
    if isinstance(value, str):
        short = value.encode(errors="surrogatepass")[:_LONGEST]
        return _TEXT + short.partition(b"\0")[0] + b"\0"
    if value is None or isinstance(value, bool):
        return b"0" if value is None else b"2" if value else b"1"
    return _NUMBER + sortable(value)


def sortable(number: float) -> bytes:
    """A number as 8 bytes in the same order, which large integers do not leave."""
    try:
        bits = int.from_bytes(_DOUBLE.pack(float(number) + 0.0), "big")
    except OverflowError:
        bits = int.from_bytes(_DOUBLE.pack(float("inf" if number > 0 else "-inf")), "big")
    return (bits ^ (2 * _SIGN - 1) if bits & _SIGN else bits | _SIGN).to_bytes(8, "big")
