"""`call_timeout`: what it may be, and what ends at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import pytest

from checkpoint_base import BackendUnavailableError, InvalidArgumentError, open_saver
from checkpoint_base.deadlines.timeouts import Deadline, LoopDeadline, checked_call_timeout

T = TypeVar("T")


@pytest.mark.parametrize("value", [None, 1, 0.5, 3600])
def test_seconds_or_none(value: Any) -> None:
    assert checked_call_timeout(value) == value


@pytest.mark.parametrize("value", [0, -1, True, "60", float("nan"), float("inf"), [1]])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="call_timeout: wanted seconds above 0"):
        checked_call_timeout(value)


@pytest.mark.parametrize("url", ["memory://", "sqlite:///:memory:"])
def test_an_option_of_open_saver(url: str) -> None:
    for seconds in (5, None):
        with open_saver(url, call_timeout=seconds):
            pass
    with pytest.raises(InvalidArgumentError, match="call_timeout"):
        open_saver(url, call_timeout=0).__enter__()


def test_a_deadline_says_what_is_left() -> None:
    assert Deadline(None, "a step").remaining() is None
    assert Deadline(None, "a step").remaining(5) == 5
    deadline = Deadline(0.001, "a step")
    assert deadline.remaining(0.0005) == pytest.approx(0.0005, abs=0.0005)
    assert "call_timeout: a step was not done within 0.001 s" in str(deadline.error())


async def never() -> None:
    await asyncio.Event().wait()


async def limited(seconds: float | None, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with LoopDeadline(seconds, "a step"):
        return await call()


def test_a_task_is_ended_and_told_why() -> None:
    async def scenario() -> None:
        with pytest.raises(BackendUnavailableError, match="call_timeout: a step was not done"):
            await limited(0.01, never)
        await asyncio.sleep(0)  # the task is not cancelled any more

    asyncio.run(scenario())


def test_without_a_limit_nothing_ends() -> None:
    asyncio.run(limited(None, partial(asyncio.sleep, 0)))


def test_a_restart_moves_the_deadline() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with LoopDeadline(0.05, "a step") as deadline:
            begun = loop.time()
            while loop.time() < begun + 0.15:
                deadline.restart()
                await asyncio.sleep(0)

    asyncio.run(scenario())


def test_another_cancellation_stays_one() -> None:
    async def scenario() -> None:
        task = asyncio.create_task(limited(60, never))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


def test_an_error_of_the_driver_stands() -> None:
    async def lose() -> None:
        try:
            await never()
        except asyncio.CancelledError:
            raise ValueError("lost") from None

    with pytest.raises(ValueError, match="lost"):
        asyncio.run(limited(0.01, lose))
