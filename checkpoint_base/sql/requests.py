"""The requests that SQL plans yield: query, execute, execute many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from checkpoint_base.plan import Plan

Row = tuple[Any, ...]

Statement = Any
"""SQL text, or another object that the backend's driver can execute."""


class Query(NamedTuple):
    """Request: run a query; the reply is all its rows."""

    sql: Statement
    values: Sequence[Any] = ()


class Execute(NamedTuple):
    """Request: run a statement; the reply is the number of rows changed."""

    sql: Statement
    values: Sequence[Any] = ()


class ExecuteMany(NamedTuple):
    """Request: run a statement once per row of values; the reply is the number of rows changed."""

    sql: Statement
    rows: Iterable[Sequence[Any]]


def rows(sql: Statement, values: Sequence[Any] = ()) -> Plan[list[Row]]:
    """All rows of a query."""
    result: list[Row] = yield Query(sql, values)
    return result


def row(sql: Statement, values: Sequence[Any] = ()) -> Plan[Row | None]:
    """The first row of a query, or None."""
    result: list[Row] = yield Query(sql, values)
    return result[0] if result else None


def execute(sql: Statement, values: Sequence[Any] = ()) -> Plan[int]:
    """Run a statement; returns the number of rows changed."""
    result: int = yield Execute(sql, values)
    return result


def execute_many(sql: Statement, values: Iterable[Sequence[Any]]) -> Plan[int]:
    """Run a statement once per row of values; returns the number of rows changed."""
    result: int = yield ExecuteMany(sql, values)
    return result
