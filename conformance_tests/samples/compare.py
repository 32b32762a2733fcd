"""Type-strict comparison of values, with a description of the first difference."""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
from langgraph.checkpoint.base import CheckpointTuple
from pydantic import BaseModel

# compared by repr: == says that NaN differs from itself, and ignores digits and time zones
_BY_REPR = (float, complex, Decimal, datetime, time)


def difference(expected: Any, got: Any, where: str = "value") -> str | None:
    """Describe the first difference in type or value; None if there is none."""
    if type(expected) is not type(got):
        return (
            f"{where}: expected {_short(expected)} of type {_name(expected)}, "
            f"got {_short(got)} of type {_name(got)}"
        )
    if isinstance(expected, np.ndarray):
        return _array_difference(expected, got, where)
    if isinstance(expected, re.Pattern):
        parts = (expected.pattern, expected.flags), (got.pattern, got.flags)
        return difference(*parts, where)
    if isinstance(expected, Mapping):
        return _mapping_difference(expected, got, where)
    if isinstance(expected, AbstractSet):
        ordered = sorted(expected, key=_by_type), sorted(got, key=_by_type)
        return _sequence_difference(*ordered, where)
    if isinstance(expected, (list, tuple, deque)):
        return _sequence_difference(expected, got, where)
    fields = _fields(expected)
    if fields is not None:
        return difference(fields, _fields(got), where)
    by_repr = isinstance(expected, _BY_REPR)
    same = repr(expected) == repr(got) if by_repr else bool(expected == got)
    return None if same else f"{where}: expected {_short(expected)}, got {_short(got)}"


def assert_same(expected: Any, got: Any, where: str = "value") -> None:
    """Fail with the first difference in type or value."""
    told = difference(expected, got, where)
    assert told is None, told


def assert_same_tuple(expected: CheckpointTuple, got: CheckpointTuple) -> None:
    """Fail with the first difference between two checkpoint tuples."""
    assert_same(plain(expected), plain(got), "checkpoint tuple")


def plain(found: CheckpointTuple) -> dict[str, Any]:
    """A checkpoint tuple as a dict, its configs reduced to the thread, namespace and checkpoint."""
    return {
        "config": _address(found.config),
        "checkpoint": dict(found.checkpoint),
        "metadata": dict(found.metadata),
        "parent_config": _address(found.parent_config),
        "pending_writes": found.pending_writes,
    }


def _address(config: Any) -> Any:
    if config is None:
        return None
    named = config["configurable"]
    return {
        "thread_id": str(named["thread_id"]),
        "checkpoint_ns": named["checkpoint_ns"],
        "checkpoint_id": named["checkpoint_id"],
    }


def _fields(value: Any) -> dict[str, Any] | None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, BaseModel):
        return dict(value.__dict__)
    return None


def _array_difference(expected: Any, got: Any, where: str) -> str | None:
    if expected.dtype != got.dtype or expected.shape != got.shape:
        return f"{where}: expected {expected.dtype}{expected.shape}, got {got.dtype}{got.shape}"
    equal = np.array_equal(expected, got, equal_nan=expected.dtype.kind in "fc")
    return None if equal else f"{where}: expected {_short(expected)}, got {_short(got)}"


def _mapping_difference(expected: Any, got: Any, where: str) -> str | None:
    keys = {(type(key), key) for key in expected}, {(type(key), key) for key in got}
    if keys[0] != keys[1]:
        missing = sorted(repr(key) for _, key in keys[0] - keys[1])
        added = sorted(repr(key) for _, key in keys[1] - keys[0])
        return f"{where}: keys missing {missing}, keys added {added}"
    for key in expected:
        if told := difference(expected[key], got[key], f"{where}[{key!r}]"):
            return told
    return None


def _sequence_difference(expected: Sequence[Any], got: Sequence[Any], where: str) -> str | None:
    if len(expected) != len(got):
        return f"{where}: expected {len(expected)} items, got {len(got)}: {_short(got)}"
    for index, (one, other) in enumerate(zip(expected, got, strict=True)):
        if told := difference(one, other, f"{where}[{index}]"):
            return told
    return None


def _by_type(value: Any) -> tuple[str, str]:
    return type(value).__name__, repr(value)


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"
