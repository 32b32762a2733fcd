"""Clauses about many threads on one saver: no lost, mixed up or partly read data."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import INTERRUPT

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    ids,
    large,
    metadata,
    new_thread,
    new_versions,
    on,
    values,
    writes,
)
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER, AsyncFacade, Facade
from conformance_tests.savers.base import Opener, SaverClauses, row_count

T = TypeVar("T")
THREADS = 16
LARGE = 1 << 20
TURN_WITHIN = 10.0  # timeout in seconds, reached only if the saver blocks its event loop


class WaitsForTheLoop(JsonPlusSerializer):
    """A serializer that detects work on the event loop's thread: for a large value, it waits until
    the loop has run a callback, which never happens if the loop itself is waiting.

    Attributes:
        held_up: The operations (encoded, decoded) that ran on the loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held_up: list[str] = []
        self.loops: list[asyncio.AbstractEventLoop] = []

    def _wait(self, doing: str, size: int) -> None:
        if size < LARGE or self.held_up:  # after one failure, do not wait again
            return
        for loop in self.loops:
            turn = threading.Event()
            loop.call_soon_threadsafe(turn.set)
            if not turn.wait(TURN_WITHIN):
                self.held_up.append(doing)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, data = super().dumps_typed(obj)
        self._wait("encoded", len(data))
        return kind, data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        self._wait("decoded", len(data[1]))
        return super().loads_typed(data)


