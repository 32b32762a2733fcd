"""JSON encoding and validation of items' values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from checkpoint_base.errors import InvalidArgumentError

_LARGEST: Final = 2**31 - 1
PLAIN: Final = frozenset({str, int, bool, type(None)})
"""Types all of whose instances are valid JSON."""
# no circularity check: `offence` runs first, and hits the recursion limit on a circular value
_COMPACT: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
)
_DECODE: Final = json.JSONDecoder().raw_decode
_ASCII: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def dumps(value: Any) -> str:
    """Encode an item's value as JSON text.

    Lossless for integers of any size, floats, and any string (lone surrogates are escaped). Tuples
    become lists.

    Raises:
        InvalidArgumentError: it is not a mapping, or contains something that JSON cannot represent.
    """
    if not isinstance(value, dict):
        if not isinstance(value, Mapping):
            raise InvalidArgumentError(
                f"value: wanted a dict, got {value!r:.80}, of type {type(value).__name__}"
            )
        value = dict(value)
    try:
        if problem := offence(value):
            raise InvalidArgumentError(f"value: wanted JSON, got {problem}")
        found = _COMPACT.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        raise InvalidArgumentError(f"value: wanted JSON: {error}") from error
    if not found.isascii():
        try:
            found.encode()
        except UnicodeEncodeError:
            return _ASCII.encode(value)
    return found


def loads(value: str) -> dict[str, Any]:
    """Decode a text that `dumps` made."""
    found: dict[str, Any] = _DECODE(value)[0]  # faster than json.loads: skips white space checks
    return found


def offence(value: Any, at: str = "$") -> str | None:
    """Describe the first part of `value` that is not JSON, and its path; None: all is JSON."""
    kind = type(value)
    if kind in PLAIN:
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value!r} at {at}"
    if isinstance(value, dict):
        return _offence_in_object(value, at)
    if isinstance(value, (list, tuple)):
        return _offence_in_array(value, at)
    if isinstance(value, (str, int)):
        return None
    return f"{value!r:.80}, of type {kind.__name__}, at {at}"


def _offence_in_object(value: Mapping[Any, Any], at: str) -> str | None:
    for key, inner in value.items():
        if not isinstance(key, str):
            return f"the key {key!r:.80}, of type {type(key).__name__}, at {at}"
        kind = type(inner)
        if kind in PLAIN or (kind is float and math.isfinite(inner)):
            continue
        if problem := offence(inner, f"{at}.{key}"):
            return problem
    return None


def _offence_in_array(value: Sequence[Any], at: str) -> str | None:
    for position, inner in enumerate(value):
        if type(inner) not in PLAIN and (problem := offence(inner, f"{at}[{position}]")):
            return problem
    return None


def whole_number(name: str, value: Any) -> int:
    """Validate a limit or an offset. Values above 2**31 - 1 are lowered to it, for databases.

    Raises:
        InvalidArgumentError: it is not an integer, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidArgumentError(f"{name}: wanted a whole number from 0, got {value!r:.80}")
    return min(value, _LARGEST)
