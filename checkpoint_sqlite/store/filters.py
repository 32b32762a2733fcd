"""Store filters as SQL on filter keys. They may select too many rows: `Filter.matches` decides."""

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
    """whether all selected items have one filter key: the field's index has them newest first"""


def clauses(wanted: Filter) -> list[SqlClause]:
    """Conditions that hold for every item that the filter matches, and for few others."""
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
    """The expression that a declared field's index is on. SQLite uses the index only for the same
    text, so the path is no parameter; it contains neither quotes nor backslashes.
    """
    return f"json_extract(i.keys, '$.\"{path}\"')"


def indexed_clauses(wanted: Filter, declared: Sequence[str]) -> list[SqlClause]:
    """A filter's conditions on declared fields, written so that SQLite uses their indexes."""
    return [_at(_column(path), keys) for path, keys in indexed(wanted, declared)]


def setup_indexes(declared: Sequence[str], *, drop_undeclared: bool) -> Plan[None]:
    """Create the missing indexes of declared fields, each in a transaction of its own; with
    `drop_undeclared`, drop those of other fields.
    """
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
