"""Adapters that call compiled graphs by their sync or async methods, for clauses in both flavours.

A clause opens a `GraphSession` (an open saver), gets a driver for a compiled graph by `drive`, and
calls sync methods on it. In the async flavour, the driver runs the graph's async methods on the
event loop of the session's facade, with the harness's async saver.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from conformance_tests.harness import SaverHarness
from conformance_tests.samples.driver_adapter import (
    AsyncFacade,
    Facade,
    Flavour,
    LoopThread,
    SyncFacade,
    opened,
)

Graph = Pregel[Any, Any, Any, Any]
Saver = BaseCheckpointSaver[Any]


def on_thread(thread_id: str) -> RunnableConfig:
    """The config of a thread, without a namespace, as users write it."""
    return {"configurable": {"thread_id": thread_id}}


class GraphDriver(abc.ABC):
    """The methods of a compiled graph, with the same interface in both flavours."""

    @abc.abstractmethod
    def invoke(self, said: Any, config: RunnableConfig, **options: Any) -> Any:
        """Run the graph; returns its output."""

    @abc.abstractmethod
    def stream(self, said: Any, config: RunnableConfig, **options: Any) -> list[Any]:
        """Run the graph; returns all streamed parts."""

    @abc.abstractmethod
    def get_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        """The state at the checkpoint that the config names, or else the thread's newest state."""

    @abc.abstractmethod
    def history(self, config: RunnableConfig, **options: Any) -> list[StateSnapshot]:
        """`get_state_history`: newest first; options are filter, before, limit."""

    @abc.abstractmethod
    def update_state(
        self, config: RunnableConfig, values: Any, as_node: str | None = None
    ) -> RunnableConfig:
        """Update the state; returns the config of the new checkpoint."""

    @abc.abstractmethod
    def at_once(self, runs: Sequence[tuple[Any, RunnableConfig]]) -> list[Any]:
        """Invoke the graph concurrently with (input, config) pairs; outputs in their order."""


class SyncGraphDriver(GraphDriver):
    """Calls the graph's sync methods."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def invoke(self, said: Any, config: RunnableConfig, **options: Any) -> Any:
        return self.graph.invoke(said, config, **options)

    def stream(self, said: Any, config: RunnableConfig, **options: Any) -> list[Any]:
        return list(self.graph.stream(said, config, **options))

    def get_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        return self.graph.get_state(config, subgraphs=subgraphs)

    def history(self, config: RunnableConfig, **options: Any) -> list[StateSnapshot]:
        return list(self.graph.get_state_history(config, **options))

    def update_state(
        self, config: RunnableConfig, values: Any, as_node: str | None = None
    ) -> RunnableConfig:
        return self.graph.update_state(config, values, as_node)

    def at_once(self, runs: Sequence[tuple[Any, RunnableConfig]]) -> list[Any]:
        with ThreadPoolExecutor(len(runs)) as pool:
            waiting = [pool.submit(self.invoke, *run) for run in runs]
            return [one.result() for one in waiting]


class AsyncGraphDriver(GraphDriver):
    """Calls the graph's async methods on an event loop."""

    def __init__(self, graph: Graph, loop: LoopThread) -> None:
        self.graph, self.loop = graph, loop

    def invoke(self, said: Any, config: RunnableConfig, **options: Any) -> Any:
        return self.loop.run(self.graph.ainvoke(said, config, **options))

    def stream(self, said: Any, config: RunnableConfig, **options: Any) -> list[Any]:
        async def parts() -> list[Any]:
            return [part async for part in self.graph.astream(said, config, **options)]

        return self.loop.run(parts())

    def get_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        return self.loop.run(self.graph.aget_state(config, subgraphs=subgraphs))

    def history(self, config: RunnableConfig, **options: Any) -> list[StateSnapshot]:
        async def snapshots() -> list[StateSnapshot]:
            return [one async for one in self.graph.aget_state_history(config, **options)]

        return self.loop.run(snapshots())

    def update_state(
        self, config: RunnableConfig, values: Any, as_node: str | None = None
    ) -> RunnableConfig:
        return self.loop.run(self.graph.aupdate_state(config, values, as_node))

    def at_once(self, runs: Sequence[tuple[Any, RunnableConfig]]) -> list[Any]:
        async def together() -> list[Any]:
            waiting: list[Awaitable[Any]] = [self.graph.ainvoke(*run) for run in runs]
            return list(await asyncio.gather(*waiting))

        return self.loop.run(together())


@dataclass(frozen=True)
class GraphSession:
    """An open saver, and the flavour in which its graphs are called.

    Attributes:
        calls: The saver's facade, for clauses that call the saver directly.
    """

    calls: Facade

    @property
    def saver(self) -> Saver:
        """The saver to compile a graph with."""
        saver: Saver = self.calls.raw
        return saver

    def drive(self, graph: Graph) -> GraphDriver:
        """A driver for a graph that was compiled with `self.saver`."""
        if isinstance(self.calls, AsyncFacade):
            return AsyncGraphDriver(graph, self.calls.loop)
        return SyncGraphDriver(graph)


Open = Callable[[], AbstractContextManager[GraphSession]]


@contextmanager
def session(harness: SaverHarness, flavour: Flavour) -> Iterator[GraphSession]:
    """Open the harness's saver in a flavour; close it at the end of the block."""
    with opened(harness, flavour) as facade:
        yield GraphSession(facade)


def memory_opener(flavour: Flavour) -> Open:
    """A function that opens sessions on one and the same InMemorySaver."""
    saver = InMemorySaver()

    @contextmanager
    def memory() -> Iterator[GraphSession]:
        if flavour == "sync":
            yield GraphSession(SyncFacade(saver))
            return
        loop = LoopThread()
        try:
            yield GraphSession(AsyncFacade(saver, loop))
        finally:
            loop.close()

    return memory
