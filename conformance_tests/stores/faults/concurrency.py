"""Clauses about many threads and many tasks on one store."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from langgraph.store.base import Op, PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER, LoopThread
from conformance_tests.savers.faults.concurrency import at_once
from conformance_tests.stores.base import (
    EmbeddingError,
    Numbers,
    StoreClauses,
    StoreOpener,
    index_of,
    keys,
    scores,
    value_of,
)
from conformance_tests.stores.facade import Call, StoreFacade
from conformance_tests.stores.harness import StoreHarness

THREADS = 12
AT = ("n",)


@clauses_of(Capability.STORE_CONCURRENCY)
class StoreConcurrencyClauses(StoreClauses):
    """Clauses about threads; in the async flavour their calls run on one event loop."""

    def test_concurrency_each_its_own_namespace(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """Each thread finds the items that it put, by key and by vector search, and no others."""
        store = reopened(index=index_of(harness, Numbers()))

        def run(n: int) -> None:
            at = ("user", f"{n}")
            for step in range(8):
                store.put(at, f"{step}", {"text": f"{n + 1} {step} 0", "n": n})
                assert value_of(store.get(at, f"{step}"))["n"] == n
                found = store.search(at, query="1 0 0", filter={"n": n}, limit=50)
                assert sorted(keys(found)) == [f"{number}" for number in range(step + 1)]
            store.delete(at, "0")

        at_once([partial(run, n) for n in range(THREADS)])
        assert len(store.search((), limit=500)) == THREADS * 7
        assert len(store.search((), query="1 0 0", limit=500)) == THREADS * 7
        assert dict(harness.rows()) == {"items": THREADS * 7, "vectors": THREADS * 7}

    def test_concurrency_the_same_item(self, store: StoreFacade, harness: StoreHarness) -> None:
        """After concurrent puts of one item, it has one of the values, whole."""

        def run(n: int) -> None:
            for step in range(8):
                store.put(AT, "it", {"who": n, "step": step, "all": [n, step]})

        at_once([partial(run, n) for n in range(THREADS)])
        value = value_of(store.get(AT, "it"))
        assert value["all"] == [value["who"], value["step"]]
        assert value["step"] == 7
        assert harness.rows()["items"] == 1

    def test_concurrency_a_batch_is_seen_whole(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """Readers see a batch whole or not at all, also by vector search, which may use cached
        vectors."""
        store = reopened(index=index_of(harness, Numbers()))
        rounds = 12

        def put(n: int) -> list[Op]:
            return [PutOp(AT, f"{key}", {"text": f"{n + 1} {key} 1", "n": n}) for key in range(10)]

        store.batch(put(0))

        def write() -> None:
            for n in range(1, rounds):
                store.batch(put(n))

        def read() -> None:
            for _ in range(rounds):
                for query in (None, "1 0 0"):
                    found = store.search(AT, query=query, limit=50)
                    assert len(found) == 10
                    assert len({item.value["n"] for item in found}) == 1

        at_once([write, read, read])
        assert {item.value["n"] for item in store.search(AT)} == {rounds - 1}

    def test_concurrency_calls_of_one_tick(
        self, reopened: StoreOpener, harness: StoreHarness, flavour: str
    ) -> None:
        """Calls of one event-loop tick form a batch: one call of the embedding model, and each call
        gets its own result."""
        embed = Numbers()
        store = reopened(index=index_of(harness, embed))
        texts = [f"{n} 1 0" for n in range(20)]
        calls: list[Call] = [
            ("put", (AT, f"{n}", {"text": text}), {}) for n, text in enumerate(texts)
        ]
        assert store.together(calls) == [None] * 20
        assert embed.calls == ([texts] if flavour == "async" else [[text] for text in texts])
        embed.calls.clear()
        got = store.together(
            [
                *[("get", (AT, f"{n}"), {}) for n in range(20)],
                ("search", (AT,), {"query": "0 1 0", "limit": 1}),
                ("search", (AT,), {"query": "0 1 0", "limit": 2}),
                ("get", (AT, "none"), {}),
                ("list_namespaces", (), {}),
            ]
        )
        assert [value_of(item)["text"] for item in got[:20]] == texts
        assert [keys(found) for found in got[20:22]] == [["0"], ["0", "1"]]
        assert got[22:] == [None, [AT]]
        assert len(embed.calls) == (1 if flavour == "async" else 2)

    def test_concurrency_one_of_a_tick_fails_alone(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """In a tick, an embedding error or an invalid argument fails only its own call, of which
        nothing is written."""
        store = reopened(index=index_of(harness, Numbers()))
        good, broken, bad, search, last = store.together(
            [
                ("put", (AT, "good", {"text": "1 0 0"}), {}),
                ("put", (AT, "broken", {"text": "broken"}), {}),
                ("put", (AT, "bad", {"text": {1, 2}}), {}),
                ("search", (AT,), {"query": "broken"}),
                ("put", (AT, "last", {"text": "0 1 0"}), {}),
            ]
        )
        assert (good, last) == (None, None)
        assert isinstance(broken, EmbeddingError)
        assert isinstance(search, EmbeddingError)
        assert isinstance(bad, ValueError)
        assert sorted(keys(store.search(AT))) == ["good", "last"]
        assert scores(store.search(AT, query="1 0 0", limit=1)) == pytest.approx({"good": 1.0})


@clauses_of(Capability.STORE_CONCURRENCY)
class StoreTaskClauses(StoreClauses):
    """Clauses about tasks of an event loop, on the async store."""

    def test_concurrency_a_cancelled_call_harms_no_other(self, harness: StoreHarness) -> None:
        """Cancelling a call, before its tick ends or while its batch runs, does not affect other
        calls."""

        async def run() -> None:
            entered, go_on = asyncio.Event(), asyncio.Event()

            async def embed(texts: list[str]) -> list[list[float]]:
                entered.set()
                await asyncio.wait_for(go_on.wait(), GIVE_UP_AFTER)
                return [[1.0, 0.0, 0.0] for _ in texts]

            async with harness.aopen(index=index_of(harness, embed)) as store:
                first, second, third = (
                    asyncio.create_task(store.aput(AT, key, {"text": key})) for key in "abc"
                )
                await asyncio.sleep(0)
                first.cancel()  # its batch has not started
                await asyncio.wait_for(entered.wait(), GIVE_UP_AFTER)
                second.cancel()  # the batch is being embedded
                go_on.set()
                done = await asyncio.gather(first, second, third, return_exceptions=True)
                assert [type(one) for one in done[:2]] == [asyncio.CancelledError] * 2
                assert done[2] is None
                assert "c" in keys(await store.asearch(AT))

        in_a_loop(run())

    def test_concurrency_a_cancelled_put_is_not_stored_later(self, harness: StoreHarness) -> None:
        """After cancelled calls have ended and their items are deleted, no late put restores
        one."""

        async def run() -> None:
            async with harness.aopen() as store, harness.aopen() as other:
                names = [f"{n}" for n in range(96)]
                for first in range(0, len(names), 12):
                    some = names[first : first + 12]
                    puts = []
                    for key in some:
                        puts.append(asyncio.ensure_future(store.aput(AT, key, {"n": 1})))
                        for _ in range(first // 12 * 2):  # yield, so that several batches form
                            await asyncio.sleep(0)
                    for put in puts:
                        put.cancel()
                    await asyncio.wait(puts)
                    await other.abatch([PutOp(AT, key, None) for key in some])
                    await store.aput(AT, f"kept {first}", {"n": 1})
                found = [key for key in names if await other.aget(AT, key) is not None]
                assert found == []

        in_a_loop(run())

    def test_concurrency_a_put_that_was_given_up_stays_away(self, harness: StoreHarness) -> None:
        """A put that timed out during a slow embedding is not written later: the caller may have
        deleted or replaced the item since."""

        async def run() -> None:
            entered, go_on = asyncio.Event(), asyncio.Event()

            async def embed(texts: list[str]) -> list[list[float]]:
                if "slow" in texts:
                    entered.set()
                    await asyncio.wait_for(go_on.wait(), GIVE_UP_AFTER)
                return [[1.0, 0.0, 0.0] for _ in texts]

            async with harness.aopen(index=index_of(harness, embed)) as store:
                tick = [
                    asyncio.create_task(store.aput(AT, key, {"text": "slow"}))
                    for key in ("deleted", "replaced", "wanted")
                ]
                await asyncio.wait_for(entered.wait(), GIVE_UP_AFTER)
                for given_up in tick[:2]:
                    given_up.cancel()
                await asyncio.wait(tick[:2], timeout=GIVE_UP_AFTER)
                await store.adelete(AT, "deleted")
                await store.aput(AT, "replaced", {"text": "new"})
                go_on.set()
                await tick[2]
            async with harness.aopen() as store:  # opened after all earlier calls have ended
                found = {item.key: item.value["text"] for item in await store.asearch(AT)}
            assert found == {"replaced": "new", "wanted": "slow"}

        in_a_loop(run())

    def test_concurrency_closing_waits(self, harness: StoreHarness) -> None:
        """Closing a store waits for the calls made before, and leaves no task."""

        async def embed(texts: list[str]) -> list[list[float]]:
            await asyncio.sleep(0.1)  # so that the store is closed first
            return [[1.0, 0.0, 0.0] for _ in texts]

        async def run() -> None:
            async with harness.aopen(index=index_of(harness, embed)) as store:
                for n in range(5):
                    task = asyncio.ensure_future(store.aput(AT, f"{n}", {"text": f"{n}"}))
                    task.add_done_callback(lambda done: done.exception())
                await asyncio.sleep(0)
            assert harness.rows()["items"] == 5
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert [task for task in others if "store" in repr(task.get_coro())] == []

        in_a_loop(run())

    def test_concurrency_other_loops(self, harness: StoreHarness) -> None:
        """An async method can be awaited on another event loop; it runs on the store's own."""
        loop, other = LoopThread(), LoopThread()
        try:
            context = harness.aopen()
            store = loop.run(entered(context))
            try:
                other.run(store.aput(AT, "a", {"n": 1}))
                assert value_of(other.run(store.aget(AT, "a"))) == {"n": 1}
            finally:
                loop.run(left(context))
        finally:
            other.close()
            loop.close()


def in_a_loop(work: Any) -> None:
    """Run a coroutine with a timeout."""
    asyncio.run(asyncio.wait_for(work, GIVE_UP_AFTER))


async def entered(context: Any) -> Any:
    """Enter an async context manager."""
    return await context.__aenter__()


async def left(context: Any) -> None:
    """Exit an async context manager without an error."""
    await context.__aexit__(None, None, None)
