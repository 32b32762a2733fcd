"""Searches of a store without a query: one statement each, or more while too few items match."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_base.sql.requests import rows
from checkpoint_postgres.store.filters import clauses, indexed_clauses
from store_vector.filters.keys import indexed
from store_vector.records import Record, Search

FEW: Final = 200
"""Up to so many items of a namespace are read and sorted. If it has more, the newest items of the
whole store are searched first.
"""

_NEWEST: Final = "ORDER BY i.updated_at DESC, i.ns, i.key"
_WINDOW: Final = 2000
"""How many of the newest items of the whole store are searched."""
_COLUMNS: Final = 7
_NO_ITEM: Final = ("NULL::text",) * 3 + ("NULL::double precision",) * 4
_REMEMBERED: Final = 1000


Form = Callable[[Mapping[str, str], Search, float | None, int], tuple[str, list[Any]]]


class Statement:
    """The values of a statement that is being built, and their placeholders."""

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)

    def mark(self, value: Any, kind: str) -> str:
        """Add a value of an SQL type; returns its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"

    def conditions(self, search: Search, horizon: float | None) -> list[str]:
        """The conditions of a search on store_items AS i for filter and expiry."""
        found = clauses(search.filter, self.mark)
        if horizon is not None:
            mark = self.mark(horizon, "double precision")
            found.append(f"(i.expires_at IS NULL OR i.expires_at > {mark})")
        return found

    def within(self, search: Search, column: str = "i.ns") -> list[str]:
        """The conditions of a search for the namespace."""
        if search.bounds is None:
            return []
        first, end = (self.mark(bound, "text") for bound in search.bounds)
        return [f"{column} >= {first}", f"{column} < {end}"]


def where(conditions: list[str]) -> str:
    """A WHERE clause; without conditions, the empty text."""
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


class Browsing:
    """Searches without a query.

    Args:
        queries: named statements.
        declared: the paths of declared fields.
    """

    def __init__(self, queries: Mapping[str, str], declared: Sequence[str]) -> None:
        self._queries, self._declared = queries, declared
        self._large: dict[str, None] = {}  # namespaces that had many items when last counted

    def search(self, search: Search, horizon: float | None) -> Plan[list[Record]]:
        """Search without a query; returns the page of items, newest first."""
        form: Form = _first if search.bounds or search.filter else _sorted
        if indexed(search.filter, self._declared):
            form = partial(_selected, self._declared)
        elif search.ns in self._large:
            form = _newest
        count = search.end
        while True:
            found = yield from rows(*form(self._queries, search, horizon, count))
            is_all = form is _sorted
            if form is _first or isinstance(form, partial):  # a first row always says so
                is_all = found[0][0]
                if form is _first:
                    self._note(search.ns, is_large=not is_all)
            items = (one[-_COLUMNS:] for one in found)
            records = [Record(*one) for one in items if one[0] is not None]
            matching = [one for one in records if search.filter.matches(one.decoded)]
            if len(matching) >= search.end or (is_all and len(records) < count):
                return matching[search.offset : search.end]
            count *= 4 if is_all else 1
            if form is _newest:
                self._large.pop(search.ns, None)  # it may have shrunk
            form = _sorted

    def _note(self, ns: str, *, is_large: bool) -> None:
        if not is_large:
            self._large.pop(ns, None)
        elif len(self._large) < _REMEMBERED:
            self._large[ns] = None


def _sorted(
    queries: Mapping[str, str], search: Search, horizon: float | None, count: int
) -> tuple[str, list[Any]]:
    """Reads all items of the namespace, or of the store, and sorts those that match."""
    statement = Statement()
    conditions = [*statement.within(search), *statement.conditions(search, horizon)]
    sql = (
        f"SELECT {queries['columns']} FROM {queries['items']} AS i "  # noqa: S608 (constants)
        f"{where(conditions)} {_NEWEST} LIMIT {int(count)}"
    )
    return sql, statement.values


def _newest(
    queries: Mapping[str, str], search: Search, horizon: float | None, count: int
) -> tuple[str, list[Any]]:
    """Searches the newest items of the whole store, which may find too few."""
    statement = Statement()
    conditions = [*statement.within(search), *statement.conditions(search, horizon)]
    sql = (
        f"SELECT {queries['columns']} FROM ("  # noqa: S608 (constants, placeholders, integers)
        f"SELECT * FROM {queries['items']} AS i {_NEWEST} LIMIT {_WINDOW}"
        f") AS i {where(conditions)} LIMIT {int(count)}"
    )
    return sql, statement.values


