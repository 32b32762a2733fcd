"""Filters as MongoDB's. They only select; `Filter.matches` decides what a search gives.

An item's keys are an array of texts (see `store_keys`), and a condition is one on them: it meets
none of MongoDB's ways with types, arrays and dots.
"""

from __future__ import annotations

from typing import Any, Final

from checkpoint_mongo.requests import Document
from checkpoint_mongo.store_keys import Bounds, bounds_of, other_than
from store_vector.filters import Filter

WITHOUT_KEYS: Final[Document] = {"keys": None}
"""Items of too many fields; those that an older version put, until `setup()` has come by."""


def selection(wanted: Filter) -> Document | None:
    """What every item fulfils that the filter matches, and hardly another; None: all may match."""
    clauses = clauses_of(wanted)
    return {"$or": [WITHOUT_KEYS, {"$and": clauses}]} if clauses else None


def clauses_of(wanted: Filter) -> list[Document]:
    """What every item that has keys fulfils if the filter matches it."""
    clauses: list[Document] = [{"keys": _operand(one)} for one in _ranges(wanted)]
    for condition in wanted.conditions:
        if condition.op == "$ne" and (bounds := bounds_of(condition)) is not None:
            other = other_than(condition)
            left = {} if other is None else {"$ne": other}
            clauses.append({"keys": {"$elemMatch": {**bounds.test, **left}}})
    return clauses


def narrowest(wanted: Filter) -> Bounds | None:
    """Where the keys are that an index should be asked for: a single one, if there is such."""
    return min(_ranges(wanted), key=lambda one: not one.is_key, default=None)


def _ranges(wanted: Filter) -> list[Bounds]:
    """Where keys are that fulfil the conditions, those on one path together."""
    found: dict[tuple[str, ...], Bounds] = {}
    for condition in wanted.conditions:
        if condition.op != "$ne" and (bounds := bounds_of(condition)) is not None:
            known = found.get(condition.path)
            found[condition.path] = bounds if known is None else known.meet(bounds)
    return list(found.values())


def _operand(bounds: Bounds) -> Any:
    # one and the same key has to be within both ends
    return bounds.low if bounds.is_key else {"$elemMatch": bounds.test}
