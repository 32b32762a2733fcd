"""The shells over LangGraph's `BaseStore`: `batch` and `abatch` of every backend.

`get`, `put`, `search`, `delete`, `list_namespaces` and their a-twins are LangGraph's own; each is a
batch of one.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
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
from store_vector.config import IndexSettings, StoreTTL
from store_vector.embedding.embed import NOTHING, Embedded, aembed, embed
from store_vector.planner import StorePlanner
from store_vector.records import Load, StoreStats
from store_vector.removal import remove_namespace

T = TypeVar("T")
Deserializer = Callable[[bytes], dict[str, Any]]
"""Makes the value of an item of its JSON text, as UTF-8."""


class Store(SweepMixin, BaseStore):
    """Long-term memory: items with expiry, found by namespace, filter and meaning.

    Args:
        planner: the backend.
        settings: what is embedded, and how; None: no search by meaning.
        ttl: how items expire.
        clock: epoch seconds.
        deserializer: makes values of their JSON text, as UTF-8; None: `json`.
    """

    supports_ttl = True
    _life: Lifecycle

    def __init__(
        self,
        planner: StorePlanner,
        settings: IndexSettings | None = None,
        ttl: StoreTTL | None = None,
        clock: Callable[[], float] = time.time,
        *,
        deserializer: Deserializer | None = None,
    ) -> None:
        policy = StoreTTL() if ttl is None else ttl
        self._planner = planner
        self._settings = settings
        self._clock = clock
        self._load = _loading(deserializer)
        self._sweeper = Sweeper(policy.sweep_interval_minutes)
        self.ttl_config: TTLConfig = policy.config

    @property
    def embeddings(self) -> Embeddings | None:
        """What makes the vectors; None: there is no search by meaning."""
        return None if self._settings is None else self._settings.embeddings

    @property
    def index_config(self) -> dict[str, Any] | None:
        """The index as LangGraph's own stores show theirs: as it was given, with the model that
        makes the vectors as `embed`, and what was left to choose; None: there is none.
        """
        if self._settings is None:
            return None
        return {
            **self._settings.given,
            "dims": self._settings.dims,
            "embed": self._settings.embeddings,
            "fields": [field.path for field in self._settings.fields],
            "distance_type": self._settings.distance,
        }

    @abstractmethod
    def _drive(self, plan: Plan[T]) -> T:
        """Run a plan, blocking."""

    @abstractmethod
    async def _adrive(self, plan: Plan[T]) -> T:
        """Run a plan without holding up the event loop."""

    def _batch(self, ops: Iterable[Op]) -> Batch:
        if self._life.is_over:  # before anything is embedded
            raise self._life.ended()
        return Batch.of(ops, self._settings)

    def _plan(self, batch: Batch, vectors: Embedded) -> Plan[list[Result]]:
        return batch.plan(self._planner, vectors, self._clock(), self._load)

    def _embed(self, batch: Batch) -> Embedded:
        if self._settings is None or not (batch.puts or batch.searches):
            return NOTHING
        return embed(self._settings, batch.texts, batch.queries)

    async def _aembed(self, batch: Batch) -> Embedded:
        if self._settings is None or not (batch.puts or batch.searches):
            return NOTHING
        return await aembed(self._settings, batch.texts, batch.queries)

    async def asetup(self, *, drop_undeclared: bool = False) -> None:
        """Create or migrate the schema, and the indexes of declared fields that are missing. Safe
        from many processes at once; later a no-op.

        Args:
            drop_undeclared: remove the indexes of fields that are not declared any more. While two
                versions of an application run, the other one may still use them.
        """
        await self._adrive(self._planner.setup(drop_undeclared))

    def _sweep(self) -> Plan[int]:
        return self._planner.sweep(self._clock())

    def delete_namespace(self, prefix: tuple[str, ...], *, dry_run: bool = False) -> int:
        """Delete all items in a namespace and under it, also those that have expired, some hundred
        at a time.

        Args:
            prefix: the namespace: whole labels.
            dry_run: delete nothing.

        Returns:
            How many items were deleted, or would be.

        Raises:
            InvalidArgumentError: `prefix` is no namespace, or empty.
        """
        return self._drive(self._remove(prefix, dry_run))

    async def adelete_namespace(self, prefix: tuple[str, ...], *, dry_run: bool = False) -> int:
        """`delete_namespace`, without blocking."""
        return await self._adrive(self._remove(prefix, dry_run))

    def _remove(self, prefix: tuple[str, ...], dry_run: bool) -> Plan[int]:
        return remove_namespace(self._planner, prefix, self._clock(), dry_run=dry_run)

    def stats(self) -> StoreStats:
        """Count what is stored."""
        return self._drive(self._planner.stats())

    async def astats(self) -> StoreStats:
        """`stats`, without blocking."""
        return await self._adrive(self._planner.stats())


class SyncStore(Store):
    """A store on a blocking driver; its async methods embed on the loop and run in a thread."""

    def __init__(
        self,
        planner: StorePlanner,
        driver: SyncDriver,
        settings: IndexSettings | None = None,
        ttl: StoreTTL | None = None,
        clock: Callable[[], float] = time.time,
        *,
        deserializer: Deserializer | None = None,
    ) -> None:
        super().__init__(planner, settings, ttl, clock, deserializer=deserializer)
        self._driver = driver
        self._life = Lifecycle(type(self).__name__, driver)

    def _drive(self, plan: Plan[T]) -> T:
        if self._life.is_over:
            raise self._life.ended()
        return run(plan, self._driver.perform)

    async def _adrive(self, plan: Plan[T]) -> T:
        return await in_thread(partial(self._drive, plan), None, self._life.limit)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations: reads first, then the puts, in one transaction.

        Raises:
            InvalidArgumentError: an operation that cannot be carried out; none of them was.
            Exception: what the embedding raises; nothing was written then.
        """
        if type(ops) is list and len(ops) == 1 and type(ops[0]) is GetOp:
            return self._drive(single(ops[0], self._planner, self._clock(), self._load))
        batch = self._batch(ops)
        return self._drive(self._plan(batch, self._embed(batch)))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """`batch`, without blocking."""
        batch = self._batch(ops)
        return await self._adrive(self._plan(batch, await self._aembed(batch)))

    def setup(self, *, drop_undeclared: bool = False) -> None:
        """Create or migrate the schema, and the indexes of declared fields that are missing. Safe
        from many processes at once; later a no-op.

        Args:
            drop_undeclared: remove the indexes of fields that are not declared any more. While two
                versions of an application run, the other one may still use them.
        """
        self._drive(self._planner.setup(drop_undeclared))

    def close(self) -> None:
        """Stop the sweeper. The connection is closed by whoever opened it."""
        self.stop_ttl_sweeper(self._life.limit)

    def _end(self) -> None:
        """Whoever opened the connection is about to close it."""
        self.close()
        self._life.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncStore(AsyncSweepMixin, Store):
    """A store on an event loop: what is asked for in one tick is one batch.

    Its sync methods work from other threads than the loop's, its async ones from other loops too,
    as long as its own runs.

    Raises:
        EventLoopError: it is made outside of a loop.
    """

    _life: LoopBoundLifecycle

    def __init__(
        self,
        planner: StorePlanner,
        driver: AsyncDriver,
        settings: IndexSettings | None = None,
        ttl: StoreTTL | None = None,
        clock: Callable[[], float] = time.time,
        *,
        deserializer: Deserializer | None = None,
    ) -> None:
        super().__init__(planner, settings, ttl, clock, deserializer=deserializer)
        self._driver = driver
        self._life = LoopBoundLifecycle(type(self).__name__, "aget, aput, asearch, …", driver)
        self._coalescer = Coalescer(self._aembed, self._perform, self._life.limit)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it belongs to."""
        return self._life.loop

    async def _adrive(self, plan: Plan[T]) -> T:
        return await self._life.join(lambda: arun(plan, self._driver.perform))

    def _drive(self, plan: Plan[T]) -> T:
        return self._life.block(lambda: self._adrive(plan))

    async def _perform(self, batch: Batch, vectors: Embedded) -> list[Result]:
        return await self._adrive(self._plan(batch, vectors))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """`abatch`, from another thread than the loop's.

        Raises:
            EventLoopError: on the loop's own thread, or the loop has ended.
        """
        return self._life.block(lambda: self.abatch(ops))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations, together with what else is asked for in this tick.

        Raises:
            InvalidArgumentError: an operation that cannot be carried out; none of them was.
            Exception: what the embedding raises; nothing of this call was written then.
        """
        batch = self._batch(ops)
        return await self._life.join(lambda: self._coalescer.call(batch))

    async def setup(self, *, drop_undeclared: bool = False) -> None:
        """Create or migrate the schema, and the indexes of declared fields that are missing. Safe
        from many processes at once; later a no-op.

        Args:
            drop_undeclared: remove the indexes of fields that are not declared any more. While two
                versions of an application run, the other one may still use them.
        """
        await self.asetup(drop_undeclared=drop_undeclared)

    async def aclose(self) -> None:
        """Wait for what is under way, and stop the sweeper."""
        await self.astop_ttl_sweeper(self._life.limit)
        await self._coalescer.aclose()

    async def _aend(self) -> None:
        """Whoever opened the connection is about to close it."""
        await self.aclose()
        self._life.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _loading(deserializer: Deserializer | None) -> Load | None:
    return None if deserializer is None else lambda value: deserializer(value.encode())
