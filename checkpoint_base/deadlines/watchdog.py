"""Watchdog thread for blocking drivers: ends statements that exceed `call_timeout`.

Watching a step costs two set operations. The thread sleeps until the earliest deadline; when it
wakes, it skips steps that have ended and deadlines that have moved.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable
from threading import Condition, Event, Thread
from time import monotonic
from typing import Any, Final

from checkpoint_base.deadlines.timeouts import Deadline

GRACE: Final = 1.0
"""Seconds between the attempt to cancel a statement and closing its connection."""

End = Callable[[Any], object]

_LOGGER: Final = logging.getLogger(__name__)


class Watch:
    """Watches a step on a connection: `with Watch(deadline, connection, …): …`.

    Args:
        deadline: the step's deadline. It may be restarted while the step is watched.
        connection: the argument for `cancel` and `sever`.
        cancel: asks the server to cancel the statement; called once, in a new thread. None: the
            driver cannot cancel.
        sever: closes the connection immediately; called if the step has not ended within `GRACE`
            after `cancel`. Must not raise.

    Attributes:
        due: when the watchdog must act on this step again, on `time.monotonic`.
    """

    __slots__ = ("_cancel", "_cancelled", "_connection", "_sever", "deadline", "due")

    def __init__(self, deadline: Deadline, connection: Any, cancel: End | None, sever: End) -> None:
        self.deadline = deadline
        self._connection = connection
        self._cancel = cancel
        self._sever = sever
        self._cancelled: Event | None = None
        self.due = math.inf

    def __enter__(self) -> Watch:
        self.watch(self.deadline)
        return self

    def watch(self, deadline: Deadline) -> None:
        """Start watching a step, the first or the next one on the same connection."""
        self.deadline = deadline
        if deadline.end != math.inf:
            _watchdog.add(self)

    def __exit__(self, *_: object) -> None:
        self._leave()
        self._settle()

    def _leave(self) -> None:
        """Stop watching. Past the deadline the watchdog may be about to cancel this step: wait for
        its current pass, so that it does not cancel the connection's next statement.
        """
        _watchdog.watches.discard(self)
        if self.deadline.is_over:
            _watchdog.finish_look()

    def _settle(self) -> None:
        """Wait for a cancellation under way, which could hit the connection's next statement. If it
        does not end within `GRACE`, close the connection.
        """
        if self._cancelled is not None and not self._cancelled.wait(GRACE):
            self._sever(self._connection)

    def expire(self, now: float) -> None:
        """Act on a passed deadline: cancel the statement first, then close the connection, again
        every `GRACE` seconds until the step has ended.
        """
        self.due = now + GRACE
        if self.deadline.expired or self._cancel is None:
            self.deadline.expired = True
            self._sever(self._connection)
            return
        self._cancelled = Event()
        self.deadline.expired = True
        Thread(target=self._try, args=(self._cancel, self._cancelled), daemon=True).start()

    def _try(self, cancel: End, ended: Event) -> None:
        try:
            cancel(self._connection)
        except Exception:
            _LOGGER.warning("a statement beyond call_timeout was not cancelled", exc_info=True)
        finally:
            ended.set()


class LoopWatch(Watch):
    """`Watch` for a task on an event loop: `async with LoopWatch(…): …`."""

    __slots__ = ()

    async def __aenter__(self) -> LoopWatch:
        self.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()
        if self._cancelled is not None:
            await asyncio.to_thread(self._settle)


class _Watchdog:
    """The watchdog thread, started by the first step, and the steps that it watches."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self._wakes = Condition()
        self._next = -math.inf  # when the thread wakes; only an earlier deadline must wake it
        self._thread: Thread | None = None

    def add(self, watch: Watch) -> None:
        """Watch a step until it is removed from `watches`."""
        self.watches.add(watch)
        # The thread sets `_next` to infinity before it reads the set. So either the thread sees
        # this watch, or this call sees infinity and wakes the thread: no deadline is missed.
        if watch.deadline.end < self._next or self._thread is None:
            with self._wakes:
                if self._thread is None:
                    self._thread = Thread(target=self._run, name="call_timeout", daemon=True)
                    self._thread.start()
                self._wakes.notify()

    def finish_look(self) -> None:
        """Wait for the thread's current pass over the steps, which holds the lock."""
        with self._wakes:
            pass

    def _run(self) -> None:
        with self._wakes:
            while True:
                self._next = math.inf
                self._next = self._expire_due()
                left = self._next - monotonic()
                self._wakes.wait(None if left == math.inf else max(left, 0))

    def _expire_due(self) -> float:
        """Expire the steps that are due; returns when the next one is."""
        now, following = monotonic(), math.inf
        for watch in tuple(self.watches):
            if not watch.deadline.expired:
                watch.due = watch.deadline.end
            if watch.due <= now:
                watch.expire(now)
            following = min(following, watch.due)
        return following


_watchdog = _Watchdog()


def _forget() -> None:
    """Start afresh in a forked child, which has neither the parent's thread nor its steps."""
    global _watchdog  # noqa: PLW0603
    _watchdog = _Watchdog()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
