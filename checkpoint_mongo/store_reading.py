"""Pipelines that read items.

What a user chose stands in them only as the operand of an operator, or as a bound of a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_mongo.requests import ITEMS, documents
from checkpoint_mongo.store_filters import selection
from store_vector.namespaces import NamespaceQuery, encode
from store_vector.records import Search

Stage = Mapping[str, Any]

_END: Final = encode(("a",))[1:]  # what ends a label


def spaces(bounds: tuple[str, str] | None) -> dict[str, str]:
    """The condition that a namespace lies within `bounds`."""
    return {"$gte": ""} if bounds is None else {"$gte": bounds[0], "$lt": bounds[1]}


def passing(
    search: Search, horizon: float | None, more: Stage | None = None, field: str = "ns"
) -> list[Stage]:
    """Stages that let through what has passed namespace and expiry, and has been selected by the
    filter. The namespace comes alone, and first: it is what there is an index for.

    Args:
        search: what is looked for.
        horizon: what has expired by then is absent; None: nothing is.
        more: a further condition.
        field: where the namespace is.
    """
    conditions: list[Stage] = [] if more is None else [more]
    if horizon is not None:
        conditions.append({"expires_at": {"$gt": horizon}})
    if (selected := selection(search.filter)) is not None:
        conditions.append(selected)
    stages: list[Stage] = [{"$match": {field: spaces(search.bounds)}}]
    return [*stages, {"$match": {"$and": conditions}}] if conditions else stages


def seek_namespaces(query: NamespaceQuery, horizon: float | None) -> Plan[list[str]]:
    """The namespaces that `query` may want: one command. The server cuts them, but not so short
    that what they are matched with is lost; it counts them where that is all there is to do.
    """
    stages: list[Stage] = [{"$match": {"ns": spaces(query.bounds)}}]
    if horizon is not None:
        stages.append({"$match": {"expires_at": {"$gt": horizon}}})
    stages.append({"$group": {"_id": "$ns"}})
    depth = query.max_depth
    if depth is not None and query.is_one_range:
        depth = max([depth, *(len(path) for _, path in query.conditions)])
        stages += [{"$project": {"_id": _cut(depth)}}, {"$group": {"_id": "$_id"}}]
    if query.is_one_range and depth == query.max_depth:
        stages += [{"$sort": {"_id": 1}}, {"$limit": query.offset + query.limit}]
    found = yield from documents(stages, ITEMS)
    return [one["_id"] for one in found]


def _cut(depth: int) -> Stage:
    """A namespace's text, of so many labels at most; what comes after the last one is empty."""
    longer = {"$concat": ["$$value", "$$this", _END]}
    return {
        "$reduce": {
            "input": {"$slice": [{"$split": ["$_id", _END]}, depth]},
            "initialValue": "",
            "in": {"$cond": [{"$eq": ["$$this", ""]}, "$$value", longer]},
        }
    }
