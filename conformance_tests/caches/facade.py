"""One way to call a cache, sync or async, so that every clause is written once."""

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
    """A cache under test. Methods are those of the sync cache, whatever the flavour.

    Attributes:
        raw: The cache itself.
        prefix: What the names of the flavour's methods begin with.
    """

    prefix = ""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    @abc.abstractmethod
    def _call(self, name: str, *args: Any) -> Any:
        """Call the method `name`, or its a-twin, and return its result."""

    @abc.abstractmethod
    def invoke(self, graph: Any, said: Any, config: Any = None) -> Any:
        """Run a compiled graph by its sync or its async methods."""

    @abc.abstractmethod
    def stream(self, graph: Any, said: Any, config: Any = None) -> list[Any]:
        """The updates of a run."""

    def call(self, name: str, /, *args: Any) -> Any:
        """Call the method `name`, or its a-twin; a missing one ends the case as `not offered`."""

        def work() -> Any:
            return CALLS.make(name, lambda: self._call(name, *args), args, {})

        return call_offered(self.raw, name, self.prefix + name, work, self._raises_everywhere)

    def _raises_everywhere(self) -> bool:
        """Whether not even a read of what nobody stored is implemented."""
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
        """Whether the cache gives this value, and no other."""
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
    """Calls the a-methods on a loop; may itself be called from any other thread."""

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
    """Open the harness's cache in one flavour and close it afterwards."""
    harness.check_options(flavour, options)
    if flavour == "sync":
        with harness.open(**options) as raw:
            yield SyncCacheFacade(raw)
        return
    with on_loop(harness.aopen(**options)) as facade:
        yield facade


@contextmanager
def on_loop(context: Any) -> Iterator[AsyncCacheFacade]:
    """Open a cache on a loop of its own, by an async context."""
    loop = LoopThread()
    try:
        cache = loop.run(enter(context))
        try:
            yield AsyncCacheFacade(cache, loop)
        finally:
            loop.run(leave(context))
    finally:
        loop.close()
