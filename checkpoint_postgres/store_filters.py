"""Filters as SQL. They only spare rows: `Filter.matches` decides what a search gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from store_vector.facets import is_kept, is_plain
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

_SIGNS: Final[Mapping[str, str]] = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}

Mark = Callable[[Any, str], str]
"""Adds a value of a type to a statement; gives its place there."""


def clauses(wanted: Filter, mark: Mark) -> list[str]:
    """What holds of every item that the filter matches, and of few others, of store_items AS i."""
    return [clause for one in wanted.conditions if (clause := _clause(one, mark))]


def _clause(condition: Condition, mark: Mark) -> str:
    """By the facets; by the text where an item has none, or what is sought is not in them."""
    path, op, operand = condition
    if op in _SIGNS and not (is_number(operand) or isinstance(operand, str)):
        return "false"  # nothing else is greater or less
    by_text = " AND ".join(_of_text(condition, mark))
    if not all(map(is_plain, path)):
        return by_text
    is_deep = len(path) > 1
    place = mark(list(path), "text[]") if is_deep else mark(path[0], "text")
    at = f"(i.facets {'#>' if is_deep else '->'} {place})"
    by_facets = facet_test(at, op, operand, mark)
    if op == "$eq" and by_text and not (is_kept(operand) or isinstance(operand, dict)):
        by_facets += f" AND {by_text}"
    return f"CASE WHEN i.facets IS NULL THEN {by_text or 'true'} ELSE {by_facets} END"


def facet_test(at: str, op: str, operand: Any, mark: Mark) -> str:
    """What facets say of a condition, at this place of them: exactly that, unless the place has an
    array, which stands for what they have not.
    """
    if op == OBJECT or (op == "$eq" and isinstance(operand, dict)):
        return f"jsonb_typeof({at}) = 'object'"
    if op == "$eq":
        if is_kept(operand):
            return f"{at} = {_json(operand, mark)}"
        return f"jsonb_typeof({at}) = 'array'"
    if op == "$ne":
        return f"{at} <> {_json(operand, mark)}" if is_kept(operand) else f"{at} IS NOT NULL"
    if is_number(operand):
        return _compared(at, op, operand, mark)
    text = f"({at} #>> '{{}}') COLLATE \"C\""
    test = f"{text} {_SIGNS[op]} {mark(operand, 'text')}" if is_plain(operand) else "true"
    return f"CASE jsonb_typeof({at}) WHEN 'string' THEN {test} WHEN 'array' THEN true END"


def _compared(at: str, op: str, operand: float, mark: Mark) -> str:
    """Of jsonb, numbers are less than booleans, these less than an array. What most fail first."""
    if not is_kept(operand):
        return f"jsonb_typeof({at}) IN ('number', 'array')"
    test = f"{at} {_SIGNS[op]} {_json(operand, mark)}"
    if op in ("$gt", "$gte"):
        return f"({test} AND jsonb_typeof({at}) IN ('number', 'array'))"
    return (
        f"CASE WHEN {test} THEN jsonb_typeof({at}) = 'number' ELSE jsonb_typeof({at}) = 'array' END"
    )


def _json(operand: Any, mark: Mark) -> str:
    return mark(json.dumps(operand), "jsonb")


def _of_text(condition: Condition, mark: Mark) -> Iterator[str]:
    path, op, operand = condition
    if op == "$eq" and (text := fragment(path[-1], operand)) is not None:
        yield f"strpos(i.value, {mark(text, 'text')}) > 0"
        if text[-1].isdigit():  # 7 is the beginning of 70 too
            ends = (f"strpos(i.value, {mark(text + end, 'text')}) > 0" for end in ",}.")
            yield f"({' OR '.join(ends)})"
    elif all(map(is_plain, path)) and (test := _test(op, operand, mark)):
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
    if isinstance(operand, str) and is_plain(operand):
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
