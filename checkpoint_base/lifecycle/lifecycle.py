"""From when to when a saver or a store can be used, and on which event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from threading import get_ident
from typing import Any, TypeVar

from checkpoint_base.deadlines.cancellation import RemoteCall, until_done
from checkpoint_base.errors import ClosedError, EventLoopError

T = TypeVar("T")
Start = Callable[[], Coroutine[Any, Any, T]]


class Lifecycle:
    """Of one saver with its copies, or of a store.

    Args:
        name: of the class.
        driver: whose `call_timeout` limits how long a caller that is cancelled waits for what
            runs for it elsewhere, in seconds; None, or a driver that has none: for ever.

    Attributes:
        limit: that `call_timeout`. After so long the caller gets its cancellation, and what runs
            goes on without it.
        is_over: whether whoever opened the connection has closed it. Only `from_conn_string` and
            `open_saver` know: a connection of the user's is the user's to close.
    """

    __slots__ = ("_name", "is_over", "limit")

    def __init__(self, name: str, driver: object = None) -> None:
        self._name = name
        self.limit: float | None = getattr(driver, "call_timeout", None)
        self.is_over = False

    def end(self) -> None:
        """The connection is about to be closed."""
        self.is_over = True

    def ended(self) -> ClosedError:
        """The error for a call after the end."""
        return ClosedError(
            f"this {self._name} is closed: it was used after the 'with' block that opened it; "
            "use it inside that block"
        )


class LoopBoundLifecycle(Lifecycle):
    """The same on an event loop: drivers' connections, locks and tasks belong to one.

    Args:
        name: of the class.
        instead: what to await where a blocking call would wait for itself.
        driver: as in `Lifecycle`.

    Attributes:
        loop: the one on which this is made.

    Raises:
        EventLoopError: there is none.
    """

    __slots__ = ("_instead", "_thread", "loop")

    def __init__(self, name: str, instead: str, driver: object = None) -> None:
        super().__init__(name, driver)
        self._instead = instead
        self._thread = get_ident()
        loop = running_loop()
        if loop is None:
            raise EventLoopError(
                f"{name} was made outside of an event loop: make it in a coroutine, on the loop "
                "that will use it"
            )
        self.loop = loop

    def block(self, start: Start[T]) -> T:
        """The result of what `start` gives, on the loop, for another thread. If this thread is
        interrupted, that is cancelled.

        Raises:
            ClosedError: it was used after the end.
            EventLoopError: this is the loop's own thread, or the loop has ended.
        """
        if self.is_over:
            raise self.ended()
        if running_loop() is self.loop:
            raise EventLoopError(
                f"a blocking method of {self._name} was called on the thread of its own event "
                "loop, where it would wait for itself: await the method that begins with 'a' "
                f"({self._instead}), or call it from another thread"
            )
        call = RemoteCall(start)
        future = self._begin(call.run)
        try:
            return future.result()
        except BaseException:
            if not future.done():  # this thread was interrupted
                self._cancel(call)
                wait((future,), self.limit)
            raise

    async def join(self, start: Start[T]) -> T:
        """The same, for an event loop: this one, or another, from which it goes over."""
        if self.is_over:
            raise self.ended()
        if asyncio.get_running_loop() is self.loop:
            return await start()
        call = RemoteCall(start)
        future = asyncio.wrap_future(self._begin(call.run))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.done():
                self._cancel(call)
                await until_done(future, self.limit)
            raise

    def _cancel(self, call: RemoteCall[Any]) -> None:
        self.loop.call_soon_threadsafe(call.cancel)

    def _begin(self, start: Start[T]) -> Future[T]:
        if self.is_over:
            raise self.ended()
        # A loop that rests may be run again by its thread, but not while that thread is here.
        rests_here = self._thread == get_ident() and not self.loop.is_running()
        if rests_here or self.loop.is_closed():
            raise self._left()
        work = start()
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError as error:  # closed since
            work.close()
            raise self._left() from error

    def _left(self) -> EventLoopError:
        return EventLoopError(
            f"this {self._name} belongs to an event loop that has ended or stopped, and its "
            "connection with it: open it inside the coroutine that is given to asyncio.run, or "
            f"use {self._name.removeprefix('Async')}, whose methods work on any loop"
        )


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of this thread, if it runs one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
