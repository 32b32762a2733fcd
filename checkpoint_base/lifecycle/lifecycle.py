"""Open/closed state and event-loop affinity of savers, stores and caches."""

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
    """Open/closed state, shared by a saver and its copies, or of one store or cache.

    Args:
        name: the class name, for error messages.
        driver: its `call_timeout`, if it has one, becomes `limit`.

    Attributes:
        limit: seconds that a cancelled caller waits for its call, which runs in another thread or
            on another loop. After that the caller is released and the call goes on; None: no limit.
        is_over: whether the connection was closed. Only set by `from_conn_string` and the `open_…`
            functions: a connection that the user passed in is closed by the user.
    """

    __slots__ = ("_name", "is_over", "limit")

    def __init__(self, name: str, driver: object = None) -> None:
        self._name = name
        self.limit: float | None = getattr(driver, "call_timeout", None)
        self.is_over = False

    def end(self) -> None:
        """Mark as closed, just before the connection is closed."""
        self.is_over = True

    def ended(self) -> ClosedError:
        """The error for a call on a closed object."""
        return ClosedError(
            f"this {self._name} is closed: it was used after the 'with' block that opened it; "
            "use it inside that block"
        )


class LoopBoundLifecycle(Lifecycle):
    """A lifecycle bound to one event loop, to which the driver's connections and locks belong.

    Args:
        name: the class name, for error messages.
        instead: the async methods that an error message recommends for a blocking call that would
            deadlock.
        driver: as in `Lifecycle`.

    Attributes:
        loop: the event loop that ran when this object was created.

    Raises:
        EventLoopError: no event loop is running.
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
        """Run the coroutine `start()` on the loop, and block this other thread until it is done.
        The coroutine is cancelled if this thread is interrupted.

        Raises:
            ClosedError: the object is closed.
            EventLoopError: this is the loop's own thread, or the loop has stopped or is closed.
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
        """`block` for coroutines: await `start()` on the loop, from that loop or from another."""
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
        # Only its own thread can restart a paused loop, and that thread would be blocked here.
        rests_here = self._thread == get_ident() and not self.loop.is_running()
        if rests_here or self.loop.is_closed():
            raise self._left()
        work = start()
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError as error:  # the loop was closed since the check
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
