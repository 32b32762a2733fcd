"""Searches without a query, and lists of namespaces: one command each.

A user's values are only operands of operators or bounds of ranges, so they cannot inject operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkpoint_base.plan import Plan
from checkpoint_mongo.connection.requests import ITEMS, Document, documents
from checkpoint_mongo.store.documents import RECORD, record_of
from checkpoint_mongo.store.keys import clauses
from store_vector.filters.keys import indexed
from store_vector.namespaces import NamespaceQuery
from store_vector.records import Record, Search

_NEWEST: Final = {"updated_at": -1, "_id": 1}
_LEAST: Final = 50


def spaces(bounds: tuple[str, str] | None) -> dict[str, str]:
    """The condition that a namespace lies within `bounds`."""
    return {"$gte": ""} if bounds is None else {"$gte": bounds[0], "$lt": bounds[1]}


def _shown(horizon: float | None) -> list[Document]:
    return [] if horizon is None else [{"expires_at": {"$gt": horizon}}]


def matching(first: Document, others: Sequence[Document]) -> list[Document]:
    """Stages for a condition on an indexed field, and others. MongoDB merges them and chooses an
    index. SecantusDB uses an index only for the first stage.
    """
    return [{"$match": first}, *([{"$match": {"$and": others}}] if others else ())]


def selecting(
    search: Search, horizon: float | None, more: Sequence[Document] = ()
) -> list[Document]:
    """Stages that select items by namespace, expiry and the filter's prefilter, with the index of
    namespaces.

    Args:
        search: the search.
        horizon: epoch seconds; items that expired by then are absent; None: items do not expire.
        more: further conditions.
    """
    others = [*more, *_shown(horizon)]
    others += clauses(search.filter, ())
    return matching({"ns": spaces(search.bounds)}, others)


def find_newest(
    search: Search, horizon: float | None, declared: Sequence[str]
) -> Plan[list[Record]]:
    """Search without a query, the last updated item first: one command, more if many items pass the
    prefilter without matching.

    Args:
        search: the search.
        horizon: epoch seconds; items that expired by then are absent; None: items do not expire.
        declared: the paths of declared fields.
    """
    count = search.end
    while True:
        found = yield from documents(_newest(search, horizon, count, declared), ITEMS)
        records = [record_of(one) for one in found]
        matches = [
            one for one in records if not search.filter or search.filter.matches(one.decoded)
        ]
        if len(matches) >= search.end or len(found) < count:
            return matches[search.offset : search.end]
        count = max(8 * count, _LEAST)


def _newest(
    search: Search, horizon: float | None, count: int, declared: Sequence[str]
) -> list[Document]:
    newest: list[Document] = [{"$sort": _NEWEST}, {"$limit": count}, {"$project": RECORD}]
    if not indexed(search.filter, declared):
        return [*selecting(search, horizon), *newest]
    first, *others = clauses(search.filter, declared)
    within: list[Document] = [] if search.bounds is None else [{"ns": spaces(search.bounds)}]
    return [*matching(first, [*within, *_shown(horizon), *others]), *newest]


def find_namespaces(query: NamespaceQuery, horizon: float | None) -> Plan[list[str]]:
    """The namespaces that may match `query`. The server sorts and limits them if no other condition
    is left to the client.
    """
    stages = matching({"ns": spaces(query.bounds)}, _shown(horizon))
    stages.append({"$group": {"_id": "$ns"}})
    if query.is_one_range and query.max_depth is None:
        stages += [{"$sort": {"_id": 1}}, {"$limit": query.offset + query.limit}]
    found = yield from documents(stages, ITEMS)
    return [one["_id"] for one in found]
