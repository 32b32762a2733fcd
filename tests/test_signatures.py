"""Drop-in compatibility: our savers and stores accept the arguments that LangGraph's own accept."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from inspect import Parameter
from typing import Any, Final

import aiosqlite
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.store.postgres import AsyncPostgresStore, PostgresStore
from langgraph.store.sqlite import SqliteStore
from langgraph.store.sqlite.aio import AsyncSqliteStore
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import checkpoint_postgres
import checkpoint_sqlite
from tests.parameters import parameters_of

PAIRS: Final[dict[type, type]] = {
    PostgresSaver: checkpoint_postgres.PostgresSaver,
    AsyncPostgresSaver: checkpoint_postgres.AsyncPostgresSaver,
    PostgresStore: checkpoint_postgres.PostgresStore,
    AsyncPostgresStore: checkpoint_postgres.AsyncPostgresStore,
    SqliteSaver: checkpoint_sqlite.SqliteSaver,
    AsyncSqliteSaver: checkpoint_sqlite.AsyncSqliteSaver,
    SqliteStore: checkpoint_sqlite.SqliteStore,
    AsyncSqliteStore: checkpoint_sqlite.AsyncSqliteStore,
}
_OWN_TABLES: Final = "SQL about LangGraph's own tables"
NOT_HERE: Final = {
    "MIGRATIONS": _OWN_TABLES,
    "VECTOR_MIGRATIONS": _OWN_TABLES,
    "SELECT_SQL": _OWN_TABLES,
    "SELECT_PENDING_SENDS_SQL": _OWN_TABLES,
    "UPSERT_CHECKPOINT_BLOBS_SQL": _OWN_TABLES,
    "UPSERT_CHECKPOINTS_SQL": _OWN_TABLES,
    "UPSERT_CHECKPOINT_WRITES_SQL": _OWN_TABLES,
    "INSERT_CHECKPOINT_WRITES_SQL": _OWN_TABLES,
    "cursor": "a cursor on LangGraph's own tables; `conn` is there",
    "jsonplus_serde": "the serializer of metadata: ours keep it as JSON",
    "lock": "ours belongs to the connection, and everything that uses it shares it",
    "supports_pipeline": "whether libpq has pipelines: ours finds out where it uses one",
}
"""Public names of LangGraph's classes that ours lack, and the reason."""
ALSO_BLOCKING: Final = {"sweep_ttl", "start_ttl_sweeper", "stop_ttl_sweeper"}
"""Methods that are coroutine functions in LangGraph's classes. Ours can be awaited on an event
loop (clause `store.ttl.the_sweeper_can_be_waited_for`), and block in other threads."""


def kind_of(function: Any) -> str:
    """How callers use the result of a function."""
    whole = inspect.unwrap(function)
    is_wrapped = whole is not function  # a wrapped generator function is a context manager
    if inspect.isasyncgenfunction(whole):
        return "async with" if is_wrapped else "async for"
    if inspect.isgeneratorfunction(whole) and is_wrapped:
        return "with"
    return "awaited" if inspect.iscoroutinefunction(whole) else "as it is"


def is_accepted(theirs: Parameter, place: int, ours: list[Parameter]) -> bool:
    """Whether `ours` accepts an argument for the parameter that is at `place` in LangGraph's
    signature.
    """
    same = [(at, one) for at, one in enumerate(ours) if one.name == theirs.name]
    if not same:
        return False
    ((at, one),) = same
    if one.default is not theirs.default and one.default != theirs.default:
        return False
    if theirs.kind is Parameter.KEYWORD_ONLY:
        return one.kind in (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return one.kind is theirs.kind and at == place


def differences(theirs: type, ours: type) -> Iterator[str]:
    """The differences of signatures that would break a caller of LangGraph's class."""
    for name in ("__init__", *(name for name in dir(theirs) if not name.startswith("_"))):
        if name in NOT_HERE or not callable(getattr(theirs, name)):
            continue
        method, own = getattr(theirs, name), getattr(ours, name, None)
        if own is None:
            yield f"{name} is missing"
            continue
        if kind_of(method) != kind_of(own) and name not in ALSO_BLOCKING:
            yield f"{name} is {kind_of(own)}, not {kind_of(method)}"
        wanted = list(inspect.signature(method).parameters.values())
        given = parameters_of(own)
        for place, parameter in enumerate(wanted):
            if not is_accepted(parameter, place, given):
                yield f"{name} does not take {parameter}"
        known = {parameter.name for parameter in wanted}
        for parameter in given:
            if parameter.name not in known and parameter.default is Parameter.empty:
                yield f"{name} wants {parameter}"


@pytest.mark.parametrize(("theirs", "ours"), PAIRS.items(), ids=lambda one: one.__name__)
def test_every_method_takes_what_theirs_takes(theirs: type, ours: type) -> None:
    assert list(differences(theirs, ours)) == []


def test_every_attribute_is_there() -> None:
    """Compares instances that are made from the same connection."""

    async def main() -> dict[str, list[str]]:
        with ExitStack() as stack:
            connection = sqlite3.connect(":memory:")
            stack.callback(connection.close)
            connections: dict[str, Any] = {
                "SqliteS": connection,
                "AsyncSqliteS": aiosqlite.connect(":memory:"),
                "PostgresS": ConnectionPool("", open=False),
                "AsyncPostgresS": AsyncConnectionPool("", open=False),
            }
            lacking = {}
            for theirs, ours in PAIRS.items():
                conn = connections[theirs.__name__.removesuffix("aver").removesuffix("tore")]
                there, here = theirs(conn), ours(conn)
                assert here.conn is conn
                names = (name for name in dir(there) if not name.startswith("_"))
                lacking[theirs.__name__] = [name for name in names if not hasattr(here, name)]
        return lacking

    lacking = asyncio.run(main())
    assert {name for names in lacking.values() for name in names} == set(NOT_HERE)
