"""Plans: every operation is written once, as a generator that asks for I/O and does none.

A planner's generator yields *requests* and is sent *replies*; `run` and `arun` are the only two
loops that drive one. What a request means is the driver's business, except for those that every
driver knows: `Atomic` (run a sub-plan in one transaction) and `Offload` (run a costly function,
off the event loop where there is one). Drivers that can run inside a transaction of the caller's
also know `InCallersTransaction`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Plan = Generator[Any, Any, T]
"""An operation that returns a T. Its requests and replies are typed by the helpers that yield."""


@dataclass(frozen=True)
class Atomic(Generic[T]):
    """Request: run what `make` gives in one transaction; the reply is its result, after the commit.

    A driver whose transaction came to nothing may call `make` again and start over.
    """

    make: Callable[[], Plan[T]]
    write: bool


@dataclass(frozen=True)
class Offload(Generic[T]):
    """Request: call `work` where it does not hold up an event loop; the reply is its result."""

    work: Callable[[], T]


@dataclass(frozen=True)
class InCallersTransaction:
    """Request: whether the caller began the transaction in which this plan runs.

    The caller may still roll that back. A plan must not cache what it read or stored in it.
    """


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


def offload(work: Callable[[], T]) -> Plan[T]:
    """Call `work` off the event loop."""
    result: T = yield Offload(work)
    return result


def run(plan: Plan[T], perform: Callable[[Any], Any]) -> T:
    """Drive `plan` with a blocking `perform`. Its errors re-enter the plan where it yielded."""
    try:
        request = next(plan)
        while True:
            try:
                reply = perform(request)
            except BaseException as error:
                request = plan.throw(error)
            else:
                request = plan.send(reply)
    except StopIteration as stop:
        result: T = stop.value
        return result


def answered(plan: Plan[T], answer: Callable[[Any], Plan[Any]]) -> Plan[T]:
    """Drive `plan` inside a plan: `run`, whose `perform` is a plan of its own."""
    try:
        request = next(plan)
        while True:
            try:
                reply = yield from answer(request)
            except BaseException as error:
                request = plan.throw(error)
            else:
                request = plan.send(reply)
    except StopIteration as stop:
        result: T = stop.value
        return result


async def arun(plan: Plan[T], perform: Callable[[Any], Awaitable[Any]]) -> T:
    """Drive `plan` with an awaitable `perform`: `run`, with one `await`."""
    try:
        request = next(plan)
        while True:
            try:
                reply = await perform(request)
            except BaseException as error:
                request = plan.throw(error)
            else:
                request = plan.send(reply)
    except StopIteration as stop:
        result: T = stop.value
        return result
