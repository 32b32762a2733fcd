"""Calls of one tick: whose error it is, and who has given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from langgraph.store.base import PutOp, Result

from checkpoint_base.errors import BackendUnavailableError
from store_vector.batching.coalescing import Coalescer
from store_vector.batching.operations import Batch
from store_vector.embedding.embed import NOTHING, Embedded

AT = ("n",)


async def no_embedding(_: Batch) -> Embedded:
    return NOTHING


def put(key: str) -> Batch:
    return Batch.of([PutOp(AT, key, {"n": 1})], None)


def keys(batch: Batch) -> list[str]:
    return [key for _, key in batch.puts]


class Database:
    """Notes what it is asked to do; an error for the key "bad", of everybody's batch."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked: list[list[str]] = []

    async def perform(self, batch: Batch, _: Embedded) -> list[Result]:
        self.asked.append(keys(batch))
        if "bad" in keys(batch):
            raise self.error
        return [None] * batch.size


def outcomes(database: Database, *wanted: str) -> list[object]:
    async def run() -> list[object]:
        calls = Coalescer(no_embedding, database.perform)
        return await asyncio.gather(
            *(calls.call(put(key)) for key in wanted), return_exceptions=True
        )

    return asyncio.run(run())


@pytest.mark.parametrize("error", [ValueError("a bad argument"), OSError("of one file")])
def test_an_error_of_one_call_is_its_own(error: Exception) -> None:
    database = Database(error)
    assert outcomes(database, "a", "bad", "b") == [[None], error, [None]]
    assert database.asked == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]


def test_nobody_waits_again_for_a_server_that_is_gone() -> None:
    error = BackendUnavailableError("no connection")
    database = Database(error)
    assert outcomes(database, "a", "bad", "b") == [error] * 3
    assert database.asked == [["a", "bad", "b"]]


@pytest.mark.parametrize("given_up", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_who_gives_up_while_it_is_embedded_is_left_out(given_up: list[str]) -> None:
    async def run(database: Database) -> list[object]:
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def embed(_: Batch) -> Embedded:
            entered.set()
            await go_on.wait()
            return NOTHING

        calls = Coalescer(embed, database.perform)
        tasks = {key: asyncio.create_task(calls.call(put(key))) for key in "abc"}
        await entered.wait()
        for key in given_up:
            tasks[key].cancel()
        go_on.set()
        await calls.aclose()
        return await asyncio.gather(*tasks.values(), return_exceptions=True)

    database = Database(ValueError())
    done = asyncio.run(run(database))
    left = [key for key in "abc" if key not in given_up]
    assert database.asked == ([left] if left else [])
    assert done[len(given_up) :] == [[None]] * len(left)


def test_who_gives_up_while_others_are_tried_alone_is_left_out() -> None:
    tasks: list[asyncio.Task[list[Result]]] = []

    class Giving(Database):
        async def perform(self, batch: Batch, vectors: Embedded) -> list[Result]:
            if keys(batch) == ["a"]:
                tasks[2].cancel()
                await asyncio.sleep(0)
            return await super().perform(batch, vectors)

    async def run(perform: Callable[[Batch, Embedded], Awaitable[list[Result]]]) -> None:
        calls = Coalescer(no_embedding, perform)
        tasks.extend(asyncio.create_task(calls.call(put(key))) for key in ("a", "bad", "c"))
        await asyncio.gather(*tasks, return_exceptions=True)
        await calls.aclose()

    database = Giving(ValueError())
    asyncio.run(run(database.perform))
    assert database.asked == [["a", "bad", "c"], ["a"], ["bad"]]
