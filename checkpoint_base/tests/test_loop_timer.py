"""One timer for all deadlines of an event loop."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref
from functools import partial

import pytest

from checkpoint_base.deadlines.loop_timer import loop_timer
from checkpoint_base.deadlines.timeouts import Deadline

STEP = "a step"


def test_each_step_ends_at_its_own_deadline_unless_it_has_stopped() -> None:
    ended: list[float] = []

    async def scenario() -> None:
        timer = loop_timer()
        for seconds in (0.05, 0.01, 0.03):
            timer.start(seconds, Deadline(seconds, STEP), partial(ended.append, seconds))
        timer.stop(0.03)
        timer.stop("never started")
        over = asyncio.Event()
        timer.start(over, Deadline(0.1, STEP), over.set)
        await over.wait()

    asyncio.run(scenario())
    assert ended == [0.01, 0.05]


def test_a_deadline_that_has_moved_is_waited_for_again() -> None:
    async def scenario() -> float:
        loop, deadline = asyncio.get_running_loop(), Deadline(0.02, STEP)
        over = loop.create_future()
        loop_timer().start(deadline, deadline, partial(over.set_result, None))
        deadline.end += 0.05
        await over
        return deadline.remaining() or 0.0

    assert asyncio.run(scenario()) == 0


def test_steps_of_one_limit_set_the_loops_timer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> int:
        delays: list[float] = []
        timer = loop_timer()
        monkeypatch.setattr(
            asyncio.get_running_loop(), "call_later", lambda delay, _: delays.append(delay)
        )
        for step in range(100):
            timer.start(step, Deadline(60, STEP), lambda: None)
            timer.stop(step)
        timer.start("endless", Deadline(None, STEP), lambda: None)
        assert Deadline(None, STEP).end == math.inf
        return len(delays)

    assert asyncio.run(scenario()) == 1


def test_a_loop_that_is_gone_leaves_nothing() -> None:
    async def scenario() -> weakref.ref[object]:
        loop_timer().start("a", Deadline(60, STEP), lambda: None)
        return weakref.ref(loop_timer())

    gone = asyncio.run(scenario())
    gc.collect()
    assert gone() is None
