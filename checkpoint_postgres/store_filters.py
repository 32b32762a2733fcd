"""Filters as SQL. They only spare rows: `Filter.matches` decides what a search gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from store_vector.filters import OBJECT, Condition, Filter, is_number
from store_vector.fragments import fragment

_EXACT: Final = 2**53
# A number's text, and the float that Python makes of it, differ by less than this.
_SPARE: Final = 1e-12
# An escape may be of what no text of Postgres can hold: then reading the JSON would fail.
_SAFELY: Final = (
    r"CASE WHEN strpos(i.value, '\u') > 0 THEN true ELSE (SELECT {test} FROM "
    "(SELECT i.value::json {arrow} {path} AS at OFFSET 0) AS x) END"
)
_NUMBER: Final = r"'^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?$'"

Mark = Callable[[Any, str], str]
"""Adds a value of a type to a statement; gives its place there."""


def clauses(wanted: Filter, mark: Mark) -> list[str]:
    """What holds of every item that the filter matches, and of few others, of store_items AS i."""
    return [clause for condition in wanted.conditions for clause in _clause(condition, mark)]


def _clause(condition: Condition, mark: Mark) -> Iterator[str]:
    path, op, operand = condition
    if op == "$eq" and (text := fragment(path[-1], operand)) is not None:
        yield f"strpos(i.value, {mark(text, 'text')}) > 0"
        if text[-1].isdigit():  # 7 is the beginning of 70 too
            ends = (f"strpos(i.value, {mark(text + end, 'text')}) > 0" for end in ",}.")
            yield f"({' OR '.join(ends)})"
    elif all(map(_is_text, path)) and (test := _test(op, operand, mark)):
        arrow = "#>" if test.startswith("json") else "#>>"
        yield _SAFELY.format(test=test, arrow=arrow, path=mark(list(path), "text[]"))


def _test(op: str, operand: Any, mark: Mark) -> str | None:
    """What must be true of what is at the path, `x.at`; None: anything may be. A string that looks
    like a number passes for one.
    """
    if op == OBJECT or (op == "$eq" and isinstance(operand, dict)):
        return "json_typeof(x.at) = 'object'"
    if op == "$eq" and isinstance(operand, (list, tuple)):
        return "json_typeof(x.at) = 'array'"
    if is_number(operand) and abs(operand) <= _EXACT:  # not NaN either
        spare = abs(operand) * _SPARE
        tests = [
            f"x.at::numeric {sign} {mark(repr(bound), 'text')}::numeric"
            for sign, bound in _bounds(op, operand - spare, operand + spare)
        ]
        return f"CASE WHEN x.at ~ {_NUMBER} THEN {' AND '.join(tests)} END" if tests else None
    if _is_text(operand):
        tests = [
            f'x.at COLLATE "C" {sign} {mark(bound, "text")}'
            for sign, bound in _bounds(op, operand, operand)
        ]
        return " AND ".join(tests) or None
    return None


def _bounds(op: str, least: Any, most: Any) -> Iterator[tuple[str, Any]]:
    if op in ("$eq", "$gt", "$gte"):
        yield ">=", least
    if op in ("$eq", "$lt", "$lte"):
        yield "<=", most


def _is_text(operand: Any) -> bool:
    """Whether Postgres takes it as a parameter."""
    if not isinstance(operand, str) or "\0" in operand:
        return False
    try:
        operand.encode()
    except UnicodeEncodeError:
        return False
    return True
