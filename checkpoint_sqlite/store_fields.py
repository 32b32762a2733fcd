"""Fields that searches filter by: what items have there is listed, in an index.

A path is listed once a search had to look at many items for it, some thousand items at a time.
From then on each put lists what its item has there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from checkpoint_base.plan import Plan
from checkpoint_base.statements.requests import execute, execute_many, row, rows
from checkpoint_sqlite.reading import wanted
from store_vector.filters import Condition, Filter
from store_vector.records import Put
from store_vector.spans import Span, key_at, span
from store_vector.values import loads

MOST_PATHS: Final = 32
"""Paths that are listed; 256 would be possible."""
_LONGEST: Final = 500
_FIRST: Final = -(1 << 62)
_AT_ONCE, _PARTS = 500, 20

_IDS: Final = (
    "SELECT i.id FROM want CROSS JOIN store_items AS i ON i.ns = want.a AND i.key = want.b"
)
_NUMBER: Final = "SELECT number FROM store_paths WHERE path = ? AND listed IS NULL"
_MAY: Final = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM store_paths WHERE path = ?) "
    "OR (SELECT count(*) FROM store_paths) < ?"
)
_FIELDS: Final = "store_fields INDEXED BY store_fields_value"
_SOME: Final = "SELECT count(*) FROM (SELECT 1 FROM {} LIMIT ?)"
_ITEMS: Final = _SOME.format("store_items WHERE ns >= ? AND ns < ?")


class Selection(NamedTuple):
    """What one condition of a filter selects.

    Attributes:
        size: how many items.
        condition: the condition.
        number: its path's.
        span: where the keys of what it selects are.
    """

    size: int
    condition: Condition
    number: int
    span: Span

    @property
    def entries(self) -> tuple[str, list[Any]]:
        """The fields that the condition selects, and the values of the statement."""
        where, values = _where(self.span)
        return f"{_FIELDS} WHERE path = ? AND {where}", [self.number, *values]


class Choice(NamedTuple):
    """What can be looked at for a filter.

    Attributes:
        items: how many the namespace has, if these are few.
        selection: what the condition selects that selects the least, if that is little.
        unlisted: a path that could be listed for the next time.
    """

    items: int | None
    selection: Selection | None
    unlisted: str | None


def choose(
    within: tuple[str, str] | None, filter: Filter, few_items: int, few: int
) -> Plan[Choice]:
    """What is less than `few_items`, or `few` fields: one statement."""
    spans = [(one, found) for one in filter.conditions if (found := span(one)) is not None]
    values: list[Any] = [] if within is None else [*within, few_items]
    parts: list[str] = []
    for condition, found in spans:
        where, of_span = _where(found)
        parts.append(where)
        path = path_text(condition.path)
        values += path, path, *of_span, few
    sql = _counting(tuple(parts), is_within=within is not None)
    ((items, *counts),) = yield from rows(sql, values)
    best: Selection | None = None
    unlisted: str | None = None
    for (condition, found), number, count in zip(spans, counts[::2], counts[1::2], strict=True):
        if number is None:
            unlisted = unlisted or path_text(condition.path)
        elif count < (few if best is None else best.size):
            best = Selection(count, condition, number, found)
    if unlisted is not None and len(unlisted) > _LONGEST:
        unlisted = None
    return Choice(None if items == few_items else items, best, unlisted)


@lru_cache(128)
def _counting(parts: tuple[str, ...], *, is_within: bool) -> str:
    columns = [f"({_ITEMS})" if is_within else "NULL"]
    for part in parts:
        counted = _SOME.format(f"{_FIELDS} WHERE path = ({_NUMBER}) AND {part}")
        columns += f"({_NUMBER})", f"({counted})"
    return f"SELECT {', '.join(columns)}"


def _where(wanted: Span) -> tuple[str, list[Any]]:
    low, high, is_behind_low, has_high = wanted
    if wanted.is_point:
        return "value = ?", [low]
    last = "value <= ?" if has_high else "value < ?"
    if low is None:
        return last, [high]
    return f"value {'>' if is_behind_low else '>='} ? AND {last}", [low, high]


@lru_cache(1024)
def path_text(path: tuple[str, ...]) -> str:
    """A path as it is stored."""
    return json.dumps(path)


def put_fields(queries: Mapping[str, str], stored: Sequence[Put], now: float) -> Plan[None]:
    """List what items that have just been put have at the paths that are listed; what they had is
    gone already, by a trigger.
    """
    paths = [(number, json.loads(path)) for number, path in (yield from rows(queries["paths"]))]
    if not paths:
        return
    if len(stored) == 1:
        ids = yield from rows(queries["item_id"], (stored[0].ns, stored[0].key))
    else:
        ids = yield from wanted(_IDS, [(one.ns, one.key) for one in stored])
    items = [(item, one.value or "{}", now) for (item,), one in zip(ids, stored, strict=True)]
    yield from execute_many(queries["put_field"], _fields(items, paths))


def _fields(
    items: Sequence[tuple[int, str, float]], paths: Sequence[tuple[int, Sequence[str]]]
) -> list[tuple[Any, ...]]:
    return [
        (item << 8 | number, number, key, updated_at)
        for item, text, updated_at in items
        for value in (loads(text),)
        for number, path in paths
        if (key := key_at(value, path)) is not None
    ]


def may_list(path: str) -> Plan[bool]:
    """Whether there is something to do for `list_some`, if the path is not listed completely."""
    return bool((yield from rows(_MAY, (path, MOST_PATHS))))


def list_some(queries: Mapping[str, str], path: str) -> Plan[None]:
    """List what the next some thousand items have at a path."""
    known = yield from row(queries["path"], (path,))
    if known is None:
        added = yield from row(queries["add_path"], (path, _FIRST, MOST_PATHS))
        if added is None:
            return  # there are enough
        known = (added[0], _FIRST)
    number, listed = known
    paths = [(number, json.loads(path))]
    for _ in range(_PARTS):
        if listed is None:
            break
        some = yield from rows(queries["some_items"], (listed, _AT_ONCE))
        yield from execute_many(queries["put_field"], _fields(some, paths))
        listed = some[-1][0] if len(some) == _AT_ONCE else None
    yield from execute(queries["note_listed"], (number, listed))
