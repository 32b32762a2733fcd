"""Metadata filters of `list`: the final check of rows that a database's prefilter has selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_PLAIN: Final = frozenset({str, int, float, type(None)})


def matches(metadata: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Whether `metadata` equals `wanted` in each of its keys; a missing key counts as None.

    An empty filter matches everything.
    """
    if not wanted:
        return True
    return all(json_equal(metadata.get(key), value) for key, value in wanted.items())


def json_equal(a: Any, b: Any) -> bool:
    """Equality of JSON values: 1 equals 1.0 but not True, a tuple equals a list."""
    if type(a) in _PLAIN and type(b) in _PLAIN:
        return bool(a == b)
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a == b
    if isinstance(a, Mapping):
        return (
            isinstance(b, Mapping)
            and a.keys() == b.keys()
            and all(json_equal(value, b[key]) for key, value in a.items())
        )
    if _is_array(a):
        return (
            _is_array(b)
            and len(a) == len(b)
            and all(json_equal(x, y) for x, y in zip(a, b, strict=True))
        )
    return bool(a == b)


def _is_array(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))
