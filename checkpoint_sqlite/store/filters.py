"""Filters as SQL over filter keys. They only spare rows: `Filter.matches` decides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from checkpoint_base.plan import Plan, read, write
from checkpoint_base.sql.requests import execute, rows
from store_vector.filters.keys import INDEXES, Keys, index_name, indexed, pushed_down
from store_vector.filters.operators import Filter

_NAMES: Final = "SELECT name FROM sqlite_master WHERE type = 'index' AND name GLOB ?"


class SqlClause(NamedTuple):
    """A condition in SQL on store_items AS i, and its values."""

    sql: str
    values: tuple[Any, ...] = ()
    is_point: bool = False
    """whether all it selects have one key: an index of it has these in the order of time"""


def clauses(wanted: Filter) -> list[SqlClause]:
    """What holds of every item that the filter matches, and of few others."""
    return pushed_down(wanted.parts, _clause, _any_of)


def _clause(path: str, keys: Keys) -> SqlClause:
    return _at("json_extract(i.keys, ?)", keys, f'$."{path}"')


def _at(column: str, keys: Keys, *values: str) -> SqlClause:
    if not keys.points:
        return SqlClause(f"{column} BETWEEN ? AND ?", (*values, keys.low, keys.high))
    if len(keys.points) == 1:
        return SqlClause(f"{column} = ?", (*values, keys.points[0]), is_point=True)
    points = json.dumps(keys.points)
    sql = f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608 (a constant)
    return SqlClause(sql, (*values, points))


def _any_of(branches: Sequence[Sequence[SqlClause]]) -> SqlClause:
    parts = [f"({' AND '.join(one.sql for one in branch)})" for branch in branches]
    values = tuple(value for branch in branches for one in branch for value in one.values)
    return SqlClause(f"({' OR '.join(parts) or '0'})", values)


# ---------------------------------------------------------------- declared fields


def _column(path: str) -> str:
    """What the index of a declared field is over. Only its own text finds the index: a path, which
    has neither quotes nor backslashes, cannot be a parameter.
    """
    return f"json_extract(i.keys, '$.\"{path}\"')"


def indexed_clauses(wanted: Filter, declared: Sequence[str]) -> list[SqlClause]:
    """Conditions on declared fields, so that their indexes are used."""
    return [_at(_column(path), keys) for path, keys in indexed(wanted, declared)]


def setup_indexes(declared: Sequence[str], *, drop_undeclared: bool) -> Plan[None]:
    """Create the indexes that are missing, one a transaction; drop others if that is wanted."""
    if not declared and not drop_undeclared:
        return
    found = yield from read(rows, _NAMES, (f"{INDEXES}*",))
    there = {name for (name,) in found}
    wanted = {index_name(path): path for path in declared}
    for name in wanted.keys() - there:
        column = _column(wanted[name]).replace("i.keys", "keys")
        sql = f"CREATE INDEX IF NOT EXISTS {name} ON store_items ({column}, updated_at DESC)"
        yield from write(execute, sql)
    if drop_undeclared:
        for name in there - wanted.keys():
            yield from write(execute, f'DROP INDEX IF EXISTS "{name}"')
