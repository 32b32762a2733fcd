"""A sample workflow of the functional API, with a cached task.

No `from __future__ import annotations`: `entrypoint` needs annotations as objects.
"""

import sys
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.func import entrypoint, task
from langgraph.types import CachePolicy

from conformance_tests.caches.facade import AsyncCacheFacade, CacheFacade
from conformance_tests.savers.graphs.questions import in_context

HAS_CONTEXT = sys.version_info[:2] >= (3, 11)
"""On older versions, tasks cannot be called in coroutines: asyncio does not pass the context."""


def slow_task(cache: CacheFacade, ttl: int | None) -> tuple[Any, list[int]]:
    """The workflow of LangGraph's documentation, and the list of inputs its task was run with."""
    runs: list[int] = []

    def add(n: int) -> int:
        runs.append(n)
        return n * 2

    async def aadd(n: int) -> int:
        return add(n)

    policy: CachePolicy[Any] = CachePolicy(ttl=ttl)
    cached: Any = task(cache_policy=policy)
    if isinstance(cache, AsyncCacheFacade) and HAS_CONTEXT:
        awaited = cached(aadd)

        @entrypoint(cache=cache.raw)
        async def amain(inputs: dict[str, int]) -> dict[str, int]:
            return {"answer": await awaited(inputs["n"])}

        return amain, runs
    blocking = cached(add)

    def body(n: int) -> dict[str, int]:
        return {"answer": blocking(n).result()}

    @entrypoint(cache=cache.raw)
    def main(inputs: dict[str, int], *, config: RunnableConfig) -> dict[str, int]:
        return in_context(config, body, inputs["n"])

    return main, runs
