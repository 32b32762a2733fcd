"""Connections: opened by us, or handed over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final

from checkpoint_base.errors import BackendUnavailableError, InvalidArgumentError, MissingDriverError

MAX_SIZE: Final = 10
"""Connections of a pool that nobody gave a size."""

PoolOptions = Mapping[str, Any]


@contextmanager
def connected(needed_by: str, conn_string: str, pool: PoolOptions | None) -> Iterator[Any]:
    """A pool, or a connection and how to make another one."""
    psycopg, psycopg_pool = _drivers(needed_by)
    if pool is not None:
        with psycopg_pool.ConnectionPool(conn_string, **_pooled(pool)) as connections:
            yield connections, None
        return
    connect = partial(psycopg.Connection.connect, conn_string, autocommit=True)
    try:
        connection = connect()
    except psycopg.OperationalError as error:
        raise _unreachable(error) from error
    try:
        yield connection, connect
    finally:
        connection.close()


@asynccontextmanager
async def aconnected(
    needed_by: str, conn_string: str, pool: PoolOptions | None
) -> AsyncIterator[Any]:
    """`connected`, for an event loop."""
    psycopg, psycopg_pool = _drivers(needed_by)
    if pool is not None:
        async with psycopg_pool.AsyncConnectionPool(conn_string, **_pooled(pool)) as connections:
            yield connections, None
        return
    connect = partial(psycopg.AsyncConnection.connect, conn_string, autocommit=True)
    try:
        connection = await connect()
    except psycopg.OperationalError as error:
        raise _unreachable(error) from error
    try:
        yield connection, connect
    finally:
        await connection.close()


def _unreachable(error: Exception) -> BackendUnavailableError:
    return BackendUnavailableError(f"no connection to Postgres: {error}")


def _pooled(pool: PoolOptions) -> dict[str, Any]:
    """Our pools need no statement for autocommit; all else is as the caller wants it.

    Raises:
        InvalidArgumentError: `pool` is no mapping.
    """
    if not isinstance(pool, Mapping):
        raise InvalidArgumentError(
            "pool: wanted a dict of what psycopg's ConnectionPool takes, such as "
            f"{{'max_size': 5}}, got {type(pool).__name__}"
        )
    kwargs = {"autocommit": True, **(pool.get("kwargs") or {})}
    sizes = {"min_size": 1, "max_size": max(MAX_SIZE, pool.get("min_size", 1))}
    return {**sizes, **pool, "kwargs": kwargs, "open": False}


def _neither(wanted: str, given: object) -> InvalidArgumentError:
    return InvalidArgumentError(f"conn: wanted a psycopg {wanted}, got {type(given).__name__}")


def _drivers(needed_by: str) -> tuple[Any, Any]:
    try:
        import psycopg
        import psycopg_pool
    except ImportError as error:
        raise MissingDriverError.of(needed_by, "postgres") from error
    return psycopg, psycopg_pool


def sync_source(needed_by: str, conn: Any, reconnect: Callable[[], Any] | None) -> Any:
    """Where a blocking driver gets its connections.

    Raises:
        InvalidArgumentError: `conn` is neither connection nor pool.
        MissingDriverError: psycopg is not installed.
    """
    psycopg, psycopg_pool = _drivers(needed_by)
    from checkpoint_postgres.sync_driver import FromPool, OneConnection

    if isinstance(conn, psycopg_pool.ConnectionPool):
        return FromPool(conn)
    if isinstance(conn, psycopg.Connection):
        return OneConnection(conn, reconnect)
    raise _neither("Connection or ConnectionPool", conn)


def async_source(needed_by: str, conn: Any, reconnect: Callable[[], Any] | None) -> Any:
    """The same for an event loop."""
    psycopg, psycopg_pool = _drivers(needed_by)
    from checkpoint_postgres.async_driver import FromPool, OneConnection

    if isinstance(conn, psycopg_pool.AsyncConnectionPool):
        return FromPool(conn)
    if isinstance(conn, psycopg.AsyncConnection):
        return OneConnection(conn, reconnect)
    raise _neither("AsyncConnection or AsyncConnectionPool", conn)
