"""Searches without a meaning, and lists of namespaces: plans within a read transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_base.sql.requests import row, rows
from checkpoint_sqlite.store_filters import clauses
from store_vector.filters import Filter
from store_vector.namespaces import NamespaceQuery, bounds, decode, encode
from store_vector.records import Record, Search

COLUMNS: Final = "i.ns, i.key, i.value, i.created_at, i.updated_at, i.expires_at, i.ttl"
"""What `Record` takes, of store_items AS i."""

_NEWEST: Final = "ORDER BY i.updated_at DESC, i.ns, i.key"
_LEAST, _MOST = 50, 1000
Where = tuple[list[str], list[Any]]


def where(search: Search, horizon: float | None) -> Where:
    """Conditions on store_items AS i that what is found fulfils, and their values."""
    return _conditions(search.bounds, horizon, search.filter)


def _conditions(
    within: tuple[str, str] | None, horizon: float | None, wanted: Filter | None = None
) -> Where:
    conditions, values = ["1"], list[Any]()
    if within is not None:
        conditions.append("i.ns >= ? AND i.ns < ?")
        values += within
    if horizon is not None:
        conditions.append("(i.expires_at IS NULL OR i.expires_at > ?)")
        values.append(horizon)
    for clause in clauses(wanted) if wanted else ():
        conditions.append(clause.sql)
        values += clause.values
    return conditions, values


def browse(search: Search, horizon: float | None) -> Plan[list[Record]]:
    """The items that a search without a query gives, newest first."""
    conditions, values = where(search, horizon)
    if not search.filter:
        sql = (
            f"SELECT {COLUMNS} FROM store_items AS i "  # noqa: S608 (conditions are constants)
            f"WHERE {' AND '.join(conditions)} {_NEWEST} LIMIT ? OFFSET ?"
        )
        found = yield from rows(sql, [*values, search.limit, search.offset])
        return [Record(*one) for one in found]
    return (yield from _filtered(search, conditions, values))


def _filtered(
    search: Search, conditions: Sequence[str], values: Sequence[Any]
) -> Plan[list[Record]]:
    """The same with a filter: what SQL selects may be too much, and is checked."""
    matching: list[Record] = []
    after: Record | None = None
    count = min(max(search.end, _LEAST), _MOST)
    while len(matching) < search.end:
        behind = "(i.updated_at < ? OR (i.updated_at = ? AND (i.ns, i.key) > (?, ?)))"
        both = [*conditions, *([behind] if after else [])]
        position = [after.updated_at, after.updated_at, after.ns, after.key] if after else []
        sql = (
            f"SELECT {COLUMNS} FROM store_items AS i "  # noqa: S608 (conditions are constants)
            f"WHERE {' AND '.join(both)} {_NEWEST} LIMIT ?"
        )
        found = [Record(*one) for one in (yield from rows(sql, [*values, *position, count]))]
        matching += [one for one in found if search.filter.matches(one.decoded)]
        if len(found) < count:
            break
        after, count = found[-1], min(2 * count, _MOST)
    return matching[search.offset : search.end]


def seek_namespaces(query: NamespaceQuery, horizon: float | None) -> Plan[list[str]]:
    """The namespaces that `query` may want, in order, from one to the next through the index.

    What lies under one that is cut is passed over. Where all in the range are wanted, no more are
    sought than are given.
    """
    enough = query.offset + query.limit if query.is_one_range else None
    first, end = query.bounds or ("", None)
    conditions, values = _conditions(None, horizon)
    sql = (
        "SELECT i.ns FROM store_items AS i "  # noqa: S608 (conditions are constants)
        f"WHERE i.ns >= ? {'AND i.ns < ?' if end is not None else ''} "
        f"AND {' AND '.join(conditions)} ORDER BY i.ns LIMIT 1"
    )
    last = [] if end is None else [end]
    found: list[str] = []
    while enough is None or len(found) < enough:
        next_one = yield from row(sql, (first, *last, *values))
        if next_one is None:
            break
        ns: str = next_one[0]
        found.append(ns)
        first = _after(query, ns)
    return found


def _after(query: NamespaceQuery, ns: str) -> str:
    """The least text that may be a namespace still unknown to the answer."""
    namespace = decode(ns)
    cut = query.cut(namespace)
    if query.is_one_range and len(cut) < len(namespace):
        within = bounds(encode(cut))
        if within is not None:
            return within[1]
    return ns + "\0"
