"""Searches without a meaning: plans. One statement each, unless a filter lets through too much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_base.sql.requests import rows
from checkpoint_postgres.store_filters import clauses
from store_vector.records import Record, Search

FEW: Final = 1000
"""A namespace with so many items is sorted; of a larger one, the newest of all are looked at."""

_NEWEST: Final = "ORDER BY i.updated_at DESC, i.ns, i.key"
_LEAST, _MOST = 50, 2000


class Statement:
    """A statement in the making: its values, and what they are called in it."""

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)

    def mark(self, value: Any, kind: str) -> str:
        """Add a value of a type; what stands for it."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"

    def conditions(self, search: Search, horizon: float | None) -> list[str]:
        """What items that may be found fulfil besides their namespace, of store_items AS i."""
        found = clauses(search.filter, self.mark)
        if horizon is not None:
            mark = self.mark(horizon, "double precision")
            found.append(f"(i.expires_at IS NULL OR i.expires_at > {mark})")
        return found

    def within(self, search: Search, column: str = "i.ns") -> list[str]:
        """What their namespace fulfils."""
        if search.bounds is None:
            return []
        first, end = (self.mark(bound, "text") for bound in search.bounds)
        return [f"{column} >= {first}", f"{column} < {end}"]


def where(conditions: list[str]) -> str:
    """A WHERE clause; none of no conditions."""
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def browse(queries: Mapping[str, str], search: Search, horizon: float | None) -> Plan[list[Record]]:
    """The items that a search without a query gives, newest first."""
    matching: list[Record] = []
    after: Record | None = None
    count = search.end if not search.filter else min(max(2 * search.end, _LEAST), _MOST)
    while True:
        sql, values = _newest(queries, search, horizon, after, count)
        found = [Record(*one) for one in (yield from rows(sql, values))]
        matching += [one for one in found if search.filter.matches(one.decoded)]
        if len(matching) >= search.end or len(found) < count:
            return matching[search.offset : search.end]
        after, count = found[-1], min(4 * count, _MOST)


def _newest(
    queries: Mapping[str, str],
    search: Search,
    horizon: float | None,
    after: Record | None,
    count: int,
) -> tuple[str, list[Any]]:
    """The next items. How they are looked for goes by how many the namespace has, and not by what
    the planner takes a prefix for.
    """
    statement = Statement()
    conditions = statement.conditions(search, horizon)
    if after is not None:
        at = statement.mark(after.updated_at, "double precision")
        name = f"{statement.mark(after.ns, 'text')}, {statement.mark(after.key, 'text')}"
        conditions.append(f"i.updated_at <= {at}")
        conditions.append(f"(i.updated_at < {at} OR (i.ns, i.key) > ({name}))")
    items = f"{queries['items']} AS i"
    if search.bounds is None:
        sql = f"SELECT {queries['columns']} FROM {items} {where(conditions)}"  # noqa: S608
        return f"{sql} {_NEWEST} LIMIT {int(count)}", statement.values
    within = statement.within(search)
    hidden = [one.replace("i.ns", "(i.ns || '')", 1) for one in within]  # from the index by name
    sorted_ones = where([*within, *conditions, "few.yes"])
    newest_ones = where([*hidden, *conditions, "NOT few.yes"])
    # constants, places of values and integers only
    sql = f"""
        WITH few AS MATERIALIZED (
            SELECT count(*) <= {FEW} AS yes
            FROM (SELECT 1 FROM {items} {where(within)} LIMIT {FEW + 1}) AS least
        )
        SELECT i.* FROM few, LATERAL (
            SELECT {queries["columns"]} FROM {items} {sorted_ones}
            ORDER BY i.updated_at + 0 DESC, i.ns, i.key LIMIT {int(count)}
        ) AS i
        UNION ALL
        SELECT i.* FROM few, LATERAL (
            SELECT {queries["columns"]} FROM {items} {newest_ones} {_NEWEST} LIMIT {int(count)}
        ) AS i
    """  # noqa: S608
    return sql, statement.values
