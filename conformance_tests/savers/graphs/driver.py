"""One clause, two flavours: compiled graphs driven by their sync or by their async methods.

A clause opens a `GraphSession` (a saver that is open), lets it `drive` a compiled graph, and calls
plain methods on the driver. In the async flavour each of them runs the graph's a-method on the
event loop of the session's facade, over the harness's async saver.
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
    """The config of a thread, as a user of a graph writes it."""
    return {"configurable": {"thread_id": thread_id}}


class GraphDriver(abc.ABC):
    """A compiled graph's methods, called alike in both flavours."""

    @abc.abstractmethod
    def invoke(self, said: Any, config: RunnableConfig, **options: Any) -> Any:
        """The graph's output."""

    @abc.abstractmethod
    def stream(self, said: Any, config: RunnableConfig, **options: Any) -> list[Any]:
        """Every part that the graph streams."""

    @abc.abstractmethod
    def get_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        """The state of a thread, or at the checkpoint that the config names."""

    @abc.abstractmethod
    def history(self, config: RunnableConfig, **options: Any) -> list[StateSnapshot]:
        """`get_state_history`: newest first; options are filter, before, limit."""

    @abc.abstractmethod
    def update_state(
        self, config: RunnableConfig, values: Any, as_node: str | None = None
    ) -> RunnableConfig:
        """The config of the checkpoint that the update made."""

    @abc.abstractmethod
    def at_once(self, runs: Sequence[tuple[Any, RunnableConfig]]) -> list[Any]:
        """Invokes (input, config) pairs at the same time; outputs in their order."""


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
    """Calls the graph's a-methods on a loop."""

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
    """An open saver, and the flavour in which its graphs are driven.

    Attributes:
        calls: The saver behind its facade, for a clause that calls it itself.
    """

    calls: Facade

    @property
    def saver(self) -> Saver:
        """What a graph is compiled with."""
        saver: Saver = self.calls.raw
        return saver

    def drive(self, graph: Graph) -> GraphDriver:
        """Drives a graph that was compiled with `self.saver`."""
        if isinstance(self.calls, AsyncFacade):
            return AsyncGraphDriver(graph, self.calls.loop)
        return SyncGraphDriver(graph)


Open = Callable[[], AbstractContextManager[GraphSession]]


@contextmanager
def session(harness: SaverHarness, flavour: Flavour) -> Iterator[GraphSession]:
    """Opens the harness's saver of a flavour and closes it afterwards."""
    with opened(harness, flavour) as facade:
        yield GraphSession(facade)


def memory_opener(flavour: Flavour) -> Open:
    """Opens LangGraph's own InMemorySaver, the same one each time."""
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
