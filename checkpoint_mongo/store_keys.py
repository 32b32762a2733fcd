"""Filters on MongoDB: a document's `keys` are texts that an index keeps in the order of filters.

Each field of an item has a key: its path as JSON, a mark of the type, then the value: a number as
the hexadecimal digits of a double that sort as numbers do, a text by its first characters. If
a < b then key(a) <= key(b), and equal values have equal keys. So a condition is a range of keys,
which contains all that matches and little else: `Filter.matches` decides. MongoDB's own operators
on the value would see through arrays, split names at dots and take null for a missing field.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from checkpoint_mongo.requests import Document
from store_vector.facets import LARGEST
from store_vector.filters import OBJECT, Condition, Filter, is_number
from store_vector.spans import LONGEST, Key, key_of, span

MOST: Final = 200
"""An item with more fields has the key `ANY_FIELD` alone: each put writes an index entry a key."""
ANY_FIELD: Final = "*"
"""The key of an item that every filter has to look at. A path begins with a bracket."""

_LONGEST_PATH: Final = 256
_NUMBER, _TEXT, _OTHER, _OBJECT, _ARRAY, _BEHIND = "123456"
_DOUBLE: Final = struct.Struct(">d")
_SIGN: Final = 1 << 63


def keys_of(value: Mapping[str, Any]) -> list[str]:
    """The keys of all fields of a value, also of those within objects. Those of objects and arrays
    say only that one is there.
    """
    keys: list[str] = []
    for prefix, field in _fields((), value):
        keys.append(prefix + _mark(field))
        if len(keys) > MOST:
            return [ANY_FIELD]
    return keys


def _fields(path: tuple[str, ...], value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in value.items():
        inner = (*path, name)
        if (prefix := _prefix(inner)) is not None:
            yield prefix, field
            if isinstance(field, Mapping):
                yield from _fields(inner, field)


@lru_cache(1024)
def _prefix(path: tuple[str, ...]) -> str | None:
    """The begin of a field's key: no such text begins with another. None: it is too long."""
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

_TIGHTER: Final[Mapping[str, Callable[[str, str], str]]] = {
    "$gt": max,
    "$gte": max,
    "$lt": min,
    "$lte": min,
    "$ne": max,  # a path has one such condition
}


def clauses(wanted: Filter) -> Sequence[Document]:
    """Conditions on `keys` that every item fulfils that the filter matches, unless it has the key
    `ANY_FIELD`: one for each path, the one that selects most first.

    One and the same key has to fulfil all of a condition: `$elemMatch`. Operands are bound behind
    an operator, and never are one.
    """
    ranges: dict[str, dict[str, str]] = {}
    for condition in wanted.conditions:
        prefix = _prefix(condition.path)
        if prefix is None:
            continue
        known = ranges.setdefault(prefix, {})
        for operator, key in _range(condition).items():
            tighter = _TIGHTER[operator]
            known[operator] = tighter(known.get(operator, prefix + key), prefix + key)
    ordered = sorted(ranges.values(), key=lambda one: (not _is_point(one), "$ne" in one))
    return [_clause(one) for one in ordered]


def _range(condition: Condition) -> dict[str, str]:
    """The keys of what fulfils a condition, without its path."""
    operand = condition.operand
    if condition.op == "$ne":  # a field has to be there
        others = {"$ne": _mark(operand)} if _has_key_of_its_own(operand) else {}
        return {"$gte": _NUMBER, "$lt": _BEHIND, **others}
    found = span(condition)
    if found is None:  # a condition on an object or an array
        mark = _OBJECT if condition.op == OBJECT else _mark(operand)
        return {"$gte": mark, "$lte": mark}
    low = _NUMBER if found.low is None else _text_of(found.low)
    first, last = "$gt" if found.is_behind_low else "$gte", "$lte" if found.has_high else "$lt"
    return {first: low, last: _text_of(found.high)}


def _has_key_of_its_own(value: Any) -> bool:
    """Whether nothing that differs from the value has the same key."""
    if isinstance(value, str):
        return value.isascii() and len(value) < LONGEST
    if is_number(value):
        return bool(-LARGEST < value < LARGEST)
    return value is None or isinstance(value, bool)


def _is_point(operators: Mapping[str, str]) -> bool:
    return operators.keys() == {"$gte", "$lte"} and operators["$gte"] == operators["$lte"]


def _clause(operators: Mapping[str, str]) -> Document:
    if _is_point(operators):
        return {"keys": operators["$gte"]}
    return {"keys": {"$elemMatch": operators}}