def at_once(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run each job in its own thread, all starting at once; returns their results."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], T]) -> T:
        start.wait(GIVE_UP_AFTER)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [done.result(GIVE_UP_AFTER) for done in [pool.submit(run, job) for job in jobs]]


def told(n: int, step: int) -> dict[str, Any]:
    """Channel values of one put, which all contain `n` and `step`."""
    return {"a": [n, step], "b": f"{n}/{step} " + large(n), "c": {"n": n, "step": step}}


def assert_whole(state: dict[str, Any]) -> None:
    """Fail unless all channel values are from the same put."""
    assert_same(told(*state["a"]), state, "the values of one put")


@clauses_of(Capability.CONCURRENCY)
class ConcurrencyClauses(SaverClauses):
    """Clauses about 16 threads; in the async flavour their calls run on one event loop."""

    def test_concurrency_each_thread_its_own_thread_id(self, saver: Facade) -> None:
        """A server handles 16 users at once: each thread has all its own checkpoints and writes."""
        chains = [Chain(saver) for _ in range(THREADS)]

        def run(n: int) -> None:
            for step in range(5):
                chains[n].put(told(n, step))
                chains[n].write(("a", [n, step]))

        at_once([partial(run, n) for n in range(THREADS)])
        for n, chain in enumerate(chains):
            found = list(saver.list(on(chain.thread_id)))
            assert [values(each) for each in found] == [told(n, step) for step in range(4, -1, -1)]
            assert [len(writes(each)) for each in found] == [1] * 5

    def test_concurrency_event_loop_goes_on_while_large_values_are_encoded(
        self, reopened: Opener
    ) -> None:
        """In the async flavour 8 MB are encoded and decoded in another thread: a server's other
        requests do not wait for them."""
        serde = WaitsForTheLoop()
        saver = reopened(serde=serde)
        if isinstance(saver, AsyncFacade):
            serde.loops.append(saver.loop.loop)
        chain, state = Chain(saver), [large(n, LARGE) for n in range(8)]
        chain.put({"a": state})
        chain.write(("a", state))
        assert serde.held_up == [], "by put or put_writes"
        assert values(saver.get_tuple(chain.head)) == {"a": state}
        assert serde.held_up == [], "by get_tuple"
        assert [values(found) for found in saver.list(on(chain.thread_id))] == [{"a": state}]
        assert serde.held_up == [], "by list"
        chain.put({}, empty=["a"])
        found = saver.get_delta_channel_history(config=chain.head, channels=["a"])
        assert found["a"]["seed"] == state
        assert serde.held_up == [], "by get_delta_channel_history"
        chain.put({"a": state})
        saver.delete_thread(chain.thread_id)
        chain.put({"n": 1})  # channel "a" is unchanged, but was deleted, so it is encoded again
        assert serde.held_up == [], "by put of what was deleted meanwhile"
        assert values(saver.get_tuple(chain.head)) == {"a": state, "n": 1}

    def test_concurrency_all_on_one_thread_id(self, saver: Facade) -> None:
        """A user has 16 tabs open: every put on the thread is stored whole, with its own values."""
        thread = new_thread()
        chains = [Chain(saver, thread) for _ in range(THREADS)]

        def run(n: int) -> list[Any]:
            return [chains[n].put(told(n, step)) for step in range(4)]

        stored = at_once([partial(run, n) for n in range(THREADS)])
        assert len(set(ids(saver.list(on(thread))))) == 4 * THREADS
        for n, configs in enumerate(stored):
            got = [values(saver.get_tuple(config)) for config in configs]
            assert got == [told(n, step) for step in range(4)]

    def test_concurrency_writes_of_parallel_tasks(self, saver: Facade) -> None:
        """16 tasks of one super-step finish at the same moment: all their writes are stored."""
        chain = Chain(saver)
        chain.put({"a": 0})

        def run(n: int) -> None:
            for step in range(4):
                chain.write(("a", n), ("b", step), task=f"task {n:02} {step}")

        at_once([partial(run, n) for n in range(THREADS)])
        expected = [
            (f"task {n:02} {step}", channel, value)
            for n in range(THREADS)
            for step in range(4)
            for channel, value in (("a", n), ("b", step))
        ]
        assert writes(saver.get_tuple(chain.head)) == expected

    def test_concurrency_one_task_written_by_many(self, saver: Facade) -> None:
        """Of concurrent writes of one task, one regular write wins and is never replaced, and one
        special write is the last."""
        chain = Chain(saver)
        chain.put({"a": 0})

        def run(n: int) -> Any:
            chain.write(("a", n), (INTERRUPT, n), ("b", n))
            return writes(saver.get_tuple(chain.head))

        seen = at_once([partial(run, n) for n in range(THREADS)])
        final = writes(saver.get_tuple(chain.head))
        assert [channel for _, channel, _ in final] == [INTERRUPT, "a", "b"]
        assert final[1][2] == final[2][2], "a batch was torn apart"
        assert {each[1][2] for each in seen} == {final[1][2]}, "the first write changed"

    def test_concurrency_the_same_checkpoint_put_by_many(self, saver: Facade) -> None:
        """A put that 16 workers retry results in one checkpoint."""
        thread, first = new_thread(), Chain(saver)
        first.put(told(0, 0))
        name = first.head["configurable"]["checkpoint_id"]

        def run(n: int) -> Any:
            return Chain(saver, thread).put(told(n, 0), id=name)

        at_once([partial(run, n) for n in range(THREADS)])
        assert ids(saver.list(on(thread))) == [name]
        assert_whole(values(saver.get_tuple(on(thread))))

    def test_concurrency_readers_see_whole_checkpoints(
        self, saver: Facade, reopened: Opener
    ) -> None:
        """A reader sees a checkpoint with all its values or not at all, and the newest checkpoint
        never moves back."""
        chain, other = Chain(saver), reopened()
        chain.put(told(0, 0))
        done = threading.Event()

        def write() -> int:
            for step in range(1, 25):
                chain.put(told(0, step))
            done.set()
            return 0

        def read(from_saver: Facade) -> int:
            last, count = 0, 0
            while not done.is_set() or count == 0:
                state = values(from_saver.get_tuple(on(chain.thread_id)))
                assert_whole(state)
                assert state["a"][1] >= last
                last, count = state["a"][1], count + 1
            return count

        def look(from_saver: Facade) -> int:
            count = 0
            while not done.is_set() or count == 0:
                for found in from_saver.list(on(chain.thread_id), limit=3):
                    assert_whole(values(found))
                count += 1
            return count

        readers: list[Callable[[], int]] = [
            *[partial(read, each) for each in (saver, other)],
            *[partial(look, each) for each in (saver, other)],
        ]
        counts = at_once([write, *readers])
        assert all(counts[1:])

    def test_concurrency_deletion_against_puts(self, saver: Facade, harness: SaverHarness) -> None:
        """Threads are put and deleted concurrently; after a last deletion, no row is left."""
        threads = [new_thread() for _ in range(4)]

        def put(n: int) -> None:
            for step in range(6):
                chain = Chain(saver, threads[(n + step) % 4])
                chain.put(told(n, step))
                chain.write(("a", large(n)))

        def delete(n: int) -> None:
            for step in range(6):
                saver.delete_thread(threads[(n + step) % 4])
                saver.prune(threads)

        at_once(
            [
                *[partial(put, n) for n in range(8)],
                *[partial(delete, n) for n in range(4)],
            ]
        )
        for found in saver.list(None):
            assert_whole(values(found))
        for thread in threads:
            saver.delete_thread(thread)
        assert row_count(harness) == 0, dict(harness.rows())

    def test_concurrency_a_failing_call_fails_alone(self, saver: Facade) -> None:
        """Calls that the saver batches in one transaction must not share an error or a rollback."""
        source, target = Chain(saver), Chain(saver)
        source.put({"a": 1})
        target.put({"a": 2})
        chains = [Chain(saver) for _ in range(THREADS // 2)]

        def put(n: int) -> None:
            for step in range(4):
                chains[n].put(told(n, step))

        def fail() -> None:
            for _ in range(4):
                with pytest.raises(ValueError, match="target"):
                    saver.copy_thread(source.thread_id, target.thread_id)

        jobs: list[Callable[[], None]] = [partial(put, n) for n in range(THREADS // 2)]
        at_once(jobs + [fail] * (THREADS // 2))
        for n, chain in enumerate(chains):
            found = [values(each) for each in saver.list(on(chain.thread_id))]
            assert found == [told(n, step) for step in range(3, -1, -1)]
        assert values(saver.get_tuple(on(target.thread_id))) == {"a": 2}

    def test_concurrency_pruning_against_puts(self, saver: Facade) -> None:
        """Pruning during a run removes nothing that its newest checkpoint needs."""
        chain = Chain(saver)
        chain.put({"same": large(7), **told(0, 0)})
        done = threading.Event()

        def write() -> None:
            for step in range(1, 20):
                chain.put(told(0, step))
            done.set()

        def prune() -> None:
            while not done.is_set():
                saver.prune([chain.thread_id])

        at_once([write, prune, prune])
        expected = {"same": large(7), **told(0, 19)}
        assert values(saver.get_tuple(on(chain.thread_id))) == expected
        saver.prune([chain.thread_id])
        assert values(saver.get_tuple(on(chain.thread_id))) == expected

    def test_concurrency_pruning_against_readers(self, saver: Facade, reopened: Opener) -> None:
        """During its removal, a checkpoint is read with all values and writes, or not at all."""
        chain, remover, reader = Chain(saver), reopened(), reopened()
        thread, names = chain.thread_id, [f"{step:08}" for step in range(12)]
        done, newest = threading.Event(), [names[0]]

        def write() -> int:
            for step, name in enumerate(names):
                for task in ("first", "second"):  # before the checkpoint, so readers find them
                    saver.put_writes(on(thread, "", name), [("a", large(step))], task)
                chain.put(told(0, step), id=name)
                newest.append(name)
            done.set()
            return 1

        def remove() -> int:
            while not done.wait(0.01):
                remover.prune([thread])
            return 1

        def read(from_saver: Facade) -> int:
            count = 0
            while not done.is_set() or not count:
                named = from_saver.get_tuple(on(thread, "", newest[-1]))
                found = [named, from_saver.get_tuple(on(thread)), *from_saver.list(on(thread))]
                for one in (each for each in found if each is not None):
                    assert_whole(values(one))
                    assert [task for task, _, _ in writes(one)] == ["first", "second"]
                    count += 1
            return count

        readers = [partial(read, each) for each in (saver, reader, reader)]
        assert all(at_once([write, remove, *readers]))

    def test_concurrency_two_savers_on_one_thread(self, saver: Facade, reopened: Opener) -> None:
        """A saver's cache about a thread may be stale, because another saver has written to it."""
        savers = [saver, reopened()]
        thread, state = new_thread(), {"list": [large(n) for n in range(5)]}
        for turn in range(6):
            chain = Chain(savers[turn % 2], thread)
            chain.put({**state, "turn": turn})
            savers[(turn + 1) % 2].delete_thread(thread)
            again = Chain(savers[turn % 2], thread)
            again.put({**state, "turn": turn})
            for each in savers:
                assert values(each.get_tuple(on(thread))) == {**state, "turn": turn}
            savers[(turn + 1) % 2].prune([thread], strategy="delete")

    def test_concurrency_cancelled_calls(self, saver: Facade) -> None:
        """A client disconnects: its put is stored whole or not at all, and blocks no other call."""
        threads = [new_thread() for _ in range(20)]
        body = checkpoint(told(1, 1))
        arguments = body, metadata(), new_versions(body)

        async def hang_up(turns: int, thread: str) -> None:
            task = asyncio.ensure_future(saver.raw.aput(on(thread), *arguments))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        async def all_hang_up() -> None:
            await asyncio.gather(*[hang_up(n, thread) for n, thread in enumerate(threads)])
            assert await saver.raw.aget_tuple(on("never was")) is None

        run = saver.loop.run if isinstance(saver, AsyncFacade) else asyncio.run
        run(all_hang_up())
        for thread in threads:
            found = saver.get_tuple(on(thread))
            if found is not None:
                assert_whole(values(found))
            chain = Chain(saver, thread)
            chain.put(told(2, 2))
            assert values(saver.get_tuple(chain.head)) == told(2, 2)

    def test_concurrency_a_cancelled_put_is_not_stored_later(
        self, saver: Facade, reopened: Opener
    ) -> None:
        """When cancelled calls have ended and their threads are deleted, no late put restores
        one."""
        other, deleted = reopened(), list[str]()
        body = checkpoint(told(1, 1))
        arguments = body, metadata(), new_versions(body)

        async def hang_up(turns: int, threads: Sequence[str]) -> None:
            puts = [asyncio.ensure_future(saver.raw.aput(on(name), *arguments)) for name in threads]
            for _ in range(turns):
                await asyncio.sleep(0)
            for put in puts:
                put.cancel()
            await asyncio.wait(puts)

        run = saver.loop.run if isinstance(saver, AsyncFacade) else asyncio.run
        for turns in range(0, 24, 3):
            threads = [new_thread() for _ in range(12)]
            run(hang_up(turns, threads))
            for thread in threads:
                other.delete_thread(thread)
            Chain(saver).put(told(2, 2))
            deleted += threads
        assert [thread for thread in deleted if other.get_tuple(on(thread)) is not None] == []
