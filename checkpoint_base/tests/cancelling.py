"""Many calls, cancelled at random points: each ends as one of the ways in which a call may end, and
asyncio has nothing to log.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any

from checkpoint_base.errors import BackendUnavailableError
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on

BURSTS, CALLS = 12, 24
Opening = Callable[[], AbstractAsyncContextManager[Any]]
Call = Coroutine[Any, Any, Any]


def a_call_of_a_saver(saver: Any, random: Random) -> Call:
    """One of those that graphs make."""
    thread = f"{random.randrange(6)}"
    stored = checkpoint({"a": "x" * random.choice([1, 100_000])})
    at = on(thread)
    at["configurable"]["checkpoint_id"] = stored["id"]
    calls: Sequence[Callable[[], Call]] = [
        lambda: saver.aput(on(thread), stored, metadata(), new_versions(stored)),
        lambda: saver.aput_writes(at, [("a", 1)], f"{random.random()}"),
        lambda: saver.aget_tuple(on(thread)),
        lambda: listed(saver, thread),
    ]
    return random.choice(calls)()


async def listed(saver: Any, thread: str) -> list[Any]:
    return [one async for one in saver.alist(on(thread), limit=3)]


def a_call_of_a_store(store: Any, random: Random) -> Call:
    """The same of a store."""
    key = f"{random.randrange(6)}"
    calls: Sequence[Callable[[], Call]] = [
        lambda: store.aput(("a",), key, {"text": "x" * random.choice([1, 100_000])}),
        lambda: store.aget(("a",), key),
        lambda: store.asearch(("a",)),
        lambda: store.adelete(("a",), key),
    ]
    return random.choice(calls)()


async def some_ticks(random: Random) -> None:
    """Some way into what goes on: some turns of the loop, or a moment that a database needs."""
    if random.random() < 0.5:
        await asyncio.sleep(random.random() * 0.01)
    for _ in range(random.randrange(20)):
        await asyncio.sleep(0)


async def burst(opened: Any, make: Callable[[Any, Random], Call], random: Random) -> None:
    tasks = [asyncio.create_task(make(opened, random)) for _ in range(CALLS)]
    victims = random.sample(tasks, CALLS - random.randrange(CALLS // 2))
    while victims:
        await some_ticks(random)
        for task in victims[: random.randrange(1, 6)]:
            task.cancel()
            victims.remove(task)
    ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 120)
    allowed = (asyncio.CancelledError, BackendUnavailableError)
    wrong = [end for end in ends if isinstance(end, BaseException) and not isinstance(end, allowed)]
    assert wrong == []


def storm(
    opening: Opening,
    make: Callable[[Any, Random], Call],
    fault: Callable[[], None] = lambda: None,
    seed: int = 0,
) -> None:
    """Cancel calls, some of them beside a fault.

    Args:
        opening: opens a saver or a store.
        make: makes one of its calls.
        fault: what happens to the network in the midst of it, e.g. a cut.
        seed: of what is random.
    """
    missed: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: missed.append(str(context)))
        random = Random(seed)
        async with opening() as opened:
            for n in range(BURSTS):
                bursting = asyncio.create_task(burst(opened, make, random))
                if n % 3 == 2:
                    await some_ticks(random)
                    fault()
                await bursting
            await works_again(lambda: make(opened, Random(0)))
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert not missed, missed[0]


async def works_again(call: Callable[[], Awaitable[Any]]) -> None:
    """The connections of the time before may have to be used up."""
    for _ in range(12):
        try:
            await call()
        except BackendUnavailableError:
            continue
        return
    await call()


@asynccontextmanager
async def for_a_loop(opened: Any) -> AsyncIterator[Any]:
    """A saver or a store for threads, used by its awaitable methods."""
    with opened as one:
        yield one
