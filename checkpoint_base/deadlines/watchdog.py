"""A watchdog for blocking drivers: one thread that ends statements which take longer than
`call_timeout`.

To watch a step costs two operations on a set. The thread sleeps until the first deadline that it
has seen; a deadline that has moved, or a step that has ended, is noticed when it wakes.
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
"""Seconds between the attempt to cancel a statement and the end of its connection."""

End = Callable[[Any], object]

_LOGGER: Final = logging.getLogger(__name__)


class Watch:
    """A step on a connection, while it is watched: `with Watch(deadline, connection, …): …`.

    Args:
        deadline: of the step. It may be restarted meanwhile; it expires when it has passed before
            the step has ended.
        connection: what `cancel` and `sever` are given.
        cancel: asks the server to end the statement; called in a thread of its own, once. None:
            there is no such thing.
        sever: ends the connection, at once; called if the step has not ended a second later. It
            raises nothing.

    Attributes:
        due: for the watchdog: when this is to be looked at again.
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
        """Begin to watch, or to watch another step on the same connection."""
        self.deadline = deadline
        if deadline.end != math.inf:
            _watchdog.add(self)

    def __exit__(self, *_: object) -> None:
        self._leave()
        self._settle()

    def _leave(self) -> None:
        """Watch no longer. Past the deadline the watchdog may be about to end this step: a look of
        it that has begun is waited for, so that it ends no later statement of the connection.
        """
        _watchdog.watches.discard(self)
        if self.deadline.is_over:
            _watchdog.finish_look()

    def _settle(self) -> None:
        """An attempt to cancel that is under way might end the connection's next statement: it is
        waited for, as long as it may take.
        """
        if self._cancelled is not None and not self._cancelled.wait(GRACE):
            self._sever(self._connection)

    def expire(self, now: float) -> None:
        """The deadline has passed. The first time this tries to cancel, then it severs, until the
        step has ended.
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
    """The same around what a task awaits: `async with LoopWatch(…): …`."""

    __slots__ = ()

    async def __aenter__(self) -> LoopWatch:
        self.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()
        if self._cancelled is not None:
            await asyncio.to_thread(self._settle)


class _Watchdog:
    """The thread, and the steps that are under way. It is started by the first one."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self._wakes = Condition()
        self._next = -math.inf  # when it wakes; a later deadline need not wake it
        self._thread: Thread | None = None

    def add(self, watch: Watch) -> None:
        """Watch a step until it is taken out of the set."""
        self.watches.add(watch)
        # The thread sets `_next` to infinity before it looks at the set: either it sees this watch
        # or this sees infinity.
        if watch.deadline.end < self._next or self._thread is None:
            with self._wakes:
                if self._thread is None:
                    self._thread = Thread(target=self._run, name="call_timeout", daemon=True)
                    self._thread.start()
                self._wakes.notify()

    def finish_look(self) -> None:
        """Wait until the thread does not look at the steps."""
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
        """End the steps whose time is over; when the next one's is."""
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
    """A child process has neither the thread nor the steps of its parent."""
    global _watchdog  # noqa: PLW0603
    _watchdog = _Watchdog()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
