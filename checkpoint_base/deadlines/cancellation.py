"""Cancellation: a cancelled call waits for its work in another thread or on another event loop.

So nothing is stored after the call has ended.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context
from threading import Lock
from time import monotonic
from typing import Any, Generic, TypeVar

T = TypeVar("T")


async def until_done(future: asyncio.Future[Any], limit: float | None = None) -> None:
    """Wait for a future on behalf of a caller that is already cancelled, and ignore further
    cancellations. Retrieve its error, so that asyncio does not log it as never retrieved.

    Args:
        future: the caller's work, in another thread or on another loop.
        limit: seconds after which to stop waiting while the work goes on; None: never.
    """
    future.add_done_callback(retrieve)
    end = math.inf if limit is None else monotonic() + limit
    while not future.done() and (left := end - monotonic()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.wait((future,), timeout=None if left == math.inf else left)


def retrieve(future: asyncio.Future[Any]) -> None:
    """Retrieve a future's error, so that asyncio does not log it; the caller was cancelled."""
    if future.done() and not future.cancelled():
        future.exception()


async def in_thread(
    call: Callable[[], T], executor: Executor | None = None, limit: float | None = None
) -> T:
    """`asyncio.to_thread`, except that a cancelled caller waits until the call has ended. A call
    that has not started by then never starts.

    Args:
        call: the function to call, with the caller's context variables.
        executor: the thread pool; None: the event loop's default.
        limit: maximum seconds that a cancelled caller waits; the call then goes on without it.
    """
    begin = Lock()

    def begun() -> T:
        if begin.acquire(blocking=False):
            return call()
        raise asyncio.CancelledError

    loop = asyncio.get_running_loop()
    future = loop.run_in_executor(executor, copy_context().run, begun)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if begin.acquire(blocking=False):
            future.add_done_callback(retrieve)
        else:
            await until_done(future, limit)
        raise


class RemoteCall(Generic[T]):
    """A coroutine on one event loop whose caller waits in another thread or on another loop.

    Args:
        start: creates the coroutine; called on its loop.
    """

    def __init__(self, start: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._start = start
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

    async def run(self) -> T:
        """Run the coroutine, unless `cancel` was called before."""
        if self._is_cancelled:
            raise asyncio.CancelledError
        self._task = asyncio.current_task()
        return await self._start()

    def cancel(self) -> None:
        """Cancel the coroutine. Must be called on its loop."""
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()
