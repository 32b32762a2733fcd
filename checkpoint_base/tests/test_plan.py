"""The trampolines, and the promise that they do the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event, get_ident
from typing import Any

import pytest

from checkpoint_base.plan import (
    OFFLOADED,
    Atomic,
    Plan,
    arun,
    offload,
    read,
    run,
    run_nested,
    write,
)

Runner = Callable[[Plan[Any], Callable[[Any], Any]], Any]


def drive_sync(plan: Plan[Any], perform: Callable[[Any], Any]) -> Any:
    return run(plan, perform)


def drive_async(plan: Plan[Any], perform: Callable[[Any], Any]) -> Any:
    async def aperform(request: Any) -> Any:
        await asyncio.sleep(0)
        return perform(request)

    return asyncio.run(arun(plan, aperform))


runners = pytest.mark.parametrize("drive", [drive_sync, drive_async])


def double_until(limit: int) -> Plan[int]:
    value = 1
    while value < limit:
        value = yield ("double", value)
    return value


@runners
def test_replies_go_where_requests_came_from(drive: Runner) -> None:
    asked = []

    def perform(request: Any) -> Any:
        asked.append(request)
        return request[1] * 2

    assert drive(double_until(8), perform) == 8
    assert asked == [("double", 1), ("double", 2), ("double", 4)]


@runners
def test_an_error_enters_the_plan_and_may_be_handled_there(drive: Runner) -> None:
    def patient() -> Plan[str]:
        try:
            yield "first"
        except ConnectionError:
            answer: str = yield "second"
            return answer
        return "no error"

    def perform(request: Any) -> Any:
        if request == "first":
            raise ConnectionError("gone")
        return "saved"

    assert drive(patient(), perform) == "saved"


@runners
def test_an_error_that_a_plan_does_not_handle_comes_out(drive: Runner) -> None:
    closed = []

    def plan() -> Plan[None]:
        try:
            yield "request"
        finally:
            closed.append(True)

    def perform(request: Any) -> Any:
        raise LookupError(request)

    with pytest.raises(LookupError, match="request"):
        drive(plan(), perform)
    assert closed == [True]


@runners
def test_helpers_yield_what_drivers_know(drive: Runner) -> None:
    def perform(request: Any) -> Any:
        if isinstance(request, Atomic):
            return request.write, run(request.make(), perform)
        return request

    def plan() -> Plan[list[Any]]:
        return [(yield from read(double_until, 1)), (yield from write(double_until, 1))]

    assert drive(plan(), perform) == [(False, 1), (True, 1)]


@runners
def test_offload_lasts_until_the_next_request(drive: Runner) -> None:
    """On an event loop in another thread; a blocking caller has nothing to leave."""
    threads = []

    def plan() -> Plan[str]:
        threads.append(get_ident())
        yield from offload(OFFLOADED)
        threads.append(get_ident())
        yield from offload()
        threads.append(get_ident())
        reply: str = yield "request"
        threads.append(get_ident())
        yield from offload()
        threads.append(get_ident())
        return reply

    assert drive(plan(), str.upper) == "REQUEST"
    here = get_ident()
    is_here = [thread == here for thread in threads]
    assert is_here == [True, True, drive is drive_sync, True, drive is drive_sync]


@runners
def test_offload_inside_a_nested_plan(drive: Runner) -> None:
    threads = []

    def inner() -> Plan[str]:
        yield from offload()
        threads.append(get_ident())
        reply: str = yield "request"
        return reply

    def answer(request: Any) -> Plan[Any]:
        return (yield request)

    assert drive(run_nested(inner(), answer), str.upper) == "REQUEST"
    assert (threads == [get_ident()]) is (drive is drive_sync)


@runners
def test_an_error_in_another_thread_comes_out(drive: Runner) -> None:
    closed = []

    def plan() -> Plan[None]:
        try:
            yield from offload()
            raise LookupError("in the other thread")
        finally:
            closed.append(True)

    with pytest.raises(LookupError, match="in the other thread"):
        drive(plan(), str.upper)
    assert closed == [True]


def test_a_caller_cancelled_meanwhile_sends_no_request() -> None:
    """What was encoded for it is not stored: the plan ends at its next request."""
    asked, ended = [], []
    begun, go_on = Event(), Event()

    def plan() -> Plan[None]:
        try:
            yield from offload()
            begun.set()
            go_on.wait(10)
            yield "store"
        except asyncio.CancelledError:
            ended.append(True)
            raise

    async def perform(request: Any) -> None:
        asked.append(request)

    async def scenario() -> None:
        task = asyncio.create_task(arun(plan(), perform))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert (asked, ended) == ([], [True])


@runners
def test_a_plan_inside_a_plan_gets_its_answers_and_its_errors(drive: Runner) -> None:
    def inner() -> Plan[list[Any]]:
        got = [(yield "one")]
        try:
            yield "bad"
        except KeyError as error:
            got.append(error.args[0])
        return got

    def answer(request: Any) -> Plan[Any]:
        if request == "bad":
            raise KeyError("refused")
        first = yield request
        return [first, (yield "more")]

    assert drive(run_nested(inner(), answer), str.upper) == [["ONE", "MORE"], "refused"]
