"""What finding threads costs: fills a database, and times `list_threads` and the other calls.

    python -m benchmarks.finding_threads sqlite:////dev/shm/threads.db
    python -m benchmarks.finding_threads postgresql://… --threads 20000

The database must be new. Prints the median of some calls of each kind, in milliseconds. On Postgres
run `VACUUM ANALYZE` and then this again with `--filled`: autovacuum comes a minute later only.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Callable
from typing import Final

from langgraph.types import Interrupt

from checkpoint_base import aopen_saver, open_saver
from checkpoint_base.saver.mixins import FullSaver, FullSyncSaver
from conformance_tests.samples.build import checkpoint, metadata, new_id, new_versions, on

STEPS: Final = 5
"""Checkpoints of each thread."""
USERS: Final = 2_000
ASKING: Final = 100
"""One thread in this many waits for an answer."""
MONTH: Final = 30 * 86_400.0
AT_ONCE: Final = 64


async def fill(url: str, count: int) -> None:
    """Store `count` threads, whose times of update are spread over 30 days."""
    now = time.time()
    chance = random.Random(0)
    async with aopen_saver(url, clock=lambda: now - chance.random() * MONTH) as saver:
        for first in range(0, count, AT_ONCE):
            some = range(first, min(count, first + AT_ONCE))
            await asyncio.gather(*(_thread(saver, n) for n in some))


async def _thread(saver: FullSaver, n: int) -> None:
    config = on(f"thread-{n:06}")
    for step in range(STEPS):
        said = [f"message {each} " * 20 for each in range(step + 1)]
        body = checkpoint({"messages": said, "step": step}, id=new_id())
        known = {"user_id": f"user-{n % USERS}", "tier": "free" if n % 3 else "paid"}
        config = await saver.aput(config, body, metadata(step=step, **known), new_versions(body))
    if n % ASKING == 0:
        question = (Interrupt(value="go on?", id=f"question-{n}"),)
        await saver.aput_writes(config, [("__interrupt__", question)], "task")


def calls(saver: FullSyncSaver) -> dict[str, Callable[[], int]]:
    """The calls that are timed; each returns how much it has found."""

    def listed(**conditions: object) -> int:
        return len(saver.list_threads(**conditions).threads)  # type: ignore[arg-type]

    return {
        "list_threads()": listed,
        "list_threads(filter={'tier': 'free'})": lambda: listed(filter={"tier": "free"}),
        "list_threads(filter={'user_id': …})": lambda: listed(filter={"user_id": "user-7"}),
        "interrupts()": lambda: sum(1 for _ in saver.interrupts()),
        "count_threads(filter={'tier': 'free'})": (
            lambda: saver.count_threads(filter={"tier": "free"})
        ),
        "count_threads(status='idle')": lambda: saver.count_threads(status="idle"),
    }


def main() -> None:
    """Fill the database, and print a line for each call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--threads", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--filled", action="store_true", help="it has the threads already")
    given = parser.parse_args()
    if not given.filled:
        asyncio.run(fill(given.url, given.threads))
    with open_saver(given.url) as saver:
        for name, call in calls(saver).items():
            taken, found = list[float](), 0
            for _ in range(given.repeat):
                began = time.perf_counter()
                found = call()
                taken.append(time.perf_counter() - began)
            print(f"{name:42} found {found:6}  {statistics.median(taken) * 1000:8.1f} ms")


if __name__ == "__main__":
    main()
