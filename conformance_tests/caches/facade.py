"""Adapters that call a cache sync or async by the same interface."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from langgraph.cache.base import FullKey, Namespace

from conformance_tests.caches.harness import CacheHarness
from conformance_tests.contract.offers import call_offered
from conformance_tests.samples.calls import CALLS
from conformance_tests.samples.driver_adapter import Flavour, LoopThread, enter, leave


class CacheFacade(abc.ABC):
    """A cache under test, with the methods of a sync cache in both flavours.

    Attributes:
        raw: The cache itself.
        prefix: Prefix of the flavour's method names: empty or `a`.
    """

    prefix = ""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    @abc.abstractmethod
    def _call(self, name: str, *args: Any) -> Any:
        """Call the method `name`, or its async version, and return its result."""

    @abc.abstractmethod
    def invoke(self, graph: Any, said: Any, config: Any = None) -> Any:
        """Run a compiled graph by its sync or its async methods."""

    @abc.abstractmethod
    def stream(self, graph: Any, said: Any, config: Any = None) -> list[Any]:
        """Run a compiled graph; returns the streamed updates."""

    def call(self, name: str, /, *args: Any) -> Any:
        """Call the method `name` or its async version; if missing, the case is `not offered`."""

        def work() -> Any:
            return CALLS.make(name, lambda: self._call(name, *args), args, {})

        return call_offered(self.raw, name, self.prefix + name, work, self._raises_everywhere)

    def _raises_everywhere(self) -> bool:
        """Whether even a read of an absent entry raises NotImplementedError."""
        try:
            self._call("get", [(("conformance",), "probe")])
        except NotImplementedError:
            return True
        return False

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        found: dict[FullKey, Any] = self.call("get", keys)
        return found

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        self.call("set", pairs)

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        self.call("clear", namespaces)

    def put(self, name: FullKey, value: Any, ttl: int | None = None) -> None:
        """Store one value."""
        self.set({name: (value, ttl)})

    def has(self, name: FullKey, value: Any) -> bool:
        """Whether the cache returns exactly this value."""
        return self.get([name]) == {name: value}


class SyncCacheFacade(CacheFacade):
    """Calls the sync methods."""

    def _call(self, name: str, *args: Any) -> Any:
        return getattr(self.raw, name)(*args)

    def invoke(self, graph: Any, said: Any, config: Any = None) -> Any:
        return graph.invoke(said, config)

    def stream(self, graph: Any, said: Any, config: Any = None) -> list[Any]:
        return list(graph.stream(said, config, stream_mode="updates"))


class AsyncCacheFacade(CacheFacade):
    """Calls the async methods on an event loop. Can be called from any thread but the loop's."""

    prefix = "a"

    def __init__(self, raw: Any, loop: LoopThread) -> None:
        super().__init__(raw)
        self.loop = loop

    def _call(self, name: str, *args: Any) -> Any:
        return self.loop.run(getattr(self.raw, f"a{name}")(*args))

    def invoke(self, graph: Any, said: Any, config: Any = None) -> Any:
        return self.loop.run(graph.ainvoke(said, config))

    def stream(self, graph: Any, said: Any, config: Any = None) -> list[Any]:
        async def updates() -> list[Any]:
            return [one async for one in graph.astream(said, config, stream_mode="updates")]

        return self.loop.run(updates())


@contextmanager
def opened(harness: CacheHarness, flavour: Flavour, **options: Any) -> Iterator[CacheFacade]:
    """Open the harness's cache in one flavour; close it at the end of the block."""
    harness.check_options(flavour, options)
    if flavour == "sync":
        with harness.open(**options) as raw:
            yield SyncCacheFacade(raw)
        return
    with on_loop(harness.aopen(**options)) as facade:
        yield facade


@contextmanager
def on_loop(context: Any) -> Iterator[AsyncCacheFacade]:
    """Open a cache by an async context manager, on a new event loop."""
    loop = LoopThread()
    try:
        cache = loop.run(enter(context))
        try:
            yield AsyncCacheFacade(cache, loop)
        finally:
            loop.run(leave(context))
    finally:
        loop.close()
