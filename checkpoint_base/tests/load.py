"""Steps of a thread by number, every call there is, and many callers on few connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from conformance_tests.samples.build import checkpoint, large, metadata, new_versions, on, values


def arguments(thread: str, step: int, **more: Any) -> Any:
    """Those of the put of a step."""
    stored = checkpoint({"step": step, **more}, id=f"{step:08}")
    return on(thread), stored, metadata(step=step), new_versions(stored)


def steps_of(saver: Any, thread: str) -> list[int]:
    """The steps that are stored, newest first."""
    return [values(found)["step"] for found in saver.list(on(thread))]


def calls_of(saver: Any) -> list[Callable[[], object]]:
    """One of every kind; the first four are those that a graph waits for."""
    return [
        lambda: saver.get_tuple(on("t")),
        lambda: saver.put(*arguments("t", 2)),
        lambda: saver.put_writes(on("t", "", "00000001"), [("a", 1)], "task"),
        lambda: list(saver.list(on("t"))),
        lambda: list(saver.list(None)),
        lambda: saver.delete_thread("t"),
        lambda: saver.prune(["t"]),
        lambda: saver.copy_thread("t", "u"),
        lambda: saver.delete_for_runs(["run"]),
        lambda: saver.get_delta_channel_history(config=on("t"), channels=["a"]),
        saver.list_threads,
        lambda: saver.list_threads(filter={"step": 1}),
        lambda: list(saver.interrupts()),
        saver.stats,
        saver.sweep_ttl,
        saver.setup,
    ]


class OnFourConnections:
    """What many callers do at once; a backend gives it savers that open four connections."""

    def opened(self, harness: Any) -> AbstractContextManager[Any]:
        """A sync saver."""
        raise NotImplementedError

    def aopened(self, harness: Any) -> AbstractAsyncContextManager[Any]:
        """An async saver."""
        raise NotImplementedError

    def test_64_tasks(self, harness: Any) -> None:
        async def work(saver: Any, n: int) -> None:
            for step in range(5):
                head = await saver.aput(*arguments(f"own {n}", step, log=large(n)))
                await saver.aput_writes(head, [("step", step)], "task")
                await saver.aput(*arguments("shared", n * 10 + step, log=large(n)))
                assert await saver.aget_tuple(on(f"own {n}")) is not None

        async def main() -> None:
            async with self.aopened(harness) as saver:
                await saver.setup()
                await asyncio.gather(*(work(saver, n) for n in range(64)))
                for n in range(64):
                    found = [one async for one in saver.alist(on(f"own {n}"))]
                    assert [values(one)["step"] for one in found] == [4, 3, 2, 1, 0]
                    assert all(values(one)["log"] == large(n) for one in found)
                    assert all(len(one.pending_writes or ()) == 1 for one in found)
                assert len([one async for one in saver.alist(on("shared"))]) == 64 * 5

        asyncio.run(main())

    def test_32_threads(self, harness: Any) -> None:
        with self.opened(harness) as saver:
            saver.setup()

            def work(n: int) -> None:
                for step in range(5):
                    head = saver.put(*arguments(f"own {n}", step, log=large(n)))
                    saver.put_writes(head, [("step", step)], "task")
                    saver.put(*arguments("shared", n * 10 + step, log=large(n)))
                    assert saver.get_tuple(on(f"own {n}")) is not None

            with ThreadPoolExecutor(32) as threads:
                list(threads.map(work, range(32)))
            assert all(steps_of(saver, f"own {n}") == [4, 3, 2, 1, 0] for n in range(32))
            assert len(steps_of(saver, "shared")) == 32 * 5
            assert saver.stats()["threads"] == 33

    def test_nothing_is_under_way_at_the_end(self, harness: Any) -> None:
        async def main() -> None:
            async with self.aopened(harness) as saver:
                await saver.setup()
                head = await saver.aput(*arguments("t", 0, log=large()))
                tasks = [asyncio.create_task(saver.aget_tuple(head)) for _ in range(200)]
                await tasks[0]
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())
