"""Searches without a meaning."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from checkpoint_base.plan import Plan
from checkpoint_base.statements.requests import rows
from checkpoint_sqlite.store_fields import Selection, choose, may_list
from checkpoint_sqlite.store_filters import clauses
from store_vector.filters import Filter
from store_vector.records import Record, Search

COLUMNS: Final = "i.ns, i.key, i.value, i.created_at, i.updated_at, i.expires_at, i.ttl"
"""What `Record` takes, of store_items AS i."""

_NEWEST: Final = "ORDER BY i.updated_at DESC, i.ns, i.key"
_SHOWN: Final = "(i.expires_at IS NULL OR i.expires_at > ?)"
_BY_NAME, _BY_TIME = "store_items_name", "store_items_updated"
_FEW, _WINDOW, _MANY = 200, 2000, 50_000
_LEAST: Final = 50
_COUNT: Final = "SELECT count(*) FROM (SELECT 1 FROM store_items WHERE ns >= ? AND ns < ? LIMIT ?)"
_IF_FEW: Final = (
    f"SELECT {COLUMNS} FROM store_items AS i INDEXED BY {_BY_NAME} "  # noqa: S608 (constants)
    f"WHERE ({_COUNT}) < {_FEW} AND i.ns >= ? AND i.ns < ? {_NEWEST} LIMIT ? OFFSET ?"
)
_SHOWN_IF_FEW: Final = _IF_FEW.replace(_NEWEST, f"AND {_SHOWN} {_NEWEST}")
_ANY: Final = "EXISTS (SELECT 1 FROM store_items WHERE ns >= ? AND ns < ?)"
_LAST: Final = "SELECT id FROM store_items ORDER BY updated_at DESC, ns, key LIMIT ?"
_RARE: Final = 8
_BEFORE: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM store_items "
    "WHERE updated_at >= ? AND (updated_at > ? OR (ns, key) < (?, ?)) LIMIT ?)"
)
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
        conditions.append(_SHOWN)
        values.append(horizon)
    for clause in clauses(wanted) if wanted else ():
        conditions.append(clause.sql)
        values += clause.values
    return conditions, values


def browse(search: Search, horizon: float | None) -> Plan[list[Record]]:
    """The items that a search without a query or a filter gives, newest first. Any statement of it
    that answers does so alone.

    The index by time gives the newest first; the one by name, few items if the namespace has few.
    Where it has many, the newest of all are looked at first.
    """
    if search.bounds is None:
        return (yield from _in_order(search, horizon, _BY_TIME))
    if found := (yield from _of_few(search, search.bounds, horizon)):
        return found
    found = yield from _among_newest(search, horizon)
    if len(found) == search.limit:
        return found
    return (yield from _in_order(search, horizon, _BY_NAME))


def _of_few(search: Search, within: tuple[str, str], horizon: float | None) -> Plan[list[Record]]:
    """The same without a filter, if the namespace has few items; else none."""
    shown = () if horizon is None else (horizon,)
    values = (*within, _FEW, *within, *shown, search.limit, search.offset)
    found = yield from rows(_IF_FEW if horizon is None else _SHOWN_IF_FEW, values)
    return [Record(*one) for one in found]


class Filtered(NamedTuple):
    """What a search with a filter gives, and a path that should be listed for the next one."""

    records: list[Record]
    unlisted: str | None = None


def filtered(search: Search, horizon: float | None) -> Plan[Filtered]:
    """The items that a search with a filter gives, newest first, in a read transaction: by whatever
    is less, the items of the namespace, or what a condition selects, or the newest items.
    """
    within = search.bounds
    items, selection, unlisted = yield from choose(within, search.filter, _FEW, _WINDOW)
    if items is None and selection is None:
        found = yield from _among_newest(search, horizon)
        if len(found) == search.limit:
            is_rare = unlisted and (yield from _is_deep(search, found[-1]))
            return (yield from _noting(found, unlisted if is_rare else None))
        items, selection, _ = yield from choose(within, search.filter, _MANY, _MANY)
    if selection is not None and (items is None or selection.size < items):
        return Filtered((yield from _selected(search, horizon, selection)))
    index = _BY_TIME if within is None else _BY_NAME
    found = yield from _in_order(search, horizon, index)
    return (yield from _noting(found, unlisted if items is None or items >= _FEW else None))


def _noting(found: list[Record], unlisted: str | None) -> Plan[Filtered]:
    may = unlisted is not None and (yield from may_list(unlisted))
    return Filtered(found, unlisted if may else None)


def _is_deep(search: Search, last: Record) -> Plan[bool]:
    """Whether many items were looked at to find few."""
    most = max(_FEW // 2, _RARE * search.end)
    at = last.updated_at
    ((count,),) = yield from rows(_BEFORE, (at, at, last.ns, last.key, most))
    return bool(count == most)


def _selected(search: Search, horizon: float | None, selection: Selection) -> Plan[list[Record]]:
    """What a condition selects, as far as the others hold."""
    rest = [one for one in search.filter.conditions if one is not selection.condition]
    conditions, values = _conditions(search.bounds, horizon, Filter(tuple(rest)))
    entries, of_entries = selection.entries
    sql = _selecting(entries, tuple(conditions))
    return (yield from _pages(search, sql, [*of_entries, *values]))


@lru_cache(128)
def _selecting(entries: str, conditions: tuple[str, ...]) -> str:
    return (
        f"SELECT {COLUMNS} FROM (SELECT i.id FROM "  # noqa: S608 (constants)
        f"(SELECT field, updated_at FROM {entries}) AS f "
        f"CROSS JOIN store_items AS i ON i.id = f.field >> 8 WHERE {' AND '.join(conditions)} "
        f"ORDER BY f.updated_at DESC, i.ns, i.key LIMIT ?) AS selected "
        f"CROSS JOIN store_items AS i ON i.id = selected.id"
    )


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
    if search.bounds is not None:
        conditions.append(_ANY)
        values += search.bounds
    sql = (
        f"SELECT {COLUMNS} FROM ({_LAST}) AS last "  # noqa: S608 (conditions are constants)
        f"CROSS JOIN store_items AS i ON i.id = last.id WHERE {' AND '.join(conditions)} LIMIT ?"
    )
    return (yield from _pages(search, sql, [_WINDOW, *values]))


def _pages(search: Search, sql: str, values: list[Any]) -> Plan[list[Record]]:
    """What matches of what a statement selects in order; if that is too little, of more."""
    count = search.end
    while True:
        found = [Record(*one) for one in (yield from rows(sql, [*values, count]))]
        matching = _matching(search, found)
        if len(matching) >= search.end or len(found) < count:
            return matching[search.offset : search.end]
        count *= 4


def _matching(search: Search, found: list[Record]) -> list[Record]:
    if not search.filter:
        return found
    return [one for one in found if search.filter.matches(one.decoded)]
