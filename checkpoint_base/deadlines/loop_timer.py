"""One shared timer for all deadlines on an event loop.

Setting an asyncio timer for each step would cost more than the rest of the step's CPU work. Here,
starting and stopping a step are two dict operations. The timer is set for the earliest deadline;
when it fires, it skips steps that have ended and deadlines that have moved.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from time import monotonic
from typing import Protocol
from weakref import WeakKeyDictionary


class Ends(Protocol):
    """A deadline, on `time.monotonic`; it may move to a later time."""

    end: float


class LoopTimer:
    """Calls back when the deadline of a step on one event loop has passed."""

    def __init__(self) -> None:
        self._steps: dict[object, tuple[Ends, Callable[[], object]]] = {}
        self._next = math.inf  # when the timer fires

    def start(self, step: object, deadline: Ends, expire: Callable[[], object]) -> None:
        """Call `expire` on the loop once the deadline has passed, unless the step stops before."""
        self._steps[step] = deadline, expire
        if deadline.end < self._next:
            self._set(deadline.end)

    def stop(self, step: object) -> None:
        """Stop watching a step, if it is watched."""
        self._steps.pop(step, None)

    def _set(self, when: float) -> None:
        # Do not cancel a timer that is set for later: when it fires it finds nothing due.
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
    """The timer of the running event loop."""
    loop = asyncio.get_running_loop()
    timer = _timers.get(loop)
    if timer is None:
        timer = _timers[loop] = LoopTimer()
    return timer
