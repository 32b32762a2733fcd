"""Adapters that call a store sync or async by the same interface."""

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
    """A store under test, with the methods of a sync store in both flavours.

    Attributes:
        raw: The store itself.
        prefix: Prefix of the flavour's method names: empty or `a`.
    """

    prefix = ""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    @abc.abstractmethod
    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the method `name`, or its async version, and return its result."""

    @abc.abstractmethod
    def together(self, calls: Sequence[Call]) -> list[Any]:
        """Make (name, args, kwargs) calls, async in one tick, sync in turn. Returns errors, too."""

    @abc.abstractmethod
    def plain(self, name: str, *args: Any) -> Any:
        """Call the method `name` without the prefix `a`; the async flavour awaits its result."""

    @abc.abstractmethod
    def wait(self, begun: Any) -> Any:
        """Wait for a future or a task that the store returned; returns its result."""

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call the method `name` or its async version; if missing, the case is `not offered`."""

        def work() -> Any:
            return CALLS.make(name, lambda: self._call(name, *args, **kwargs), args, kwargs)

        return call_offered(self.raw, name, self.prefix + name, work, self._raises_everywhere)

    def offers(self, name: str) -> bool:
        """Whether the store has the method. It may still raise NotImplementedError."""
        return lacks(self.raw, self.prefix + name) is None

    def _raises_everywhere(self) -> bool:
        """Whether even a read of an absent item raises NotImplementedError."""
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
    """Calls the async methods on an event loop. Can be called from any thread but the loop's."""

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
    """Open the harness's store in one flavour; close it at the end of the block."""
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
