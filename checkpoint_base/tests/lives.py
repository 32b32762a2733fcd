"""What is asked of every saver and store after its connection is closed, and on other loops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import pytest

from checkpoint_base.errors import ClosedError, EventLoopError
from checkpoint_base.tests.load import arguments, calls_of
from conformance_tests.samples.build import on


def blocking_calls(used: Any) -> Sequence[Callable[[], object]]:
    """Calls of a saver or a store."""
    if hasattr(used, "get_tuple"):
        return [call for call in calls_of(used) if call != used.setup]
    return [
        lambda: used.get(("n",), "k"),
        lambda: used.put(("n",), "k", {"a": 1}),
        lambda: used.search(("n",)),
        used.stats,
        used.sweep_ttl,
    ]


def awaited_calls(used: Any) -> Sequence[Callable[[], Awaitable[object]]]:
    """Calls of a saver or a store, to be awaited."""
    if hasattr(used, "get_tuple"):
        return [
            lambda: used.aget_tuple(on("t")),
            lambda: used.aput(*arguments("t", 2)),
            lambda: anext(used.alist(None)),
            lambda: used.adelete_thread("t"),
            *(used.astats, used.asetup, used.asweep_ttl),
        ]
    return [
        lambda: used.aget(("n",), "k"),
        lambda: used.aput(("n",), "k", {"a": 1}),
        *(used.astats, used.asetup, used.asweep_ttl),
    ]


def closed(used: Any) -> Any:
    """What every call of it raises, `used` being closed."""
    return pytest.raises(ClosedError, match=f"this {type(used).__name__} is closed")


def assert_closed(opened: AbstractContextManager[Any]) -> None:
    """After its `with` block every call of it, and of a copy, says so."""
    with opened as used:
        copies = [used.with_allowlist([])] if hasattr(used, "with_allowlist") else []
    for each in (used, *copies):
        for call in (*blocking_calls(each), each.setup, each.start_ttl_sweeper):
            with closed(each):
                call()
        with closed(each):
            asyncio.run(_awaited(each, 0))


def assert_aclosed(open_one: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
    """The same of an async one: on its loop, from a thread, and after its loop has ended."""

    async def go() -> Any:
        async with open_one() as used:
            pass
        for call in awaited_calls(used):
            with closed(used):
                await call()
        with closed(used):
            await asyncio.to_thread(blocking_calls(used)[0])
        with closed(used):
            blocking_calls(used)[0]()
        return used

    used = asyncio.run(go())
    assert_all(used, closed)


def assert_ended(make: Callable[[], Awaitable[Any]]) -> None:
    """What is made on a loop that has ended says so, on other loops and to blocking calls."""

    async def go() -> Any:
        return await make()

    def ended(_: Any) -> Any:
        return pytest.raises(EventLoopError, match=r"loop that has ended.*asyncio\.run")

    assert_all(asyncio.run(go()), ended)


def assert_all(used: Any, raises: Callable[[Any], Any]) -> None:
    """Every call outside of its loop raises this."""
    for call in blocking_calls(used):
        with raises(used):
            call()
    for number in range(len(awaited_calls(used))):
        with raises(used):
            asyncio.run(_awaited(used, number))


async def _awaited(used: Any, number: int) -> object:
    return await awaited_calls(used)[number]()
