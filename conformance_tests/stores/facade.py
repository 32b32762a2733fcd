"""One way to call a store, sync or async, so that every clause is written once."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from langgraph.store.base import Item, Op, Result, SearchItem

from conformance_tests.contract.offers import call_offered, lacks
from conformance_tests.samples.calls import CALLS
from conformance_tests.samples.driver_adapter import (
    GIVE_UP_AFTER,
    Flavour,
    LoopThread,
    enter,
    leave,
)
from conformance_tests.stores.harness import StoreHarness

Namespace = tuple[str, ...]
Call = tuple[str, Sequence[Any], Mapping[str, Any]]


class StoreFacade(abc.ABC):
    """A store under test. Methods are those of the sync store, whatever the flavour.

    Attributes:
        raw: The store itself.
        prefix: What the names of the flavour's methods begin with.
    """

    prefix = ""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    @abc.abstractmethod
    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the method `name`, or its a-twin, and return its result."""

    @abc.abstractmethod
    def together(self, calls: Sequence[Call]) -> list[Any]:
        """Make calls (name, args, kwargs) at once, in async in one tick; errors are results."""

    @abc.abstractmethod
    def plain(self, name: str, *args: Any) -> Any:
        """Call the method `name` itself, which LangGraph's async stores await."""

    @abc.abstractmethod
    def wait(self, begun: Any) -> Any:
        """The result of a future that the store gave, or of a task."""

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call the method `name`, or its a-twin; a missing one ends the case as `not offered`."""

        def work() -> Any:
            return CALLS.make(name, lambda: self._call(name, *args, **kwargs), args, kwargs)

        return call_offered(self.raw, name, self.prefix + name, work, self._raises_everywhere)

    def offers(self, name: str) -> bool:
        """Whether the method is there; it may still raise NotImplementedError."""
        return lacks(self.raw, self.prefix + name) is None

    def _raises_everywhere(self) -> bool:
        """Whether not even a read of an item that nobody put is implemented."""
        try:
            self._call("get", ("conformance",), "probe")
        except NotImplementedError:
            return True
        return False

    def put(self, namespace: Namespace, key: str, value: Mapping[str, Any], **rest: Any) -> None:
        self.call("put", namespace, key, value, **rest)

    def get(self, namespace: Namespace, key: str, **rest: Any) -> Item | None:
        found: Item | None = self.call("get", namespace, key, **rest)
        return found

    def delete(self, namespace: Namespace, key: str) -> None:
        self.call("delete", namespace, key)

    def search(self, prefix: Namespace = (), **rest: Any) -> list[SearchItem]:
        found: list[SearchItem] = self.call("search", prefix, **rest)
        return found

    def list_namespaces(self, **rest: Any) -> list[Namespace]:
        found: list[Namespace] = self.call("list_namespaces", **rest)
        return found

    def batch(self, ops: Sequence[Op]) -> list[Result]:
        results: list[Result] = self.call("batch", ops)
        return results

    def sweep_ttl(self) -> int:
        swept: int = self.call("sweep_ttl")
        return swept


class SyncStoreFacade(StoreFacade):
    """Calls the sync methods."""

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.raw, name)(*args, **kwargs)

    def plain(self, name: str, *args: Any) -> Any:
        return self._call(name, *args)

    def wait(self, begun: Any) -> Any:
        return begun.result(GIVE_UP_AFTER)

    def together(self, calls: Sequence[Call]) -> list[Any]:
        results: list[Any] = []
        for name, args, kwargs in calls:
            try:
                results.append(self.call(name, *args, **kwargs))
            except Exception as error:  # noqa: BLE001  (it is the result)
                results.append(error)
        return results


class AsyncStoreFacade(StoreFacade):
    """Calls the a-methods on a loop; may itself be called from any other thread."""

    prefix = "a"

    def __init__(self, raw: Any, loop: LoopThread) -> None:
        super().__init__(raw)
        self.loop = loop

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.loop.run(getattr(self.raw, f"a{name}")(*args, **kwargs))

    def plain(self, name: str, *args: Any) -> Any:
        async def awaited() -> Any:
            return await getattr(self.raw, name)(*args)

        return self.loop.run(awaited())

    def wait(self, begun: Any) -> Any:
        return self.loop.run(asyncio.wait_for(begun, GIVE_UP_AFTER))

    def together(self, calls: Sequence[Call]) -> list[Any]:
        return self.loop.run(self._gather(calls))

    async def _gather(self, calls: Sequence[Call]) -> list[Any]:
        methods = [(getattr(self.raw, f"a{name}"), args, kwargs) for name, args, kwargs in calls]
        return await asyncio.gather(
            *(method(*args, **kwargs) for method, args, kwargs in methods), return_exceptions=True
        )


@contextmanager
def opened(harness: StoreHarness, flavour: Flavour, **options: Any) -> Iterator[StoreFacade]:
    """Open the harness's store in one flavour and close it afterwards."""
    harness.check_options(flavour, options)
    if flavour == "sync":
        with harness.open(**options) as raw:
            yield SyncStoreFacade(raw)
        return
    loop = LoopThread()
    try:
        context = harness.aopen(**options)
        store = loop.run(enter(context))
        try:
            yield AsyncStoreFacade(store, loop)
        finally:
            loop.run(leave(context))
    finally:
        loop.close()
