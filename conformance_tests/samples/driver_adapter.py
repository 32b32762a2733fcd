"""Adapters that call a saver sync or async by the same interface, so each clause is written once.

For the async flavour, the adapter runs an event loop in a separate thread, opens the harness's
async saver there, and runs its async methods on that loop. `list` advances the async iterator item
by item, so that a clause can call other methods between two items.
"""

from __future__ import annotations

import abc
import asyncio
import inspect
import threading
from collections.abc import (
    AsyncIterator,
    Collection,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from conformance_tests.contract.offers import call_offered, lacks
from conformance_tests.contract.verdicts import not_offered
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.calls import CALLS

T = TypeVar("T")
Flavour = Literal["sync", "async"]
History = Mapping[str, DeltaChannelHistory]
Listed = Generator[CheckpointTuple, None, None]

_NAMES = ("thread_id", "checkpoint_ns", "checkpoint_id")
FLAVOURS: tuple[Flavour, ...] = ("sync", "async")
GIVE_UP_AFTER = 120.0  # timeout in seconds, so that a deadlock fails the clause


class LoopThread:
    """An event loop that runs in a separate thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="facade-loop", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(GIVE_UP_AFTER)

    def close(self) -> None:
        """Stop the loop, and wait for its thread."""
        self.run(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(GIVE_UP_AFTER)
        self.loop.close()


class Facade(abc.ABC):
    """A saver under test, with the methods of a sync saver in both flavours.

    Attributes:
        raw: The saver itself.
        prefix: Prefix of the flavour's method names: empty or `a`.
    """

    prefix = ""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    @abc.abstractmethod
    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the method `name`, or its async version, and return its result."""

    @abc.abstractmethod
    def _items(self, name: str, *args: Any, **options: Any) -> Generator[Any, None, None]:
        """Call an iterator's method, or its async version: nothing runs between two items."""

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call the method `name` or its async version; if missing, the case is `not offered`."""

        def work() -> Any:
            return CALLS.make(name, lambda: self._call(name, *args, **kwargs), args, kwargs)

        return call_offered(self.raw, name, self.prefix + name, work, self._raises_everywhere)

    def offers(self, name: str) -> bool:
        """Whether the saver has the method. It may still raise NotImplementedError."""
        return lacks(self.raw, self.prefix + name) is None

    def _raises_everywhere(self) -> bool:
        """Whether even a read of an absent thread raises NotImplementedError."""
        unknown: RunnableConfig = {
            "configurable": {"thread_id": "conformance-probe", "checkpoint_ns": ""}
        }
        try:
            self._call("get_tuple", unknown)
        except NotImplementedError:
            return True
        return False

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Listed:
        """List checkpoints lazily: nothing runs between two items."""
        if reason := lacks(self.raw, f"{self.prefix}list"):
            not_offered(reason)
        options = {"filter": filter, "before": before, "limit": limit}
        return CALLS.items("list", self._items("list", config, **options), (config,), options)

    @abc.abstractmethod
    def ancestors_walk(self, config: RunnableConfig, channels: Sequence[str]) -> History:
        """The reference: the base class's `get_delta_channel_history`, run on this saver."""

    @abc.abstractmethod
    def with_allowlist(self, extra: Collection[tuple[str, ...]]) -> Facade:
        """A facade of the saver's `with_allowlist` clone."""

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        stored = self.call("put", config, checkpoint, metadata, new_versions)
        named = stored.get("configurable") if isinstance(stored, dict) else None
        lacking = [key for key in _NAMES if not isinstance(named, dict) or key not in named]
        assert not lacking, (
            f"put returned a config without {', '.join(lacking)}; the next step goes on from it\n"
            f"got:      {stored!r}\n"
            f"expected: {{'configurable': {{'thread_id': ..., 'checkpoint_ns': ..., "
            f"'checkpoint_id': {checkpoint['id']!r}}}}}"
        )
        return cast("RunnableConfig", stored)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        self.call("put_writes", config, writes, task_id, task_path)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found: CheckpointTuple | None = self.call("get_tuple", config)
        return found

    def get(self, config: RunnableConfig) -> Checkpoint | None:
        found: Checkpoint | None = self.call("get", config)
        return found

    def delete_thread(self, thread_id: str) -> None:
        self.call("delete_thread", thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self.call("delete_for_runs", run_ids)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self.call("copy_thread", source_thread_id, target_thread_id)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self.call("prune", thread_ids, strategy=strategy)

    def retain(self, policy: Any, *, dry_run: bool = False) -> Any:
        """`prune` with a retention policy."""
        self.check_retains()
        return self.call("prune", policy, dry_run=dry_run)

    def check_retains(self) -> None:
        """End the case as `not offered` if `prune` takes no retention policy."""
        if not self.retains:
            not_offered(f"`{self.prefix}prune` takes no retention policy")

    @property
    def retains(self) -> bool:
        """Whether `prune` takes a retention policy."""
        method = getattr(self.raw, f"{self.prefix}prune", None)
        return method is not None and "dry_run" in inspect.signature(method).parameters

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> History:
        history: History = self.call("get_delta_channel_history", config=config, channels=channels)
        return history

    def setup(self) -> None:
        self.call("setup")

    def list_threads(self, **options: Any) -> Any:
        return self.call("list_threads", **options)

    def count_threads(self, **options: Any) -> int:
        count: int = self.call("count_threads", **options)
        return count

    def delete_threads(self, **options: Any) -> int:
        count: int = self.call("delete_threads", **options)
        return count

    def interrupts(self, **options: Any) -> Generator[Any, None, None]:
        """Open interrupts, lazily: nothing runs between two items."""
        if reason := lacks(self.raw, f"{self.prefix}interrupts"):
            not_offered(reason)
        return CALLS.items("interrupts", self._items("interrupts", **options), (), options)

    def sweep_ttl(self) -> int:
        swept: int = self.call("sweep_ttl")
        return swept

    def stats(self, thread_id: str | None = None) -> Mapping[str, Any]:
        counted: Mapping[str, Any] = self.call("stats", thread_id)
        return counted


class SyncFacade(Facade):
    """Calls the sync methods."""

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.raw, name)(*args, **kwargs)

    def _items(self, name: str, *args: Any, **options: Any) -> Generator[Any, None, None]:
        found: Generator[Any, None, None] = getattr(self.raw, name)(*args, **options)
        return found

    def ancestors_walk(self, config: RunnableConfig, channels: Sequence[str]) -> History:
        return BaseCheckpointSaver.get_delta_channel_history(
            self.raw, config=config, channels=channels
        )

    def with_allowlist(self, extra: Collection[tuple[str, ...]]) -> Facade:
        return SyncFacade(self.raw.with_allowlist(extra))


class AsyncFacade(Facade):
    """Calls the async methods on an event loop. Can be called from any thread but the loop's."""

    prefix = "a"

    def __init__(self, raw: Any, loop: LoopThread) -> None:
        super().__init__(raw)
        self.loop = loop

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.loop.run(getattr(self.raw, f"a{name}")(*args, **kwargs))

    def _items(self, name: str, *args: Any, **options: Any) -> Generator[Any, None, None]:
        items = getattr(self.raw, f"a{name}")(*args, **options)
        try:
            while (item := self.loop.run(_next(items))) is not None:
                yield item
        finally:
            self.loop.run(items.aclose())

    def ancestors_walk(self, config: RunnableConfig, channels: Sequence[str]) -> History:
        return self.loop.run(
            BaseCheckpointSaver.aget_delta_channel_history(
                self.raw, config=config, channels=channels
            )
        )

    def with_allowlist(self, extra: Collection[tuple[str, ...]]) -> Facade:
        return AsyncFacade(self.raw.with_allowlist(extra), self.loop)


@contextmanager
def opened(harness: SaverHarness, flavour: Flavour, **options: Any) -> Iterator[Facade]:
    """Open the harness's saver in one flavour; close it at the end of the block."""
    harness.check_options(flavour, options)
    if flavour == "sync":
        with harness.open(**options) as raw:
            yield _with_flavour(SyncFacade(raw))
        return
    loop = LoopThread()
    try:
        context = harness.aopen(**options)
        saver = loop.run(enter(context))
        try:
            yield _with_flavour(AsyncFacade(saver, loop))
        finally:
            loop.run(leave(context))
    finally:
        loop.close()


def _with_flavour(facade: Facade) -> Facade:
    """End the case as `not offered` if the saver lacks the methods of this flavour."""
    for name in ("get_tuple", "list", "put", "put_writes"):
        if reason := lacks(facade.raw, facade.prefix + name):
            not_offered(reason)
    return facade


async def _next(items: AsyncIterator[T]) -> T | None:
    return await anext(items, None)


async def enter(context: Any) -> Any:
    """Enter an async context manager."""
    return await context.__aenter__()


async def leave(context: Any) -> None:
    """Exit an async context manager without an error."""
    await context.__aexit__(None, None, None)
