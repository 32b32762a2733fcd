"""Plans: every operation is written once, as a generator that requests I/O but performs none.

A planner's generator yields *requests* and receives *replies*. `run` drives a plan with a blocking
driver, `arun` on an event loop. Each driver defines its own requests, with these exceptions: every
driver implements `Atomic` (run a sub-plan in one transaction); `run` and `arun` handle `Offload`
(leave the event loop) themselves; drivers that can join a transaction of the caller implement
`InCallersTransaction`; SQL drivers implement `Unlimited`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, NamedTuple, ParamSpec, TypeVar, cast

from checkpoint_base.deadlines.cancellation import in_thread

P = ParamSpec("P")
T = TypeVar("T")

Plan = Generator[Any, Any, T]
"""An operation that returns a T. The functions that yield its requests type the replies."""

OFFLOADED: Final = 1 << 16
"""Bytes. Encoding or decoding more than this leaves the event loop, which it would block."""


@dataclass(frozen=True)
class Atomic(Generic[T]):
    """Request: run the plan `make()` in one transaction, and reply with its result after commit.

    To retry a transaction that was rolled back, the driver calls `make` again.
    """

    make: Callable[[], Plan[T]]
    write: bool


@dataclass(frozen=True)
class Offload:
    """Request: run the plan up to its next request in a worker thread. `run` ignores it."""


_OFFLOAD: Final = Offload()


class _Returned(NamedTuple):
    """A plan's return value: asyncio cannot carry a StopIteration out of a worker thread."""

    value: Any


def _resume(plan: Plan[Any]) -> Any:
    """The plan's next request, or its return value as `_Returned`."""
    try:
        return next(plan)
    except StopIteration as stop:
        return _Returned(stop.value)


@dataclass(frozen=True)
class InCallersTransaction:
    """Request: whether the caller began the transaction in which this plan runs.

    The caller may still roll it back, so the plan must not cache anything read or written in it.
    """


@dataclass(frozen=True)
class Unlimited:
    """Request: perform `request` without `call_timeout`."""

    request: Any


def read(make: Callable[P, Plan[T]], *args: P.args, **kwargs: P.kwargs) -> Plan[T]:
    """Run the plan `make(*args)` on one consistent snapshot."""
    result: T = yield Atomic(partial(make, *args, **kwargs), write=False)
    return result


def write(make: Callable[P, Plan[T]], *args: P.args, **kwargs: P.kwargs) -> Plan[T]:
    """Run the plan `make(*args)` as one transaction. Returns only after it is committed."""
    result: T = yield Atomic(partial(make, *args, **kwargs), write=True)
    return result


def in_callers_transaction() -> Plan[bool]:
    """Whether the caller began the current transaction and may still roll it back."""
    result: bool = yield InCallersTransaction()
    return result


def offload(size: int = OFFLOADED + 1) -> Plan[None]:
    """Run the plan in a worker thread up to its next request, if the work is large enough.

    Args:
        size: approximate bytes that the plan encodes or decodes before that request.
    """
    if size > OFFLOADED:
        yield _OFFLOAD


def run(plan: Plan[T], perform: Callable[[Any], Any]) -> T:
    """Drive `plan` with a blocking `perform`, whose errors are raised at the plan's `yield`."""
    try:
        request = next(plan)
        while True:
            if request is _OFFLOAD:
                request = next(plan)
                continue
            try:
                reply = perform(request)
            except BaseException as error:
                request = plan.throw(error)
            else:
                request = plan.send(reply)
    except StopIteration as stop:
        result: T = stop.value
        return result


def run_nested(plan: Plan[T], answer: Callable[[Any], Plan[Any]]) -> Plan[T]:
    """Drive `plan` from inside another plan: `run`, with a plan `answer` that performs requests."""
    try:
        request = next(plan)
        while True:
            if request is _OFFLOAD:
                yield request
                request = next(plan)
                continue
            try:
                reply = yield from answer(request)
            except BaseException as error:
                request = plan.throw(error)
            else:
                request = plan.send(reply)
    except StopIteration as stop:
        result: T = stop.value
        return result


def unlimited(plan: Plan[T]) -> Plan[T]:
    """Drive `plan` with each of its requests exempt from `call_timeout`."""

    def answer(request: Any) -> Plan[Any]:
        return (yield Unlimited(request))

    return run_nested(plan, answer)


async def arun(plan: Plan[T], perform: Callable[[Any], Awaitable[Any]]) -> T:
    """Drive `plan` with an awaitable `perform`: `run`, on an event loop.

    If the task is cancelled while its plan runs in a worker thread, it waits until the plan yields
    its next request, and does not perform that request.
    """
    try:
        request = next(plan)
        while True:
            if request is _OFFLOAD:
                try:
                    request = await in_thread(partial(_resume, plan))
                except asyncio.CancelledError as error:
                    request = plan.throw(error)
                if type(request) is _Returned:
                    return cast("T", request.value)
                continue
            try:
                reply = await perform(request)
            except BaseException as error:
                request = plan.throw(error)
            else:
                request = plan.send(reply)
    except StopIteration as stop:
        result: T = stop.value
        return result
