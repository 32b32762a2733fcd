"""Base classes of the public stores, sync and async, over LangGraph's `BaseStore`.

They implement `batch` and `abatch`. LangGraph's base class implements `get`, `put`, `search`,
`delete`, `list_namespaces` and their async versions as batches of one operation.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import Any, TypeVar

from langchain_core.embeddings import Embeddings
from langgraph.store.base import BaseStore, GetOp, Op, Result, TTLConfig
from typing_extensions import Self

from checkpoint_base.deadlines.cancellation import in_thread
from checkpoint_base.lifecycle.lifecycle import Lifecycle, LoopBoundLifecycle
from checkpoint_base.plan import Plan, arun, run
from checkpoint_base.saver.shell import AsyncDriver, SyncDriver
from checkpoint_base.saver.ttl.sweeper import AsyncSweepMixin, Sweeper, SweepMixin
from store_vector.batching.coalescing import Coalescer
from store_vector.batching.operations import Batch, single
from store_vector.embedding.embed import NOTHING, Embedded, aembed, embed
from store_vector.options import Deserializer, StoreSettings
from store_vector.planner import StorePlanner
from store_vector.records import Load, StoreStats
from store_vector.removal import remove_namespace

T = TypeVar("T")


class Store(SweepMixin, BaseStore):
    """Long-term memory: items with a TTL, searched by namespace, filter and vector similarity.

    Args:
        planner: the backend's plans.
        settings: the options.
    """

    supports_ttl = True
    _life: Lifecycle

    def __init__(
        self,
        planner: StorePlanner,
        settings: StoreSettings,
    ) -> None:
        self._planner = planner
        self._index = settings.index
        self._clock = settings.clock
        self._load = _loading(settings.deserializer)
        self._sweeper = Sweeper(settings.ttl.sweep_interval_minutes)
        self.ttl_config: TTLConfig = settings.ttl.config

    @property
    def embeddings(self) -> Embeddings | None:
        """The embedding model; None: no vector search."""
        return None if self._index is None else self._index.embeddings

    @property
    def index_config(self) -> dict[str, Any] | None:
        """The `index=` argument with defaults filled in and the embedding model as `embed`, as
        LangGraph's own stores expose it; None: no vector search.
        """
        if self._index is None:
            return None
        return {
            **self._index.given,
            "dims": self._index.dims,
            "embed": self._index.embeddings,
            "fields": [field.path for field in self._index.fields],
            "distance_type": self._index.distance,
        }

    @abstractmethod
    def _drive(self, plan: Plan[T]) -> T:
        """Run a plan and block until it ends."""

    @abstractmethod
    async def _adrive(self, plan: Plan[T]) -> T:
        """Run a plan without blocking the event loop."""

    def _batch(self, ops: Iterable[Op]) -> Batch:
        if self._life.is_over:  # raise before paying for embeddings
            raise self._life.ended()
        return Batch.of(ops, self._index)

    def _plan(self, batch: Batch, vectors: Embedded) -> Plan[list[Result]]:
        return batch.plan(self._planner, vectors, self._clock(), self._load)

    def _embed(self, batch: Batch) -> Embedded:
        if self._index is None or not (batch.puts or batch.searches):
            return NOTHING
        return embed(self._index, batch.texts, batch.queries)

    async def _aembed(self, batch: Batch) -> Embedded:
        if self._index is None or not (batch.puts or batch.searches):
            return NOTHING
        return await aembed(self._index, batch.texts, batch.queries)

    async def asetup(self, *, drop_undeclared: bool = False) -> None:
        """Create or migrate the schema, and create missing indexes of declared fields. Many
        processes may call it at once; if nothing is to do, it is a no-op.

        Args:
            drop_undeclared: also drop indexes of fields that are no longer declared. During a
                rolling deployment, processes of the old version may still use them.
        """
        await self._adrive(self._planner.setup(drop_undeclared))

    def _sweep(self) -> Plan[int]:
        return self._planner.sweep(self._clock())

    def delete_namespace(self, prefix: tuple[str, ...], *, dry_run: bool = False) -> int:
        """Delete all items of a namespace and its descendants, including expired items, in batches
        of 500.

        Args:
            prefix: the namespace, as a tuple of whole labels.
            dry_run: count the items, delete none.

        Returns:
            The number of items deleted, or that would be.

        Raises:
            InvalidArgumentError: `prefix` is not a namespace, or empty.
        """
        return self._drive(self._remove(prefix, dry_run))

    async def adelete_namespace(self, prefix: tuple[str, ...], *, dry_run: bool = False) -> int:
        """Async version of `delete_namespace`."""
        return await self._adrive(self._remove(prefix, dry_run))

    def _remove(self, prefix: tuple[str, ...], dry_run: bool) -> Plan[int]:
        return remove_namespace(self._planner, prefix, self._clock(), dry_run=dry_run)

    def stats(self) -> StoreStats:
        """Count items and vectors, and measure the size on disk or in the server."""
        return self._drive(self._planner.stats())

    async def astats(self) -> StoreStats:
        """Async version of `stats`."""
        return await self._adrive(self._planner.stats())


class SyncStore(Store):
    """A store on a blocking driver. Its async methods call the embedding model on the event loop,
    and run database requests in a thread.
    """

    def __init__(
        self,
        planner: StorePlanner,
        driver: SyncDriver,
        settings: StoreSettings,
    ) -> None:
        super().__init__(planner, settings)
        self._driver = driver
        self._life = Lifecycle(type(self).__name__, driver)

    def _drive(self, plan: Plan[T]) -> T:
        if self._life.is_over:
            raise self._life.ended()
        return run(plan, self._driver.perform)

    async def _adrive(self, plan: Plan[T]) -> T:
        return await in_thread(partial(self._drive, plan), None, self._life.limit)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run operations (LangGraph's `batch`): reads first, then all puts in one transaction.

        Raises:
            InvalidArgumentError: an operation is invalid; none was run.
            Exception: whatever the embedding model raises; nothing was written.
        """
        if type(ops) is list and len(ops) == 1 and type(ops[0]) is GetOp:
            return self._drive(single(ops[0], self._planner, self._clock(), self._load))
        batch = self._batch(ops)
        return self._drive(self._plan(batch, self._embed(batch)))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Async version of `batch` (LangGraph's `abatch`)."""
        batch = self._batch(ops)
        return await self._adrive(self._plan(batch, await self._aembed(batch)))

    def setup(self, *, drop_undeclared: bool = False) -> None:
        """Create or migrate the schema, and create missing indexes of declared fields. Many
        processes may call it at once; if nothing is to do, it is a no-op.

        Args:
            drop_undeclared: also drop indexes of fields that are no longer declared. During a
                rolling deployment, processes of the old version may still use them.
        """
        self._drive(self._planner.setup(drop_undeclared))

    def close(self) -> None:
        """Stop the sweeper. The connection stays open: its owner closes it."""
        self.stop_ttl_sweeper(self._life.limit)

    def _end(self) -> None:
        """Close the store. The connection's owner calls this before it closes the connection."""
        self.close()
        self._life.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncStore(AsyncSweepMixin, Store):
    """A store on an event loop. Operations submitted in one tick of the loop form one batch.

    Sync methods may be called from other threads than the loop's, async methods also from other
    loops, while the store's own loop runs.

    Raises:
        EventLoopError: the store is created outside of a running event loop.
    """

    _life: LoopBoundLifecycle

    def __init__(
        self,
        planner: StorePlanner,
        driver: AsyncDriver,
        settings: StoreSettings,
    ) -> None:
        super().__init__(planner, settings)
        self._driver = driver
        self._life = LoopBoundLifecycle(type(self).__name__, "aget, aput, asearch, …", driver)
        self._coalescer = Coalescer(self._aembed, self._perform, self._life.limit)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the store was created on."""
        return self._life.loop

    async def _adrive(self, plan: Plan[T]) -> T:
        return await self._life.join(lambda: arun(plan, self._driver.perform))

    def _drive(self, plan: Plan[T]) -> T:
        return self._life.block(lambda: self._adrive(plan))

    async def _perform(self, batch: Batch, vectors: Embedded) -> list[Result]:
        return await self._adrive(self._plan(batch, vectors))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run `abatch` from another thread than the event loop's, and wait for it.

        Raises:
            EventLoopError: called on the loop's own thread, or the loop is closed.
        """
        return self._life.block(lambda: self.abatch(ops))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Run operations (LangGraph's `abatch`), batched with other calls of this tick.

        Raises:
            InvalidArgumentError: an operation is invalid; none was run.
            Exception: whatever the embedding model raises; nothing of this call was written.
        """
        batch = self._batch(ops)
        return await self._life.join(lambda: self._coalescer.call(batch))

    async def setup(self, *, drop_undeclared: bool = False) -> None:
        """Create or migrate the schema, and create missing indexes of declared fields. Many
        processes may call it at once; if nothing is to do, it is a no-op.

        Args:
            drop_undeclared: also drop indexes of fields that are no longer declared. During a
                rolling deployment, processes of the old version may still use them.
        """
        await self.asetup(drop_undeclared=drop_undeclared)

    async def aclose(self) -> None:
        """Stop the sweeper, and wait for running batches. The connection stays open."""
        await self.astop_ttl_sweeper(self._life.limit)
        await self._coalescer.aclose()

    async def _aend(self) -> None:
        """Close the store. The connection's owner calls this before it closes the connection."""
        await self.aclose()
        self._life.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _loading(deserializer: Deserializer | None) -> Load | None:
    return None if deserializer is None else lambda value: deserializer(value.encode())
