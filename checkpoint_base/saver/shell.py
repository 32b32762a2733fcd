"""The shells over `BaseCheckpointSaver`: signatures for users, one line each; plans do the work.

`Saver` has both faces of every operation. Whether a plan is driven by blocking calls or on an
event loop is decided in `SyncSaver` and `AsyncSaver`, in one method each. Optional capabilities are
mixins (`capabilities.py`): LangGraph finds out what a saver can do by what its class overrides.
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
from checkpoint_base.saver.planner import Listing, Page, Planner

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class SyncDriver(Protocol):
    """Performs the requests of plans, blocking."""

    def perform(self, request: Any) -> Any: ...


class AsyncDriver(Protocol):
    """Performs the requests of plans, on an event loop."""

    async def perform(self, request: Any) -> Any: ...


class Saver(BaseCheckpointSaver[str]):
    """The operations that every saver has, in both faces.

    `copy.copy` of a saver is safe (`with_allowlist` makes one): planner, driver and life hold all
    that is not the serializer, and copies share them.
    """

    _life: Lifecycle
    _plans_run_on_loop: ClassVar[bool] = True
    """Whether plans run on an event loop, which large encodings have to leave."""

    def __init__(
        self,
        planner: Planner,
        *,
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
    ) -> None:
        super().__init__(serde=serde)
        self._planner = planner
        self._on_unreadable: OnUnreadable = on_unreadable
        self._encrypted = encrypted
        self._sizes = ChannelSizes() if self._plans_run_on_loop else None
        self._last_codec = Codec(self.serde, on_unreadable, encrypted, self._sizes)

    @abstractmethod
    def _drive(self, plan: Plan[T]) -> T:
        """Run a plan, blocking."""

    @abstractmethod
    async def _adrive(self, plan: Plan[T]) -> T:
        """Run a plan without holding up the event loop."""

    @property
    def _codec(self) -> Codec:
        codec = self._last_codec
        if codec.serde is not self.serde:  # a clone of `with_allowlist`, or it was assigned
            options = self._on_unreadable, self._encrypted, self._sizes
            codec = self._last_codec = Codec(self.serde, *options)
        return codec

    def _decoding(self, serde: SerializerProtocol) -> Self:
        """A clone that reads with `serde`, and raises for a value which that cannot rebuild."""
        clone = copy.copy(self)
        clone.serde = serde
        clone._on_unreadable = "raise"
        clone._last_codec = Codec(serde, "raise", self._encrypted, self._sizes)
        return clone

    async def asetup(self) -> None:
        """Create or migrate the schema. Safe from many processes at once; later a no-op."""
        await self._adrive(self._planner.setup())

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, whole or not at all; implements `BaseCheckpointSaver.put`.

        Args:
            config: the thread, the namespace (default: the root's), and the parent's
                `checkpoint_id`, if there is one. `configurable.ttl` (minutes) overrides the
                saver's time to live for this thread.
            checkpoint: with complete `channel_values`.
            metadata: what `list(filter=…)` looks at.
            new_versions: the channels that changed; only their values are stored.

        Returns:
            The config that names the stored checkpoint.

        Raises:
            InvalidArgumentError: no thread id, or an id with NUL or surrogates.
            UnserializableValueError: the serializer cannot store one of the values.
        """
        return self._drive(self._put(config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put`, without blocking."""
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

        Of a regular write the first stays; of ERROR, SCHEDULED, INTERRUPT and RESUME the last.
        The checkpoint may arrive later.

        Raises:
            InvalidArgumentError: no thread id or checkpoint id, or an id with NUL or surrogates.
            UnserializableValueError: the serializer cannot store one of the values.
        """
        self._drive(self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """`put_writes`, without blocking."""
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
        """The checkpoint that `config` names, or the newest of its namespace; implements
        `BaseCheckpointSaver.get_tuple`.

        Returns:
            None only when there is no such checkpoint; a failure raises.

        Raises:
            CorruptValueError: stored bytes are missing or damaged.
            UnencryptedValueError: encryption is on, and the value is not encrypted.
            DecryptionError: it is encrypted with another key, or the serializer has none.
            UnreadableValueError: the serializer cannot rebuild a value; see `on_unreadable`.
        """
        try:
            return self._drive(self._planner.get_tuple(self._codec, config))
        except CorruptValueError as error:
            raise _naming(_thread_of(config), error) from error.__cause__

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, without blocking."""
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

        Reads a page at a time and holds neither lock nor connection in between.

        Args:
            config: a thread, and perhaps a namespace or a checkpoint in it; None: everything.
            filter: metadata that must be equal, as JSON values, under each key.
            before: only checkpoints with an id less than the one this config names.
            limit: how many at most.
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
        """`list`, without blocking."""
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
        """Delete all of a thread; implements `BaseCheckpointSaver.delete_thread`."""
        self._drive(self._planner.delete_thread(text("thread_id", thread_id)))

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, without blocking."""
        await self._adrive(self._planner.delete_thread(text("thread_id", thread_id)))

    def get_next_version(self, current: str | None, channel: None) -> str:  # noqa: ARG002
        """The version after `current`: greater, and never that of another fork."""
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
    """A plan that begins with encoding these values: off the event loop, if they are large."""
    thread_id = str((config.get("configurable") or {}).get("thread_id"))
    keyed = [((thread_id, name, are_writes), value) for name, value in values]
    return plan if sizes.estimate(keyed) <= OFFLOADED else _offloaded(plan)


def _offloaded(plan: Plan[T]) -> Plan[T]:
    yield from offload()
    return (yield from plan)


def _thread_of(config: RunnableConfig) -> object:
    return (config.get("configurable") or {}).get("thread_id")


def _naming(thread_id: object, error: CorruptValueError) -> CorruptValueError:
    """An error with the id of the thread that was read, which the operator needs. Damage that the
    database itself has found is told without it.
    """
    name = repr(str(thread_id))
    if thread_id is None or name in str(error):
        return error
    return CorruptValueError(f"thread {name}: {error}")


class SyncSaver(Saver):
    """A saver on a blocking driver; its async methods run in a thread."""

    _plans_run_on_loop = False
    _executor: Executor | None = None
    """Whose threads those are; None: the event loop's default."""

    def __init__(
        self,
        planner: Planner,
        driver: SyncDriver,
        *,
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
    ) -> None:
        super().__init__(planner, serde=serde, on_unreadable=on_unreadable, encrypted=encrypted)
        self._driver = driver
        self._life = Lifecycle(type(self).__name__, driver)

    def _drive(self, plan: Plan[T]) -> T:
        if self._life.is_over:
            raise self._life.ended()
        return run(plan, self._driver.perform)

    async def _adrive(self, plan: Plan[T]) -> T:
        return await in_thread(partial(self._drive, plan), self._executor, self._life.limit)

    def setup(self) -> None:
        """Create or migrate the schema. Safe from many processes at once; later a no-op."""
        self._drive(self._planner.setup())


class AsyncSaver(Saver):
    """A saver on an event loop. Its sync methods work from other threads than the loop's, its async
    ones from other loops too, as long as its own runs.

    Raises:
        EventLoopError: it is made outside of a loop.
    """

    _life: LoopBoundLifecycle

    def __init__(
        self,
        planner: Planner,
        driver: AsyncDriver,
        *,
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
    ) -> None:
        super().__init__(planner, serde=serde, on_unreadable=on_unreadable, encrypted=encrypted)
        self._driver = driver
        instead = "aget_tuple, aput, alist, …; ainvoke for graphs"
        self._life = LoopBoundLifecycle(type(self).__name__, instead, driver)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it belongs to."""
        return self._life.loop

    async def _adrive(self, plan: Plan[T]) -> T:
        return await self._life.join(lambda: arun(plan, self._driver.perform))

    def _drive(self, plan: Plan[T]) -> T:
        return self._life.block(lambda: self._adrive(plan))

    async def setup(self) -> None:
        """Create or migrate the schema. Safe from many processes at once; later a no-op."""
        await self.asetup()
