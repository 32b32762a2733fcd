"""Calls that are cancelled or interrupted: what runs for them elsewhere ends before they do, so
that nothing is stored after they have ended.
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
    """Wait for a future, for a caller that is cancelled already: more cancellations change
    nothing. Its error is not logged as never retrieved: no other caller asks for its result.

    Args:
        future: what runs for the caller elsewhere.
        limit: seconds after which it is left to itself; None: never.
    """
    future.add_done_callback(retrieve)
    end = math.inf if limit is None else monotonic() + limit
    while not future.done() and (left := end - monotonic()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.wait((future,), timeout=None if left == math.inf else left)


def retrieve(future: asyncio.Future[Any]) -> None:
    """Take the error of a future whose caller is gone, so that asyncio does not log it."""
    if future.done() and not future.cancelled():
        future.exception()


async def in_thread(
    call: Callable[[], T], executor: Executor | None = None, limit: float | None = None
) -> T:
    """`asyncio.to_thread`, except that a caller that is cancelled waits until the call has ended. A
    call that has not begun by then never begins.

    Args:
        call: what to call, in the context of the caller.
        executor: whose threads it is called in; None: those of the loop.
        limit: seconds that a caller that is cancelled waits at most; the call goes on without it.
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
    """A coroutine that runs on an event loop while another thread or loop waits for it.

    Args:
        start: makes the coroutine, on its loop.
    """

    def __init__(self, start: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._start = start
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

    async def run(self) -> T:
        """Run it, unless it was cancelled before."""
        if self._is_cancelled:
            raise asyncio.CancelledError
        self._task = asyncio.current_task()
        return await self._start()

    def cancel(self) -> None:
        """Cancel it; to be called on its loop."""
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()
