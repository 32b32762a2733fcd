"""`call_timeout` on Postgres: cancels statements; and the thread whose row a statement locks."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any, Final

from psycopg.pq import ConnStatus

from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.deadlines.watchdog import GRACE, LoopWatch, Watch
from checkpoint_postgres.connection.requests import ConditionalWrite

STEP: Final = "a statement of Postgres"
"""What took too long, in the error of a `call_timeout`."""


def sever(connection: Any) -> None:
    """Shut a connection's socket down, from any thread: a read from it then fails."""
    pgconn = connection.pgconn
    with suppress(Exception):
        number = pgconn.socket
        copy = socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM)
        try:
            # libpq may have closed the socket meanwhile, and another file may have its number
            if pgconn.status == ConnStatus.OK and pgconn.socket == number:
                copy.shutdown(socket.SHUT_RDWR)
        finally:
            copy.close()


def watched(connection: Any, deadline: Deadline) -> Watch:
    """Watch a statement: after the deadline, cancel it or, if that fails, sever its connection."""
    return Watch(deadline, connection, _cancel, sever)


def _cancel(connection: Any) -> None:
    connection.cancel_safe(timeout=GRACE)


def awatched(connection: Any, deadline: Deadline) -> LoopWatch:
    """`watched`, for a connection of an event loop."""
    return LoopWatch(deadline, (connection, asyncio.get_running_loop()), _acancel, _asever)


def _acancel(at: tuple[Any, asyncio.AbstractEventLoop]) -> None:
    connection, loop = at
    cancelling = connection.cancel_safe(timeout=GRACE)
    asyncio.run_coroutine_threadsafe(cancelling, loop).result(GRACE)


def _asever(at: tuple[Any, asyncio.AbstractEventLoop]) -> None:
    sever(at[0])


def thread_of(request: Any) -> str | None:
    """The id of the thread whose row a saver's request locks; None: no row, or it is unknown."""
    return request.values[0] if type(request) is ConditionalWrite else None
