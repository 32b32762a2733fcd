"""Opens Postgres connections and pools, and checks those that callers pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final

from checkpoint_base.deadlines.timeouts import checked_call_timeout
from checkpoint_base.errors import InvalidArgumentError, MissingDriverError

MAX_SIZE: Final = 10
"""Default maximum of connections in a pool."""

_TRIAL: Final = 5
"""Seconds for the trial connection that checks a pool's settings."""

PoolOptions = Mapping[str, Any]


@contextmanager
def connected(
    needed_by: str, conn_string: str, pool: PoolOptions | None, call_timeout: float | None
) -> Iterator[Any]:
    """Open a pool, or a connection; yields it and a function that reconnects (None for a pool).

    Raises:
        InvalidArgumentError: `conn_string`, `pool` or `call_timeout` is invalid.
        PermissionDeniedError: the server refused the login.
        BackendUnavailableError: connecting failed. With a pool, only if retries cannot help; it
            keeps trying to reach a server that is not up yet, and calls wait for it.
    """
    psycopg, psycopg_pool = _drivers(needed_by)
    from checkpoint_postgres.connection.conninfo import (
        Remembering,
        is_permanent,
        network_settings,
        understood,
        unreachable,
    )

    parts = understood(conn_string)
    settings = network_settings(parts, checked_call_timeout(call_timeout))
    if pool is not None:
        options = _pooled(pool, settings, psycopg.Connection, Remembering)
        with _accepted("pool"):
            opened = psycopg_pool.ConnectionPool(conn_string, **options)
        with _accepted("pool['kwargs']"):
            try:
                opened.connection_class.connect(conn_string, **_trial(options, pool, parts)).close()
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if is_permanent(error, parts):
                    raise unreachable(error, parts) from error
        with opened as connections:
            yield connections, None
        return
    connect = partial(psycopg.Connection.connect, conn_string, autocommit=True, **settings)
    try:
        connection = connect()
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise unreachable(error, parts) from error
    try:
        yield connection, connect
    finally:
        connection.close()


@asynccontextmanager
async def aconnected(
    needed_by: str, conn_string: str, pool: PoolOptions | None, call_timeout: float | None
) -> AsyncIterator[Any]:
    """`connected`, for an event loop."""
    psycopg, psycopg_pool = _drivers(needed_by)
    from checkpoint_postgres.connection.conninfo import (
        AsyncRemembering,
        is_permanent,
        network_settings,
        understood,
        unreachable,
    )

    parts = understood(conn_string)
    settings = network_settings(parts, checked_call_timeout(call_timeout))
    if pool is not None:
        options = _pooled(pool, settings, psycopg.AsyncConnection, AsyncRemembering)
        with _accepted("pool"):
            opened = psycopg_pool.AsyncConnectionPool(conn_string, **options)
        with _accepted("pool['kwargs']"):
            try:
                trial = _trial(options, pool, parts)
                await (await opened.connection_class.connect(conn_string, **trial)).close()
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if is_permanent(error, parts):
                    raise unreachable(error, parts) from error
        async with opened as connections:
            yield connections, None
        return
    connect = partial(psycopg.AsyncConnection.connect, conn_string, autocommit=True, **settings)
    try:
        connection = await connect()
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise unreachable(error, parts) from error
    try:
        yield connection, connect
    finally:
        await connection.close()


def _pooled(
    pool: PoolOptions, settings: Mapping[str, Any], usual: Any, remembers: Any
) -> dict[str, Any]:
    """The arguments of a pool: the caller's, else defaults, such as autocommit."""
    from checkpoint_postgres.connection.conninfo import remembering

    if not isinstance(pool, Mapping):
        raise InvalidArgumentError(
            "pool: wanted a dict of what psycopg's pool takes, e.g. {'max_size': 16}, "
            f"got {type(pool).__name__}"
        )
    kwargs = {"autocommit": True, **settings, **(pool.get("kwargs") or {})}
    sizes = {"min_size": 1, "max_size": max(MAX_SIZE, pool.get("min_size", 1))}
    connections = remembering(pool.get("connection_class", usual), remembers)
    own = {"kwargs": kwargs, "connection_class": connections, "open": False}
    return {**sizes, **pool, **own}


def _trial(
    options: Mapping[str, Any], pool: PoolOptions, parts: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of the trial connection: the pool's, with a short `connect_timeout`, unless the
    caller has given one.
    """
    given = (pool.get("kwargs") or {}).get("connect_timeout", parts.get("connect_timeout"))
    return {**options["kwargs"], "connect_timeout": _TRIAL if given is None else given}


@contextmanager
def _accepted(argument: str) -> Iterator[None]:
    """Raise psycopg's refusal of an argument as `InvalidArgumentError`."""
    from psycopg import ProgrammingError

    try:
        yield
    except (TypeError, ValueError, ProgrammingError) as error:
        raise InvalidArgumentError(f"{argument}: {error}") from error


def _neither(wanted: str, given: object) -> InvalidArgumentError:
    hint = "; for a URL there is from_conn_string" if isinstance(given, str) else ""
    kind = type(given).__name__
    return InvalidArgumentError(f"conn: wanted a psycopg {wanted}, got {kind}{hint}")


def _drivers(needed_by: str) -> tuple[Any, Any]:
    try:
        import psycopg
        import psycopg_pool
    except ImportError as error:
        raise MissingDriverError.of(needed_by, "postgres") from error
    return psycopg, psycopg_pool


def sync_source(
    needed_by: str, conn: Any, reconnect: Callable[[], Any] | None, pipe: object = None
) -> Any:
    """The source of connections for a blocking driver.

    Raises:
        InvalidArgumentError: `conn` is neither a connection nor a pool, or a pool with a `pipe`.
        MissingDriverError: psycopg is not installed.
    """
    psycopg, psycopg_pool = _drivers(needed_by)
    from checkpoint_postgres.connection.sync_driver import (
        PooledConnections,
        SingleConnection,
    )

    if isinstance(conn, psycopg_pool.ConnectionPool):
        _refuse(pipe)
        return PooledConnections(conn)
    if isinstance(conn, psycopg.Connection):
        return SingleConnection(conn, reconnect)
    raise _neither("Connection or ConnectionPool", conn)


def async_source(
    needed_by: str, conn: Any, reconnect: Callable[[], Any] | None, pipe: object = None
) -> Any:
    """`sync_source`, for the driver for event loops."""
    psycopg, psycopg_pool = _drivers(needed_by)
    from checkpoint_postgres.connection.async_statements import (
        AsyncPooledConnections,
        AsyncSingleConnection,
    )

    if isinstance(conn, psycopg_pool.AsyncConnectionPool):
        _refuse(pipe)
        return AsyncPooledConnections(conn)
    if isinstance(conn, psycopg.AsyncConnection):
        return AsyncSingleConnection(conn, reconnect)
    raise _neither("AsyncConnection or AsyncConnectionPool", conn)


def _refuse(pipe: object) -> None:
    if pipe is not None:
        raise InvalidArgumentError("pipe: wanted None with a pool, a pipeline is one connection's")


def pool_options(pool: PoolOptions | None, pool_config: PoolOptions | None) -> PoolOptions | None:
    """A pool's options, which LangGraph's stores call `pool_config`.

    Raises:
        InvalidArgumentError: both arguments are given.
    """
    if pool is not None and pool_config is not None:
        raise InvalidArgumentError("pool, pool_config: wanted one of both, they mean the same")
    return pool_config if pool is None else pool
