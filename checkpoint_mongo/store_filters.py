"""Filters as MongoDB's. They only select; `Filter.matches` decides what a search gives.

A value is kept as text, and its fields beside it as a list of (k: path, v: value), with `v` neither
an object nor an array that has anything in it. So no operator meets MongoDB's ways with arrays and
dots: what it compares are numbers with numbers and strings with strings, as filters do.
"""

from __future__ import annotations

import math
from typing import Any

from checkpoint_mongo.requests import Document
from checkpoint_mongo.store_documents import is_comparable, is_text, path_text
from store_vector.filters import OBJECT, Condition, Filter, is_number


def selection(wanted: Filter) -> Document | None:
    """What every item fulfils that the filter matches, and hardly another; None: all may match."""
    clauses = [clause for one in wanted.conditions if (clause := _clause(one)) is not None]
    if not clauses:
        return None
    return {"$or": [{"fields": {"$exists": False}}, {"$and": clauses}]}


def _clause(condition: Condition) -> dict[str, Any] | None:
    path = path_text(condition.path)
    if path is None:
        return None
    test = _test(condition.op, condition.operand)
    within: dict[str, Any] = {"k": path}
    if test is not None:
        within["$or"] = [{"v": test}, {"x": 1}]
    return {"fields": {"$elemMatch": within}}


def _test(op: str, operand: Any) -> dict[str, Any] | None:
    """What holds of a field's value; None: only that it is there."""
    if op == OBJECT:
        return {"$type": "object"}
    if op == "$eq":
        return _equal(operand)
    if op == "$ne":
        if operand is None:
            return {"$not": {"$type": "null"}}
        return {"$ne": operand} if _is_bound(operand) else None
    # nothing is greater or less than what is neither a number nor a string
    return {op: operand} if _is_bound(operand) and not isinstance(operand, bool) else None


def _equal(operand: Any) -> dict[str, Any] | None:
    if operand is None:
        return {"$type": "null"}
    if isinstance(operand, dict):
        return {"$type": "object"}
    if isinstance(operand, (list, tuple)):
        return {"$type": "array"}
    return {"$eq": operand} if _is_bound(operand) else None


def _is_bound(operand: Any) -> bool:
    """Whether an operand can stand in a condition: a number, a string or a truth value that BSON
    has. Of strings, those that are longer than any that is compared, too.
    """
    if isinstance(operand, str):
        return is_text(operand)
    if is_number(operand):
        return is_comparable(operand) and not math.isnan(operand)
    return isinstance(operand, bool)
