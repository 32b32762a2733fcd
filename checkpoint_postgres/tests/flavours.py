"""Tests written once for psycopg's blocking and its async connections."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from checkpoint_postgres import (
    AsyncPostgresSaver,
    AsyncPostgresStore,
    PostgresSaver,
    PostgresStore,
)
from checkpoint_postgres.tests.harness import PostgresHarness
from conformance_tests.samples.build import checkpoint, large, metadata, new_versions, on


@dataclass(frozen=True)
class Kit:
    """One flavour of psycopg, with our classes for it. Of those the async methods are called."""

    connection: Any
    pool: Any
    saver: Any
    store: Any

    async def connect(self, url: str, **options: Any) -> Any:
        """A connection."""
        return await done(self.connection.connect(url, **options))


SYNC: Final = Kit(psycopg.Connection, ConnectionPool, PostgresSaver, PostgresStore)
ASYNC: Final = Kit(
    psycopg.AsyncConnection, AsyncConnectionPool, AsyncPostgresSaver, AsyncPostgresStore
)


def both(test: Callable[..., Any]) -> Any:
    """A coroutine function as a test, run with each `kit`."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return pytest.mark.parametrize("kit", [SYNC, ASYNC], ids=["sync", "async"])(run)


async def done(given: Any) -> Any:
    """What a blocking call gave, or what an async one will give."""
    return await given if inspect.isawaitable(given) else given


@asynccontextmanager
async def within(manager: Any) -> AsyncIterator[Any]:
    """A context manager of either kind."""
    if hasattr(manager, "__aenter__"):
        async with manager as entered:
            yield entered
    else:
        with manager as entered:
            yield entered


async def fetched(connection: Any, sql: str) -> list[Any]:
    """All rows of a statement."""
    cursor = await done(connection.execute(sql.encode()))
    return list(await done(cursor.fetchall()))


def arguments(thread: str = "t", id: str | None = None, **state: Any) -> Any:
    """What a put takes; a large value if no state is given."""
    stored = checkpoint(state or {"a": large(1)}, id=id)
    return on(thread), stored, metadata(), new_versions(stored)


@asynccontextmanager
async def connected(kit: Kit, url: str, **options: Any) -> AsyncIterator[Any]:
    """A connection of the caller's; what was not committed is gone at its end."""
    connection = await kit.connect(url, **options)
    try:
        yield connection
    finally:
        await done(connection.close())


async def order(connection: Any) -> None:
    """Work of the caller's own."""
    await done(connection.execute("INSERT INTO orders VALUES (1)"))


def counts(database: PostgresHarness) -> tuple[int, int]:
    """How many orders and checkpoints are committed."""
    return (
        database.query("SELECT count(*) FROM orders")[0][0],
        database.query("SELECT count(*) FROM saver_checkpoints")[0][0],
    )
