"""Filters as SQL. They only spare rows: `Filter.matches` decides what a search gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from store_vector.filters import OBJECT, Condition, Filter, is_number

# names that JSON text and a path of SQLite's spell alike
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]+")
_EXACT: Final = 2**53
# SQLite reads "0.1" with a few units in the last place to spare
_SPARE: Final = 1e-12
_AT: Final = "json_extract(i.value, ?)"
_KIND: Final = "json_type(i.value, ?)"


class Clause(NamedTuple):
    """A condition in SQL on store_items AS i, and its values."""

    sql: str
    values: tuple[Any, ...]


def clauses(wanted: Filter) -> list[Clause]:
    """What holds of every item that the filter matches, and of few others."""
    return [clause for condition in wanted.conditions for clause in _clause(condition)]


def _clause(condition: Condition) -> Iterator[Clause]:
    path, op, operand = condition
    if not all(_PLAIN.fullmatch(name) for name in path):
        return
    at = "$" + "".join(f'."{name}"' for name in path)
    if op == OBJECT or (op == "$eq" and isinstance(operand, dict)):
        yield Clause(f"{_KIND} = 'object'", (at,))
    elif op == "$eq" and isinstance(operand, (list, tuple)):
        yield Clause(f"{_KIND} = 'array'", (at,))
    elif op == "$eq" and operand is None:
        yield Clause(f"{_KIND} = 'null'", (at,))
    elif op == "$eq" and isinstance(operand, bool):
        yield Clause(f"{_KIND} = ?", (at, "true" if operand else "false"))
    elif is_number(operand) and abs(operand) <= _EXACT:  # not NaN either
        yield from _of_number(at, op, operand)
    elif isinstance(operand, str) and _is_plain_text(operand):
        if op == "$eq":
            yield Clause(f"{_AT} = ?", (at, operand))
        elif op in ("$gt", "$gte"):
            yield Clause(f"{_AT} >= ?", (at, operand))
        elif op in ("$lt", "$lte"):
            yield Clause(f"{_AT} <= ?", (at, operand))


def _of_number(at: str, op: str, operand: float) -> Iterator[Clause]:
    spare = abs(operand) * _SPARE
    if op in ("$eq", "$gt", "$gte"):
        yield Clause(f"{_AT} >= ?", (at, operand - spare))
    if op in ("$eq", "$lt", "$lte"):
        yield Clause(f"{_AT} <= ?", (at, operand + spare))


def _is_plain_text(operand: str) -> bool:
    """Whether SQLite takes it as a parameter, and finds it in JSON text as it is."""
    if "\0" in operand:
        return False
    try:
        operand.encode()
    except UnicodeEncodeError:
        return False
    return True
