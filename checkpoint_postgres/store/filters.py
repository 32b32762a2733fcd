"""Filters as SQL over filter keys. They only spare rows: `Filter.matches` decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from checkpoint_base.plan import Plan, read, write
from checkpoint_base.sql.requests import execute, rows
from store_vector.filters.keys import INDEXES, Keys, index_name, indexed, pushed_down
from store_vector.filters.operators import Filter

Mark = Callable[[object, str], str]
"""Adds a value of a type to a statement; gives its place there."""

Clause = Callable[[Mark], str]
"""A condition. It adds its values only when it is used: Postgres refuses one that nothing uses."""


def clauses(wanted: Filter, mark: Mark) -> list[str]:
    """What holds of every item that the filter matches, and of few others, of store_items AS i."""
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
    """Conditions on declared fields, so that their indexes are used. Only its own text finds an
    index: a path, which has no quotes, cannot be a parameter.
    """
    return [_at(f"(i.keys ->> '{path}')", keys, mark) for path, keys in indexed(wanted, declared)]


def setup_indexes(
    queries: Mapping[str, str], lock: str, declared: Sequence[str], *, drop_undeclared: bool
) -> Plan[None]:
    """Create the indexes that are missing, one a transaction; drop others if that is wanted."""
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