def _first(
    queries: Mapping[str, str], search: Search, horizon: float | None, count: int
) -> tuple[str, list[Any]]:
    """As `_sorted` if the namespace has few items, else as `_newest`. The statement counts them,
    since Postgres estimates badly how many items have a prefix and match a filter.
    """
    statement = Statement()
    within = statement.within(search)
    conditions = [*within, *statement.conditions(search, horizon)]
    items = f"{queries['items']} AS i"
    # constants, placeholders and integers only
    sql = f"""
        WITH few AS MATERIALIZED (
            SELECT count(*) <= {FEW} AS yes FROM {_few(items, within)} AS i
        )
        SELECT few.yes, i.* FROM few LEFT JOIN LATERAL (
            SELECT {queries["columns"]} FROM {items} {where([*conditions, "few.yes"])}
            ORDER BY i.updated_at + 0 DESC, i.ns, i.key LIMIT {int(count)}
        ) AS i ON true
        UNION ALL
        SELECT few.yes, i.* FROM few, LATERAL (
            SELECT {queries["columns"]} FROM (
                SELECT * FROM {items} WHERE NOT few.yes {_NEWEST} LIMIT {_WINDOW}
            ) AS i
            {where(conditions)} LIMIT {int(count)}
        ) AS i
    """  # noqa: S608
    return sql, statement.values


def _selected(
    declared: Sequence[str],
    queries: Mapping[str, str],
    search: Search,
    horizon: float | None,
    count: int,
) -> tuple[str, list[Any]]:
    """For filters with conditions on declared fields. Of the namespace and of what each condition
    selects, reads the one with the fewest items. If all have many, as `_newest`.
    """
    statement, items = Statement(), f"{queries['items']} AS i"
    within = statement.within(search)
    conditions = [*within, *statement.conditions(search, horizon)]
    fields = indexed_clauses(search.filter, declared, statement.mark)
    sources = [*([" AND ".join(within)] if within else []), *fields]
    # constants, placeholders and integers only
    selected = [f"(SELECT 1 FROM {items} WHERE {one} LIMIT {_WINDOW + 1})" for one in fields]  # noqa: S608
    counted = [(one, _WINDOW) for one in selected]
    if within:
        counted.insert(0, (_few(items, within), FEW))
    counts = [
        f"c{n} AS MATERIALIZED (SELECT nullif(count(*), {most + 1}) AS n FROM {one} AS i)"  # noqa: S608
        for n, (one, most) in enumerate(counted)
    ]
    tables = ", ".join(f"c{n}" for n in range(len(sources)))
    least = f"least({', '.join(f'c{n}.n' for n in range(len(sources)))})"
    page = f"{where(conditions)} ORDER BY i.updated_at + 0 DESC, i.ns, i.key LIMIT {int(count)}"
    branches = [
        f"""
            SELECT true, i.* FROM best, LATERAL (
                SELECT {queries["columns"]} FROM (
                    SELECT * FROM {items} WHERE best.source = {n} AND {source} OFFSET 0
                ) AS i {page}
            ) AS i
        """  # noqa: S608
        for n, source in enumerate(sources)
    ]
    choice = " ".join(f"WHEN c{n}.n = {least} THEN {n}" for n in range(len(sources)))
    sql = f"""
        WITH {", ".join(counts)},
        best AS MATERIALIZED (SELECT CASE {choice} END AS source FROM {tables})
        SELECT best.source IS NOT NULL, {", ".join(_NO_ITEM)} FROM best
        UNION ALL {" UNION ALL ".join(branches)}
        UNION ALL
        SELECT false, i.* FROM best, LATERAL (
            SELECT {queries["columns"]} FROM (
                SELECT * FROM {items} WHERE best.source IS NULL {_NEWEST} LIMIT {_WINDOW}
            ) AS i
            {where(conditions)} LIMIT {int(count)}
        ) AS i
    """  # noqa: S608
    return sql, statement.values


def _few(items: str, within: list[str]) -> str:
    """A subquery to count a namespace's items up to FEW + 1. Its LIMIT applies before the upper
    bound: for a range with two bounds Postgres expects few items, and may read all before it stops.
    """
    some = f"SELECT i.ns FROM {items} {where(within[:1])} ORDER BY i.ns, i.key LIMIT {FEW + 1}"  # noqa: S608 (constants, placeholders, integers)
    return f"(SELECT 1 FROM ({some}) AS i {where(within[1:])})"  # noqa: S608
