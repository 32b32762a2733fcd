"""Store filters as SQL on filter keys. They may select too many rows: `Filter.matches` decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from checkpoint_base.plan import Plan, read, write
from checkpoint_base.sql.requests import execute, rows
from store_vector.filters.keys import INDEXES, Keys, index_name, indexed, pushed_down
from store_vector.filters.operators import Filter

Mark = Callable[[object, str], str]
"""Adds a value of an SQL type to a statement; returns its placeholder."""

Clause = Callable[[Mark], str]
"""Makes a condition, and only then adds its values: Postgres refuses values that are not used."""


def clauses(wanted: Filter, mark: Mark) -> list[str]:
    """Conditions on store_items AS i that hold for all items that match, and for few others."""
    return [clause(mark) for clause in pushed_down(wanted.parts, _clause, _any_of)]


def _clause(path: str, keys: Keys) -> Clause:
    return lambda mark: _at(f"(i.keys ->> {mark(path, 'text')})", keys, mark)


def _at(column: str, keys: Keys, mark: Mark) -> str:
    at = f'{column} COLLATE "C"'
    if not keys.points:
        return f"{at} BETWEEN {mark(keys.low, 'text')} AND {mark(keys.high, 'text')}"
    if len(keys.points) == 1:
        return f"{at} = {mark(keys.points[0], 'text')}"
    return f"{at} = ANY ({mark(list(keys.points), 'text[]')})"


def _any_of(branches: Sequence[Sequence[Clause]]) -> Clause:
    def either(mark: Mark) -> str:
        parts = [" AND ".join(clause(mark) for clause in branch) for branch in branches]
        return f"({' OR '.join(parts) or 'false'})"

    return either


# ---------------------------------------------------------------- declared fields


def indexed_clauses(wanted: Filter, declared: Sequence[str], mark: Mark) -> list[str]:
    """A filter's conditions on declared fields, written so that Postgres uses their indexes: these
    need the same text, so the path is no parameter; it contains no quotes.
    """
    return [_at(f"(i.keys ->> '{path}')", keys, mark) for path, keys in indexed(wanted, declared)]


def setup_indexes(
    queries: Mapping[str, str], lock: str, declared: Sequence[str], *, drop_undeclared: bool
) -> Plan[None]:
    """Create the missing indexes of declared fields, each in a transaction of its own; with
    `drop_undeclared`, drop those of other fields.
    """
    if not declared and not drop_undeclared:
        return
    found = yield from read(rows, queries["field_indexes"], (INDEXES,))
    there = {name for (name,) in found}
    wanted = {index_name(path): path for path in declared}
    for name in sorted(wanted.keys() - there):
        column = f"""(keys ->> '{wanted[name]}') COLLATE "C\""""
        sql = (
            f"CREATE INDEX IF NOT EXISTS {name} ON {queries['items']} (({column}), updated_at DESC)"
        )
        yield from write(_locked, lock, sql)
    if drop_undeclared:
        for name in sorted(there - wanted.keys()):
            yield from write(_locked, lock, queries["drop_index"].replace("{index}", name))


def _locked(lock: str, sql: str) -> Plan[None]:
    yield from rows(lock)
    yield from execute(sql)
