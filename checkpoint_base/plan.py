"""Plans: every operation is written once, as a generator that asks for I/O and does none.

A planner's generator yields *requests* and is sent *replies*; `run` and `arun` are the only two
loops that drive one. What a request means is the driver's business, except for two: every driver
knows `Atomic` (run a sub-plan in one transaction), and the loops themselves answer `Offload`
(leave the event loop, where there is one). Drivers that can run inside a transaction of the
caller's also know `InCallersTransaction`, and those of SQL `Unlimited`.
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
"""An operation that returns a T. Its requests and replies are typed by the helpers that yield."""

OFFLOADED: Final = 1 << 16
"""Bytes. Encoding or decoding more than this would hold up an event loop."""


@dataclass(frozen=True)
class Atomic(Generic[T]):
    """Request: run what `make` gives in one transaction; the reply is its result, after the commit.

    A driver whose transaction came to nothing may call `make` again and start over.
    """

    make: Callable[[], Plan[T]]
    write: bool


@dataclass(frozen=True)
class Offload:
    """Request: run the plan in another thread, up to its next request. Only on an event loop."""


_OFFLOAD: Final = Offload()


class _Returned(NamedTuple):
    """What a plan returned. A StopIteration cannot leave the thread that resumed the plan."""

    value: Any


def _resume(plan: Plan[Any]) -> Any:
    """A plan's next request, or what it returned."""
    try:
        return next(plan)
    except StopIteration as stop:
        return _Returned(stop.value)


@dataclass(frozen=True)
class InCallersTransaction:
    """Request: whether the caller began the transaction in which this plan runs.

    The caller may still roll that back. A plan must not cache what it read or stored in it.
    """


@dataclass(frozen=True)
class Unlimited:
    """Request: perform `request`, however long it takes: `call_timeout` does not end it."""

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
    """Whether the caller began the transaction in which this plan runs, and may roll it back."""
    result: bool = yield InCallersTransaction()
    return result


def offload(size: int = OFFLOADED + 1) -> Plan[None]:
    """Leave the event loop up to the plan's next request, if there is enough to do.

    Args:
        size: bytes that the plan encodes or decodes before that request, about.
    """
    if size > OFFLOADED:
        yield _OFFLOAD


def run(plan: Plan[T], perform: Callable[[Any], Any]) -> T:
    """Drive `plan` with a blocking `perform`. Its errors re-enter the plan where it yielded."""
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
    """Drive `plan` inside a plan: `run`, whose `perform` is a plan of its own."""
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
    """Drive `plan` with no limit for its requests."""

    def answer(request: Any) -> Plan[Any]:
        return (yield Unlimited(request))

    return run_nested(plan, answer)


async def arun(plan: Plan[T], perform: Callable[[Any], Awaitable[Any]]) -> T:
    """Drive `plan` with an awaitable `perform`: `run`, on an event loop.

    A task that is cancelled while its plan runs in another thread waits for the plan's next
    request, which is not performed.
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
