"""What this backend's plans ask of its drivers, besides what all SQL does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from checkpoint_base.plan import Plan, in_callers_transaction
from checkpoint_base.sql.requests import Row, rows

T = TypeVar("T")

_READ_SETTINGS: Final = "SELECT current_setting(name, true) FROM unnest($1::text[]) AS s (name)"
_SET_BACK: Final = (
    "SELECT set_config(name, value, true) FROM unnest($1::text[], $2::text[]) AS s (name, value)"
)


@lru_cache(512)
def encoded(sql: str) -> bytes:
    """A statement as the driver takes it: the same object each time, whose hash is known."""
    return sql.encode()


class ConditionalWrite(NamedTuple):
    """Request: a statement that writes, a transaction by itself. The reply is its rows, or None
    if it would have broken a unique key, and so did nothing.
    """

    sql: str
    values: Sequence[Any]


def attempt(sql: str, values: Sequence[Any]) -> Plan[list[Row] | None]:
    """The rows of a statement that writes; None if something was there already."""
    result: list[Row] | None = yield ConditionalWrite(sql, values)
    return result


def keeping_settings(names: Sequence[str], plan: Plan[T]) -> Plan[T]:
    """Run `plan`, whose statements change some settings for the rest of their transaction. In the
    caller's transaction, which goes on, these are set back.
    """
    if not (yield from in_callers_transaction()):
        return (yield from plan)
    before = yield from rows(_READ_SETTINGS, (list(names),))
    result = yield from plan
    # NULL, of a setting whose library was not loaded before, means the session's default
    yield from rows(_SET_BACK, (list(names), [value for (value,) in before]))
    return result
