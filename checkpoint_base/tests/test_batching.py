"""Requests that wait for a trip go together; nobody's fate is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest

from checkpoint_base.batching.batcher import RequestBatcher
from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.errors import BackendUnavailableError

NEVER = 3600.0  # seconds


class Line:
    """Where requests go. A trip lasts until the test ends it; its replies are the requests."""

    def __init__(self) -> None:
        self.trips: list[tuple[Sequence[str], asyncio.Future[None]]] = []

    async def send(self, requests: Sequence[str]) -> list[str]:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.trips.append((list(requests), over))
        await over
        return list(requests)

    @property
    def sent(self) -> list[Sequence[str]]:
        return [requests for requests, _ in self.trips]


def on_a_loop(test: Callable[[Line], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(Line()), 10))

    return run


def batcher(
    send: Callable[[Sequence[str]], Awaitable[Sequence[str]]],
    max_batch: int,
    min_concurrency: int,
    max_concurrency: int,
    *,
    linger: float,
    **options: Any,
) -> RequestBatcher[str, str]:
    return RequestBatcher(
        send,
        max_batch=max_batch,
        min_concurrency=min_concurrency,
        max_concurrency=lambda: max_concurrency,
        linger=linger,
        **options,
    )


async def started(requests: RequestBatcher[str, str], names: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(requests.send(name)) for name in names]
    await asyncio.sleep(0)
    return tasks


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@on_a_loop
async def test_those_that_wait_go_together(line: Line) -> None:
    requests = batcher(line.send, 3, 2, 2, linger=NEVER)
    tasks = await started(requests, "abcdef")
    assert line.sent == [["a"], ["b"]]
    line.trips[0][1].set_result(None)
    await settled()
    assert line.sent == [["a"], ["b"], ["c", "d", "e"]]
    line.trips[2][1].set_result(None)
    await settled()
    assert line.sent[3:] == [["f"]]
    for _, over in line.trips:
        if not over.done():
            over.set_result(None)
    assert await asyncio.gather(*tasks) == list("abcdef")


@on_a_loop
async def test_patience_has_an_end(line: Line) -> None:
    requests = batcher(line.send, 2, 1, 3, linger=0.0)
    tasks = await started(requests, "abcdefg")
    await settled()
    assert line.sent == [["a"], ["b", "c"], ["d", "e"]]  # three are as many as there may be
    line.trips[0][1].set_result(None)
    await settled()
    assert line.sent[3:] == [["f", "g"]]
    for _, over in line.trips[1:]:
        over.set_result(None)
    assert await asyncio.gather(*tasks) == list("abcdefg")


@on_a_loop
async def test_one_who_leaves_takes_nobody_along(line: Line) -> None:
    requests = batcher(line.send, 2, 1, 1, linger=NEVER)
    a, b, c, d, e = await started(requests, "abcde")
    b.cancel()  # before its trip
    await settled()
    line.trips[0][1].set_result(None)
    await settled()
    assert line.sent == [["a"], ["c", "d"]]
    c.cancel()  # on its trip
    await settled()
    line.trips[1][1].set_result(None)
    await settled()
    line.trips[2][1].set_result(None)
    assert [await a, await d, await e] == ["a", "d", "e"]


@on_a_loop
async def test_one_who_leaves_alone_lets_the_next_go(line: Line) -> None:
    requests = batcher(line.send, 2, 1, 1, linger=NEVER)
    a, b = await started(requests, "ab")
    a.cancel()
    await settled()
    assert line.sent == [["a"], ["b"]]
    line.trips[1][1].set_result(None)
    assert await b == "b"


@on_a_loop
async def test_what_a_trip_raises_all_of_it_get(line: Line) -> None:
    requests = batcher(line.send, 2, 1, 1, linger=NEVER)
    a, b, c, d = await started(requests, "abcd")
    line.trips[0][1].set_exception(OSError("first"))
    await settled()
    line.trips[1][1].set_exception(OSError("second"))
    await settled()
    line.trips[2][1].set_result(None)
    assert await d == "d"
    for task, told in [(a, "first"), (b, "second"), (c, "second")]:
        with pytest.raises(OSError, match=told):
            await task


@on_a_loop
async def test_a_trip_that_nobody_waits_for_is_cancelled(line: Line) -> None:
    """What it has not sent by then is never sent, and the next trip begins."""
    requests = batcher(line.send, 2, 1, 1, linger=NEVER)
    a, b, c, d = await started(requests, "abcd")
    line.trips[0][1].set_result(None)
    await settled()
    assert line.sent == [["a"], ["b", "c"]]
    b.cancel()
    await settled()
    assert not b.done()  # what was sent for it may still be carried out
    c.cancel()
    await settled()
    assert b.cancelled()
    assert c.cancelled()
    assert line.trips[1][1].cancelled()
    assert line.sent[2:] == [["d"]]
    line.trips[2][1].set_result(None)
    assert [await a, await d] == ["a", "d"]


@on_a_loop
async def test_a_trip_that_is_cancelled_before_it_begins(line: Line) -> None:
    requests = batcher(line.send, 2, 1, 1, linger=NEVER)
    a, b, c = await started(requests, "abc")
    line.trips[0][1].set_result(None)
    requests._send_waiting()  # as when the reply to `a` is there
    b.cancel()
    c.cancel()
    await asyncio.wait((b, c))
    (d,) = await started(requests, "d")
    assert ["d"] in line.sent
    line.trips[-1][1].set_result(None)
    assert [await a, await d] == ["a", "d"]


@on_a_loop
async def test_what_a_caller_leaves_behind_is_withdrawn(line: Line) -> None:
    withdrawn: list[str] = []
    requests = batcher(line.send, 2, 1, 1, linger=NEVER, withdraw=withdrawn.append)
    a, b, c, d = await started(requests, "abcd")
    d.cancel()  # waits
    line.trips[0][1].set_result(None)
    await settled()
    b.cancel()  # on its trip
    await settled()
    line.trips[1][1].set_result(None)
    assert [await a, await c] == ["a", "c"]
    assert withdrawn == ["b"]
    await asyncio.wait((b,))
    assert b.cancelled()


@on_a_loop
async def test_closing_waits_for_what_is_under_way(line: Line) -> None:
    requests = batcher(line.send, 2, 1, 1, linger=NEVER)
    a, b, c, d = await started(requests, "abcd")
    line.trips[0][1].set_result(None)
    await settled()
    for task in (b, d):
        task.cancel()
    closing = asyncio.create_task(requests.aclose())
    await settled()
    assert not closing.done()
    line.trips[1][1].set_result(None)
    await closing
    assert line.sent == [["a"], ["b", "c"]]
    assert [await a, await c] == ["a", "c"]


def limited(seconds: float) -> Deadline:
    return Deadline(seconds, "a trip")


@on_a_loop
async def test_one_that_waits_too_long_is_never_sent(line: Line) -> None:
    requests = batcher(line.send, 2, 1, 1, linger=NEVER)
    first = asyncio.create_task(requests.send("a", limited(NEVER)))
    await settled()
    with pytest.raises(BackendUnavailableError, match="call_timeout: a trip was not done"):
        await requests.send("b", limited(0.01))
    line.trips[0][1].set_result(None)
    assert await first == "a"
    await settled()
    assert line.sent == [["a"]]


@on_a_loop
async def test_a_trip_that_takes_too_long_ends_with_its_last_caller(line: Line) -> None:
    withdrawn: list[str] = []
    requests = batcher(line.send, 2, 1, 1, linger=NEVER, withdraw=withdrawn.append)
    first = asyncio.create_task(requests.send("a"))
    await settled()
    calls = [asyncio.create_task(requests.send(name, limited(0.05))) for name in "bc"]
    await settled()
    line.trips[0][1].set_result(None)
    for call in calls:
        with pytest.raises(BackendUnavailableError):
            await call
    assert withdrawn == ["b", "c"]
    await settled()
    assert line.trips[1][1].cancelled()
    assert await first == "a"


@on_a_loop
async def test_one_of_a_trip_may_be_more_patient(line: Line) -> None:
    requests = batcher(line.send, 2, 1, 1, linger=NEVER)
    first = asyncio.create_task(requests.send("a"))
    await settled()
    patient = asyncio.create_task(requests.send("b", limited(NEVER)))
    hasty = asyncio.create_task(requests.send("c", limited(0.01)))
    await settled()
    line.trips[0][1].set_result(None)
    with pytest.raises(BackendUnavailableError):
        await hasty
    line.trips[1][1].set_result(None)
    assert [await first, await patient] == ["a", "b"]


@on_a_loop
async def test_one_that_may_not_go_at_once_waits_for_others(line: Line) -> None:
    requests = batcher(line.send, 3, 2, 2, linger=NEVER)
    first = asyncio.create_task(requests.send("a"))
    await settled()
    others = [asyncio.create_task(requests.send(name, at_once=False)) for name in "bc"]
    await settled()
    assert line.sent == [["a"]]
    line.trips[0][1].set_result(None)
    await settled()
    assert line.sent == [["a"], ["b", "c"]]
    line.trips[1][1].set_result(None)
    assert await asyncio.gather(first, *others) == list("abc")


@on_a_loop
async def test_closing_waits_no_longer_than_its_limit(line: Line) -> None:
    requests = batcher(line.send, 1, 1, 1, linger=NEVER)
    first, second = await started(requests, "ab")
    line.trips[0][1].set_result(None)
    await settled()
    await requests.aclose(0.01)
    await settled()
    assert line.trips[1][1].cancelled()
    assert await first == "a"
    with pytest.raises(asyncio.CancelledError):
        await second
