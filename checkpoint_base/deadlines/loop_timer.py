"""One timer of an event loop for all deadlines on it.

A timer for each step would cost more than anything else that a step does in the process. To start
and stop a step here are two operations on a dict: the timer is set for the first deadline that it
has seen, and a step that has ended, or a deadline that has moved, is noticed when it goes off.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from time import monotonic
from typing import Protocol
from weakref import WeakKeyDictionary


class Ends(Protocol):
    """A deadline, which may move to a later time."""

    end: float


class LoopTimer:
    """The steps under way on one event loop."""

    def __init__(self) -> None:
        self._steps: dict[object, tuple[Ends, Callable[[], object]]] = {}
        self._next = math.inf  # when it goes off

    def start(self, step: object, deadline: Ends, expire: Callable[[], object]) -> None:
        """Call `expire` on the loop once the deadline has passed, unless the step stops before."""
        self._steps[step] = deadline, expire
        if deadline.end < self._next:
            self._set(deadline.end)

    def stop(self, step: object) -> None:
        """The step has ended, or was never started."""
        self._steps.pop(step, None)

    def _set(self, when: float) -> None:
        # One that is set for later is left alone: it looks, and finds nothing.
        self._next = when
        asyncio.get_running_loop().call_later(max(0.0, when - monotonic()), self._look)

    def _look(self) -> None:
        self._next = math.inf
        now, following = monotonic(), math.inf
        for step, (deadline, expire) in [*self._steps.items()]:
            if deadline.end <= now:
                self.stop(step)
                expire()
            else:
                following = min(following, deadline.end)
        if following < self._next:
            self._set(following)


_timers: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopTimer] = WeakKeyDictionary()


def loop_timer() -> LoopTimer:
    """The timer of the event loop that runs here."""
    loop = asyncio.get_running_loop()
    timer = _timers.get(loop)
    if timer is None:
        timer = _timers[loop] = LoopTimer()
    return timer
