"""Clauses about compiled graphs with a cache: cached nodes and tasks are not run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, ClassVar

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy
from typing_extensions import TypedDict

from conformance_tests.caches.base import CacheClauses, CacheOpener
from conformance_tests.caches.facade import AsyncCacheFacade, CacheFacade, opened
from conformance_tests.caches.harness import CacheHarness
from conformance_tests.caches.tasks import slow_task
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.contract.version import Profile
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER, Flavour
from conformance_tests.samples.workers import processes


class CachedState(TypedDict, total=False):
    """The state of the graphs."""

    said: str
    answer: str
    length: int


def counting_graph(cache: CacheFacade, ttl: int | None) -> tuple[Any, list[str]]:
    """A graph of one cached node, and the list of inputs that the node was run with."""
    runs: list[str] = []

    def shout(state: CachedState) -> CachedState:
        runs.append(state["said"])
        return {"answer": state["said"].upper()}

    async def ashout(state: CachedState) -> CachedState:
        return shout(state)

    node = ashout if isinstance(cache, AsyncCacheFacade) else shout
    builder = StateGraph(CachedState)
    builder.add_node("shout", node, cache_policy=CachePolicy(ttl=ttl))
    builder.add_edge(START, "shout")
    builder.add_edge("shout", END)
    return builder.compile(cache=cache.raw), runs


def is_cached(updates: list[Any]) -> bool:
    """Whether the updates of a run say that a result was cached."""
    return any(update.get("__metadata__", {}).get("cached", False) for update in updates)


@clauses_of(Capability.CACHE_GRAPHS)
class CacheGraphConformance(CacheClauses):
    """Clauses about compiled graphs with a cache, sync and async."""

    profile: ClassVar[Profile] = "langgraph"

    def test_graphs_a_cached_node_is_not_run_again(self, cache: CacheFacade) -> None:
        """A cached node is not run again for the same input, and the updates say so."""
        graph, runs = counting_graph(cache, ttl=120)
        first = cache.stream(graph, {"said": "hi"})
        second = cache.stream(graph, {"said": "hi"})
        assert runs == ["hi"]
        assert not is_cached(first)
        assert is_cached(second)
        assert cache.invoke(graph, {"said": "hi"}) == {"said": "hi", "answer": "HI"}
        assert cache.invoke(graph, {"said": "ho"}) == {"said": "ho", "answer": "HO"}
        assert runs == ["hi", "ho"]

    def test_graphs_a_cached_task_is_not_run_again(self, cache: CacheFacade) -> None:
        """A cached task is not run again in the next run, and the updates say so."""
        main, runs = slow_task(cache, ttl=120)
        assert not is_cached(cache.stream(main, {"n": 2}))
        assert cache.invoke(main, {"n": 2}) == {"answer": 4}
        assert runs == [2]
        assert is_cached(cache.stream(main, {"n": 2}))

    def test_graphs_until_the_ttl_has_passed(
        self, harness: CacheHarness, cache: CacheFacade
    ) -> None:
        """After the TTL, a node is run and cached again."""
        graph, runs = counting_graph(cache, ttl=1)
        for _ in range(2):
            assert cache.invoke(graph, {"said": "hi"})["answer"] == "HI"
            harness.advance(1.2)
        assert runs == ["hi", "hi"]

    def test_graphs_nodes_do_not_share(self, cache: CacheFacade) -> None:
        """Nodes do not share results for the same input: each has its own namespace."""

        def shout(state: CachedState) -> CachedState:
            return {"answer": state["said"].upper()}

        def measure(state: CachedState) -> CachedState:
            return {"length": len(state["said"])}

        async def ashout(state: CachedState) -> CachedState:
            return shout(state)

        async def ameasure(state: CachedState) -> CachedState:
            return measure(state)

        nodes: tuple[Callable[..., Any], ...] = (shout, measure)
        if isinstance(cache, AsyncCacheFacade):
            nodes = (ashout, ameasure)
        builder = StateGraph(CachedState)
        for name, node in zip(("shout", "measure"), nodes, strict=True):
            builder.add_node(name, node, cache_policy=CachePolicy())
            builder.add_edge(START, name)
        graph = builder.compile(cache=cache.raw)
        for _ in range(2):
            found = cache.invoke(graph, {"said": "hi"})
            assert found == {"said": "hi", "answer": "HI", "length": 2}

    def test_graphs_clear_the_cache_of_a_node(self, cache: CacheFacade) -> None:
        """`graph.clear_cache` clears the named nodes only."""
        graph, runs = counting_graph(cache, ttl=None)
        cache.invoke(graph, {"said": "hi"})
        clear = graph.aclear_cache if isinstance(cache, AsyncCacheFacade) else graph.clear_cache

        def call(*nodes: str) -> None:
            done = clear(nodes)
            if isinstance(cache, AsyncCacheFacade):
                cache.loop.run(done)

        call("another")
        cache.invoke(graph, {"said": "hi"})
        assert runs == ["hi"]
        call("shout")
        cache.invoke(graph, {"said": "hi"})
        assert runs == ["hi", "hi"]

    def test_graphs_of_another_open(self, reopened: CacheOpener) -> None:
        """A rebuilt graph with a newly opened cache finds the cached results."""
        for expected in (["hi"], []):
            graph, runs = counting_graph(reopened(), ttl=None)
            reopened().invoke(graph, {"said": "hi"})
            assert runs == expected


def run_in_worker(kind: type[CacheHarness], at: str, flavour: Flavour) -> tuple[Any, list[int]]:
    """In a worker: run the task, with a cache on the same database."""
    harness = kind.reopen(at)
    with opened(harness, flavour) as cache:
        main, runs = slow_task(cache, ttl=120)
        return cache.invoke(main, {"n": 2}), runs


@clauses_of(Capability.CACHE_PROCESSES)
class CacheProcessClauses(CacheClauses):
    """Clauses about processes that reach the database by `harness.reopen(location)`."""

    @pytest.fixture(scope="class")
    @classmethod
    def workers(cls) -> Iterator[ProcessPoolExecutor]:
        """A pool of worker processes, for all clauses."""
        with ProcessPoolExecutor(2, processes()) as pool:
            yield pool

    def test_processes_share_what_is_cached(
        self, harness: CacheHarness, flavour: Flavour, workers: ProcessPoolExecutor
    ) -> None:
        """A result that one process has cached is not computed by others."""
        place = type(harness), harness.location(), flavour
        found = [
            workers.submit(run_in_worker, *place).result(GIVE_UP_AFTER),
            workers.submit(run_in_worker, *place).result(GIVE_UP_AFTER),
        ]
        expected = {"answer": 4}
        assert found == [(expected, [2]), (expected, [])]
        with opened(harness, flavour) as cache:
            main, runs = slow_task(cache, ttl=120)
            assert cache.invoke(main, {"n": 2}) == expected
            assert runs == []
