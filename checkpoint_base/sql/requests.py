"""What plans over named statements ask of their drivers, besides transactions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from checkpoint_base.plan import Plan

Row = tuple[Any, ...]

Statement = Any
"""The text of a statement; or what else a backend's driver knows how to perform."""


class Query(NamedTuple):
    """Request: the reply is all rows."""

    sql: Statement
    values: Sequence[Any] = ()


class Execute(NamedTuple):
    """Request: the reply is the number of rows changed."""

    sql: Statement
    values: Sequence[Any] = ()


class ExecuteMany(NamedTuple):
    """Request: one statement for each of `rows`; the reply is the number of rows changed."""

    sql: Statement
    rows: Iterable[Sequence[Any]]


def rows(sql: Statement, values: Sequence[Any] = ()) -> Plan[list[Row]]:
    """The rows of a query."""
    result: list[Row] = yield Query(sql, values)
    return result


def row(sql: Statement, values: Sequence[Any] = ()) -> Plan[Row | None]:
    """The first row of a query, if there is one."""
    result: list[Row] = yield Query(sql, values)
    return result[0] if result else None


def execute(sql: Statement, values: Sequence[Any] = ()) -> Plan[int]:
    """Run a statement; the number of rows it changed."""
    result: int = yield Execute(sql, values)
    return result


def execute_many(sql: Statement, values: Iterable[Sequence[Any]]) -> Plan[int]:
    """Run a statement for each row of values; the number of rows changed."""
    result: int = yield ExecuteMany(sql, values)
    return result
