"""Searches without a meaning."""

from __future__ import annotations

from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_base.statements.requests import rows
from checkpoint_sqlite.store_filters import clauses
from store_vector.filters import Filter
from store_vector.records import Record, Search

COLUMNS: Final = "i.ns, i.key, i.value, i.created_at, i.updated_at, i.expires_at, i.ttl"
"""What `Record` takes, of store_items AS i."""

_NEWEST: Final = "ORDER BY i.updated_at DESC, i.ns, i.key"
_LEAST: Final = 50
_AT_MOST: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM store_items WHERE ns >= ? AND ns < ? LIMIT ?)"
)
_LAST: Final = "SELECT id FROM store_items ORDER BY updated_at DESC, ns, key LIMIT ?"
_FEW, _WINDOW = 200, 2000
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
    """The items that a search without a query gives, newest first. Without a filter, any statement
    of it that answers does so alone; with one, they have to see the same state.

    The index by time gives the newest first; the one by name, few items if the namespace has few.
    Where it has many, the newest of all are looked at first.
    """
    within = search.bounds
    if within is None:
        return (yield from _in_order(search, horizon, "store_items_updated"))
    ((some,),) = yield from rows(_AT_MOST, (*within, _FEW))
    if some == _FEW:
        found = yield from _among_newest(search, horizon)
        if len(found) == search.limit:
            return found
    return (yield from _in_order(search, horizon, "store_items_name"))


def _in_order(search: Search, horizon: float | None, index: str) -> Plan[list[Record]]:
    """With a filter, what SQL selects may be too much, and is checked; more is asked for then."""
    conditions, values = where(search, horizon)
    matching: list[Record] = []
    after: Record | None = None
    count = search.end if not search.filter else max(2 * search.end, _LEAST)
    while True:
        behind = "(i.updated_at < ? OR (i.updated_at = ? AND (i.ns, i.key) > (?, ?)))"
        both = [*conditions, *([behind] if after else [])]
        position = [after.updated_at, after.updated_at, after.ns, after.key] if after else []
        sql = (
            f"SELECT {COLUMNS} FROM store_items AS i INDEXED BY {index} "  # noqa: S608 (constants)
            f"WHERE {' AND '.join(both)} {_NEWEST} LIMIT ?"
        )
        found = [Record(*one) for one in (yield from rows(sql, [*values, *position, count]))]
        matching += _matching(search, found)
        if len(matching) >= search.end or len(found) < count:
            return matching[search.offset : search.end]
        after, count = found[-1], 8 * count


def _among_newest(search: Search, horizon: float | None) -> Plan[list[Record]]:
    """As many as there are of the page among the items that were put last."""
    conditions, values = where(search, horizon)
    sql = (
        f"SELECT {COLUMNS} FROM ({_LAST}) AS last "  # noqa: S608 (conditions are constants)
        f"CROSS JOIN store_items AS i ON i.id = last.id WHERE {' AND '.join(conditions)} LIMIT ?"
    )
    count = search.end
    while True:
        found = [Record(*one) for one in (yield from rows(sql, [_WINDOW, *values, count]))]
        matching = _matching(search, found)
        if len(matching) >= search.end or len(found) < count:
            return matching[search.offset : search.end]
        count *= 4  # SQL selected too much


def _matching(search: Search, found: list[Record]) -> list[Record]:
    if not search.filter:
        return found
    return [one for one in found if search.filter.matches(one.decoded)]
