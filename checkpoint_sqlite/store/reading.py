"""Searches of a store without a query: by namespace and filter, newest items first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from checkpoint_base.plan import Plan, read
from checkpoint_base.sql.requests import rows
from checkpoint_sqlite.store.filters import SqlClause, clauses, indexed_clauses
from store_vector.records import Record, Search

COLUMNS: Final = "i.ns, i.key, i.value, i.created_at, i.updated_at, i.expires_at, i.ttl"
"""The columns of a `Record`, of store_items AS i."""

_NEWEST: Final = "ORDER BY i.updated_at DESC, i.ns, i.key"
_SHOWN: Final = "(i.expires_at IS NULL OR i.expires_at > ?)"
_BY_NAME, _BY_TIME = "store_items_name", "store_items_updated"
_FEW, _WINDOW = 200, 2000
_LEAST: Final = 50
_SELECTED: Final = "(SELECT count(*) FROM (SELECT 1 FROM store_items AS i WHERE {} LIMIT ?))"
_ITEMS: Final = _SELECTED.format("i.ns >= ? AND i.ns < ?")
_IF_FEW: Final = (
    f"SELECT {COLUMNS} FROM store_items AS i INDEXED BY {_BY_NAME} "  # noqa: S608 (constants)
    f"WHERE {_ITEMS} < {_FEW} AND i.ns >= ? AND i.ns < ? {_NEWEST} LIMIT ? OFFSET ?"
)
_SHOWN_IF_FEW: Final = _IF_FEW.replace(_NEWEST, f"AND {_SHOWN} {_NEWEST}")
_ANY: Final = "EXISTS (SELECT 1 FROM store_items WHERE ns >= ? AND ns < ?)"
_LAST: Final = "SELECT id FROM store_items ORDER BY updated_at DESC, ns, key LIMIT ?"
Where = tuple[list[str], list[Any]]


def where(search: Search, horizon: float | None) -> Where:
    """Conditions of a search on store_items AS i (namespace, expiry, filter), and their values."""
    conditions, values = ["1"], list[Any]()
    if search.bounds is not None:
        conditions.append("i.ns >= ? AND i.ns < ?")
        values += search.bounds
    if horizon is not None:
        conditions.append(_SHOWN)
        values.append(horizon)
    for clause in clauses(search.filter):
        conditions.append(clause.sql)
        values += clause.values
    return conditions, values


def browse(search: Search, horizon: float | None, declared: Sequence[str]) -> Plan[list[Record]]:
    """Search without a query, newest items first: see `_filtered` and, without a filter, `_newest`.

    Args:
        search: the namespace, filter and page.
        horizon: epoch seconds; items that expire until then are left out. None: none are.
        declared: the paths of declared fields.
    """
    if search.filter:
        return (yield from read(_filtered, search, horizon, declared))
    return (yield from _newest(search, horizon))


def _newest(search: Search, horizon: float | None) -> Plan[list[Record]]:
    """The newest items. The reply is that of a single statement, so it needs no transaction.

    Without a namespace, the index by time has the order. A small namespace is read by the index by
    name. For a large one, the newest items of the whole store are searched first.
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
    """The newest items of a namespace that has less than _FEW; of a larger one, none."""
    shown = () if horizon is None else (horizon,)
    values = (*within, _FEW, *within, *shown, search.limit, search.offset)
    found = yield from rows(_IF_FEW if horizon is None else _SHOWN_IF_FEW, values)
    return [Record(*one) for one in found]


def _filtered(search: Search, horizon: float | None, declared: Sequence[str]) -> Plan[list[Record]]:
    """The newest items that match a filter, in a read transaction.

    If the namespace or a condition on a declared field selects few items, these are read. Otherwise
    the newest items of the whole store are searched and, if too few match, the whole namespace.
    """
    choices = indexed_clauses(search.filter, declared)
    least = yield from _least(search, choices)
    if least is not None:
        source = _BY_NAME if least < 0 else choices[least]
        return (yield from _in_order(search, horizon, source))
    found = yield from _among_newest(search, horizon)
    if len(found) == search.limit:
        return found
    by_key = next((one for one in choices if one.is_point and search.bounds is None), None)
    all_there_is = _BY_NAME if search.bounds else _BY_TIME
    return (yield from _in_order(search, horizon, by_key or all_there_is))


def _least(search: Search, choices: Sequence[SqlClause]) -> Plan[int | None]:
    """The position in `choices` of the condition that selects the fewest items; -1: the namespace
    has the fewest. None: all select many.
    """
    counts = [SqlClause(_ITEMS, (*search.bounds, _FEW))] if search.bounds else [SqlClause("NULL")]
    counts += [SqlClause(_SELECTED.format(one.sql), (*one.values, _WINDOW)) for one in choices]
    sql = ", ".join(one.sql for one in counts)
    values = [value for one in counts for value in one.values]
    ((inside, *selected),) = yield from rows(f"SELECT {sql}", values)
    least = min(selected, default=_WINDOW)
    if inside is not None and inside < _FEW and inside <= least:
        return -1
    return selected.index(least) if least < _WINDOW else None


def _in_order(search: Search, horizon: float | None, source: str | SqlClause) -> Plan[list[Record]]:
    """The newest items by an index, or by a condition on a declared field. With a filter, each item
    is checked, and more are read while too few match.
    """
    conditions, values = where(search, horizon)
    index, newest = f"INDEXED BY {source}", _NEWEST
    if isinstance(source, SqlClause):
        # "+" keeps SQLite from using another index than the field's
        conditions = [one.replace("i.ns", "+i.ns").replace("i.exp", "+i.exp") for one in conditions]
        conditions.append(source.sql)
        values += source.values
        index, newest = "", _NEWEST if source.is_point else _NEWEST.replace("i.up", "+i.up")
    matching: list[Record] = []
    after: Record | None = None
    count = search.end if not search.filter else max(2 * search.end, _LEAST)
    while True:
        behind = "i.updated_at <= ? AND (i.updated_at < ? OR (i.ns, i.key) > (?, ?))"
        both = [*conditions, *([behind] if after else [])]
        position = [after.updated_at, after.updated_at, after.ns, after.key] if after else []
        sql = (
            f"SELECT {COLUMNS} FROM store_items AS i {index} "  # noqa: S608 (constants)
            f"WHERE {' AND '.join(both)} {newest} LIMIT ?"
        )
        found = [Record(*one) for one in (yield from rows(sql, [*values, *position, count]))]
        matching += _matching(search, found)
        if len(matching) >= search.end or len(found) < count:
            return matching[search.offset : search.end]
        after, count = found[-1], 8 * count


def _among_newest(search: Search, horizon: float | None) -> Plan[list[Record]]:
    """The page, or a part of it, from the _WINDOW newest items of the store."""
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
    """The page from the rows of a statement that match. Its LIMIT is raised while too few do."""
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
