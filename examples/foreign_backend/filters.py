"""Evaluation of the store's filters."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def matches(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a value fulfils all entries of a filter."""
    return all(_holds(value.get(name), condition) for name, condition in wanted.items())


def _holds(value: Any, condition: Any) -> bool:
    if isinstance(condition, dict):
        if any(name.startswith("$") for name in condition):
            return all(_compares(value, name, to) for name, to in condition.items())
        return isinstance(value, dict) and matches(value, condition)
    return bool(value == condition)


def _compares(value: Any, name: str, to: Any) -> bool:
    if name not in OPERATORS:
        raise ValueError(f"unknown operator {name!r}: wanted one of {', '.join(OPERATORS)}")
    if name not in ("$eq", "$ne") and not _ordered(value, to):
        return False
    return OPERATORS[name](value, to)


def _ordered(value: Any, to: Any) -> bool:
    """Whether two values have an order: both are numbers, or both are texts."""
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (value, to))
    return numbers or (isinstance(value, str) and isinstance(to, str))
