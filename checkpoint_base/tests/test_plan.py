"""The trampolines, and the promise that they do the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from checkpoint_base.plan import Atomic, Offload, Plan, answered, arun, offload, read, run, write

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
        if isinstance(request, Offload):
            return request.work()
        return request

    def plan() -> Plan[list[Any]]:
        return [
            (yield from read(double_until, 1)),
            (yield from write(double_until, 1)),
            (yield from offload(lambda: "worked")),
        ]

    assert drive(plan(), perform) == [(False, 1), (True, 1), "worked"]


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

    assert drive(answered(inner(), answer), str.upper) == [["ONE", "MORE"], "refused"]
