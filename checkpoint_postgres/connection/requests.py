"""Requests that only the plans of this backend make."""

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
    """A statement as bytes. Cached, since psycopg hashes it, and the same object is hashed once."""
    return sql.encode()


class ConditionalWrite(NamedTuple):
    """Request: a statement that writes, in a transaction of its own. The reply is its rows, or None
    if it violated a unique key and so changed nothing.
    """

    sql: str
    values: Sequence[Any]


def attempt(sql: str, values: Sequence[Any]) -> Plan[list[Row] | None]:
    """Perform a `ConditionalWrite`; returns its rows, or None after a unique violation."""
    result: list[Row] | None = yield ConditionalWrite(sql, values)
    return result


def keeping_settings(names: Sequence[str], plan: Plan[T]) -> Plan[T]:
    """Run `plan`, which changes the settings `names` until its transaction ends. The caller's
    transaction goes on afterwards, so there the former values are restored.
    """
    if not (yield from in_callers_transaction()):
        return (yield from plan)
    before = yield from rows(_READ_SETTINGS, (list(names),))
    result = yield from plan
    # NULL (the setting's library was not loaded before) sets the session's default
    yield from rows(_SET_BACK, (list(names), [value for (value,) in before]))
    return result
