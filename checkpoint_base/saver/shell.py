"""Public saver classes over `BaseCheckpointSaver`; the work is done by plans.

`Saver` has the sync and the async method of every operation. `SyncSaver` and `AsyncSaver` define
how a plan is driven: with blocking calls, or on an event loop. Optional capabilities are mixins
(`mixins.py`).
"""

from __future__ import annotations

import asyncio
import copy
import random
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.deadlines.cancellation import in_thread
from checkpoint_base.errors import CorruptValueError
from checkpoint_base.lifecycle.lifecycle import Lifecycle, LoopBoundLifecycle
from checkpoint_base.plan import OFFLOADED, Plan, arun, offload, run
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.codec.sizes import ChannelSizes
from checkpoint_base.saver.codec.values import OnUnreadable
from checkpoint_base.saver.config import text
from checkpoint_base.saver.options import SaverSettings
from checkpoint_base.saver.planner import Listing, Page, Planner

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class SyncDriver(Protocol):
    """Performs the requests of plans with blocking calls."""

    def perform(self, request: Any) -> Any: ...


class AsyncDriver(Protocol):
    """Performs the requests of plans, on an event loop."""

    async def perform(self, request: Any) -> Any: ...


class Saver(BaseCheckpointSaver[str]):
    """The operations that every saver has, sync and async.

    A saver may be cloned with `copy.copy`, as LangGraph's `with_allowlist` does: clones differ in
    the serializer and share planner, driver and lifecycle.
    """

    _life: Lifecycle
    _plans_run_on_loop: ClassVar[bool] = True
    """Whether plans run on an event loop, and so must encode large values in a worker thread."""

    def __init__(
        self,
        planner: Planner,
        settings: SaverSettings,
    ) -> None:
        super().__init__(serde=settings.serde)
        self._planner = planner
        self._on_unreadable: OnUnreadable = settings.on_unreadable
        self._encrypted = settings.encrypted
        self._sizes = ChannelSizes() if self._plans_run_on_loop else None
        self._last_codec = Codec(self.serde, self._on_unreadable, self._encrypted, self._sizes)

    @abstractmethod
    def _drive(self, plan: Plan[T]) -> T:
        """Run a plan with blocking calls."""

    @abstractmethod
    async def _adrive(self, plan: Plan[T]) -> T:
        """Run a plan without blocking the event loop."""

    @property
    def _codec(self) -> Codec:
        codec = self._last_codec
        if codec.serde is not self.serde:  # `with_allowlist` or the user has replaced it
            options = self._on_unreadable, self._encrypted, self._sizes
            codec = self._last_codec = Codec(self.serde, *options)
        return codec

    def _decoding(self, serde: SerializerProtocol) -> Self:
        """A clone that reads with `serde`, and raises if a value cannot be rebuilt."""
        clone = copy.copy(self)
        clone.serde = serde
        clone._on_unreadable = "raise"
        clone._last_codec = Codec(serde, "raise", self._encrypted, self._sizes)
        return clone

    async def asetup(self) -> None:
        """Create or migrate the schema. Idempotent; many processes may call it at once."""
        await self._adrive(self._planner.setup())

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, atomically; implements `BaseCheckpointSaver.put`.

        Args:
            config: the thread, the namespace (default: the root graph's), and the parent's
                `checkpoint_id`, if there is one. `configurable.ttl` (minutes) overrides the
                saver's time to live for this thread.
            checkpoint: the checkpoint, with complete `channel_values`.
            metadata: entries that `list(filter=…)` can match.
            new_versions: the changed channels; only their values are stored.

        Returns:
            The config that identifies the stored checkpoint.

        Raises:
            InvalidArgumentError: the thread id is missing, or an id contains NUL or surrogates.
            UnserializableValueError: the serializer cannot encode a value.
        """
        return self._drive(self._put(config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put`, without blocking; implements `BaseCheckpointSaver.aput`."""
        return await self._adrive(self._put(config, checkpoint, metadata, new_versions))

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        plan = self._planner.put(self._codec, config, checkpoint, metadata, new_versions)
        if self._sizes is None:
            return plan
        values = checkpoint.get("channel_values") or {}
        new = [(name, values[name]) for name in new_versions if name in values]
        return _encoding(self._sizes, plan, config, new)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store a task's pending writes; implements `BaseCheckpointSaver.put_writes`.

        If a task stores the same write again, the first one is kept; of ERROR, SCHEDULED, INTERRUPT
        and RESUME the last one. Writes may be stored before their checkpoint.

        Raises:
            InvalidArgumentError: the thread id or the checkpoint id is missing, or an id contains
                NUL or surrogates.
            UnserializableValueError: the serializer cannot encode a value.
        """
        self._drive(self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """`put_writes`, without blocking; implements `BaseCheckpointSaver.aput_writes`."""
        await self._adrive(self._put_writes(config, writes, task_id, task_path))

    def _put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]:
        plan = self._planner.put_writes(self._codec, config, writes, task_id, task_path)
        if self._sizes is None:
            return plan
        return _encoding(self._sizes, plan, config, writes, are_writes=True)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint with the id in `config`, or else the newest one of the namespace;
        implements `BaseCheckpointSaver.get_tuple`.

        Returns:
            None only if no such checkpoint exists; a failure raises.

        Raises:
            InvalidArgumentError: the thread id is missing, or an id contains NUL or surrogates.
            CorruptValueError: stored bytes are missing or damaged.
            UnencryptedValueError: the serializer encrypts, but a stored value is not encrypted.
            DecryptionError: a value is encrypted with another key, or the serializer has none.
            UnreadableValueError: the serializer cannot rebuild a value; see `on_unreadable`.
        """
        try:
            return self._drive(self._planner.get_tuple(self._codec, config))
        except CorruptValueError as error:
            raise _naming(_thread_of(config), error) from error.__cause__

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, without blocking; implements `BaseCheckpointSaver.aget_tuple`."""
        try:
            return await self._adrive(self._planner.get_tuple(self._codec, config))
        except CorruptValueError as error:
            raise _naming(_thread_of(config), error) from error.__cause__

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest id first; implements `BaseCheckpointSaver.list`.

        Reads a page at a time, and holds neither a lock nor a connection between pages.

        Args:
            config: a thread, and optionally a namespace or a checkpoint in it; None: all threads.
            filter: metadata entries that must be equal, compared as JSON values.
            before: only checkpoints whose id is less than the id in this config.
            limit: maximum number of checkpoints; None: all.

        Raises:
            InvalidArgumentError: an id is missing or invalid. Other errors: as `get_tuple`.
        """
        rest: Listing | None = Listing.of(config, filter, before, limit)
        while rest is not None and rest.page_size > 0:
            tuples, rest = self._drive(self._page(rest))
            yield from tuples

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list`, without blocking; implements `BaseCheckpointSaver.alist`."""
        rest: Listing | None = Listing.of(config, filter, before, limit)
        while rest is not None and rest.page_size > 0:
            tuples, rest = await self._adrive(self._page(rest))
            for found in tuples:
                yield found

    def _page(self, listing: Listing) -> Plan[Page]:
        try:
            return (yield from self._planner.list_page(self._codec, listing))
        except CorruptValueError as error:
            raise _naming(listing.thread_id, error) from error.__cause__

    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread; implements `BaseCheckpointSaver.delete_thread`."""
        self._drive(self._planner.delete_thread(text("thread_id", thread_id)))

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, without blocking; implements `BaseCheckpointSaver.adelete_thread`."""
        await self._adrive(self._planner.delete_thread(text("thread_id", thread_id)))

    def get_next_version(self, current: str | None, channel: None) -> str:  # noqa: ARG002
        """A version greater than `current`, with a random suffix that distinguishes forks;
        implements `BaseCheckpointSaver.get_next_version`.
        """
        count = int(str(current).split(".")[0]) if current is not None else 0
        return f"{count + 1:032}.{random.random():016}"  # noqa: S311 (no secret: tells forks apart)


def _encoding(
    sizes: ChannelSizes,
    plan: Plan[T],
    config: RunnableConfig,
    values: Sequence[tuple[str, Any]],
    *,
    are_writes: bool = False,
) -> Plan[T]:
    """The plan, which starts by encoding these values; off the event loop if they are large."""
    thread_id = str((config.get("configurable") or {}).get("thread_id"))
    keyed = [((thread_id, name, are_writes), value) for name, value in values]
    return plan if sizes.estimate(keyed) <= OFFLOADED else _offloaded(plan)


def _offloaded(plan: Plan[T]) -> Plan[T]:
    yield from offload()
    return (yield from plan)


def _thread_of(config: RunnableConfig) -> object:
    return (config.get("configurable") or {}).get("thread_id")


def _naming(thread_id: object, error: CorruptValueError) -> CorruptValueError:
    """The error, with the thread's id added if its message lacks it: an error that the database
    itself reports does not name the thread.
    """
    name = repr(str(thread_id))
    if thread_id is None or name in str(error):
        return error
    return CorruptValueError(f"thread {name}: {error}")


class SyncSaver(Saver):
    """A saver on a blocking driver. Its async methods run in a worker thread."""

    _plans_run_on_loop = False
    _executor: Executor | None = None
    """The pool of worker threads; None: the event loop's default executor."""

    def __init__(
        self,
        planner: Planner,
        driver: SyncDriver,
        settings: SaverSettings,
    ) -> None:
        super().__init__(planner, settings)
        self._driver = driver
        self._life = Lifecycle(type(self).__name__, driver)

    def _drive(self, plan: Plan[T]) -> T:
        if self._life.is_over:
            raise self._life.ended()
        return run(plan, self._driver.perform)

    async def _adrive(self, plan: Plan[T]) -> T:
        return await in_thread(partial(self._drive, plan), self._executor, self._life.limit)

    def setup(self) -> None:
        """Create or migrate the schema. Idempotent; many processes may call it at once."""
        self._drive(self._planner.setup())


class AsyncSaver(Saver):
    """A saver bound to an event loop. Its sync methods work from any thread but the loop's own, and
    its async methods also from other loops, as long as its own loop runs.

    Raises:
        EventLoopError: no event loop is running.
    """

    _life: LoopBoundLifecycle

    def __init__(
        self,
        planner: Planner,
        driver: AsyncDriver,
        settings: SaverSettings,
    ) -> None:
        super().__init__(planner, settings)
        self._driver = driver
        instead = "aget_tuple, aput, alist, …; ainvoke for graphs"
        self._life = LoopBoundLifecycle(type(self).__name__, instead, driver)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop to which the saver is bound."""
        return self._life.loop

    async def _adrive(self, plan: Plan[T]) -> T:
        return await self._life.join(lambda: arun(plan, self._driver.perform))

    def _drive(self, plan: Plan[T]) -> T:
        return self._life.block(lambda: self._adrive(plan))

    async def setup(self) -> None:
        """Create or migrate the schema. Idempotent; many processes may call it at once."""
        await self.asetup()
