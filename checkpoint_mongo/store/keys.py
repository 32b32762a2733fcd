"""Filters as conditions of MongoDB on a document's filter keys (its field `keys`).

MongoDB's operators cannot test the value itself: they look into arrays, split names at dots, and
treat null as a missing field. A path in `keys` has no dots or dollars, and a key is always text.
"""

from __future__ import annotations

from collections.abc import Sequence

from checkpoint_base.plan import Plan
from checkpoint_mongo.connection.requests import (
    ITEMS,
    CreateIndexes,
    Document,
    DropIndex,
    Index,
    ListIndexes,
)
from store_vector.filters.keys import INDEXES, Keys, index_name, indexed, pushed_down
from store_vector.filters.operators import Filter


def clauses(wanted: Filter, declared: Sequence[str]) -> list[Document]:
    """A prefilter: conditions that are true of every matching item and of few others, those on
    declared fields first. Operands are text, so a user's value cannot act as an operator.
    """
    first = [_clause(*one) for one in indexed(wanted, declared)]
    others = pushed_down(wanted.parts, _clause, _any_of)
    return [*first, *(one for one in others if one not in first)]


def _clause(path: str, keys: Keys) -> Document:
    if len(keys.points) == 1:
        return {_field(path): keys.points[0]}
    if keys.points:
        return {_field(path): {"$in": list(keys.points)}}
    return {_field(path): {"$gte": keys.low, "$lte": keys.high}}


def _any_of(branches: Sequence[Sequence[Document]]) -> Document:
    if not branches:
        return {"_id": {"$in": []}}
    return {"$or": [{"$and": list(branch)} for branch in branches]}


def _field(path: str) -> str:
    return f"keys.{path}"


def setup_indexes(declared: Sequence[str], *, drop_undeclared: bool) -> Plan[None]:
    """Create the missing indexes of declared fields, and drop those of other fields if
    `drop_undeclared`. The server builds an index while clients read and write.
    """
    if not declared and not drop_undeclared:
        return
    names: list[str] = yield ListIndexes(ITEMS)
    there = {name for name in names if name.startswith(INDEXES)}
    wanted = {index_name(path): path for path in declared}
    for name in sorted(wanted.keys() - there):
        fields = ((_field(wanted[name]), 1), ("updated_at", -1), ("_id", 1))
        yield CreateIndexes([Index(fields, name=name)], ITEMS)
    if drop_undeclared:
        for name in sorted(there - wanted.keys()):
            yield DropIndex(name, ITEMS)
