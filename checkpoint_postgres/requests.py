"""What this backend's plans ask of its drivers, besides what all SQL does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from checkpoint_base.plan import Plan
from checkpoint_base.statements.requests import Row


@lru_cache(512)
def encoded(sql: str) -> bytes:
    """A statement as the driver takes it: the same object each time, whose hash is known."""
    return sql.encode()


class Attempt(NamedTuple):
    """Request: a statement that writes, a transaction by itself. The reply is its rows, or None
    if it would have broken a unique key, and so did nothing.
    """

    sql: str
    values: Sequence[Any]


def attempt(sql: str, values: Sequence[Any]) -> Plan[list[Row] | None]:
    """The rows of a statement that writes; None if something was there already."""
    result: list[Row] | None = yield Attempt(sql, values)
    return result
