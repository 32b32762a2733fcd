"""Optional capabilities of a saver, one mixin each.

A backend without a capability omits the mixin: LangGraph, the Agent Server and the conformance
suite detect capabilities by the methods that a class overrides.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import DeltaChannelHistory

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import prune_strategy, text
from checkpoint_base.saver.options import SaverSettings
from checkpoint_base.saver.planner import (
    CopyingPlanner,
    DeltaPlanner,
    FullPlanner,
    PruningPlanner,
    RetentionPlanner,
)
from checkpoint_base.saver.shell import AsyncSaver, Saver, SyncSaver
from checkpoint_base.saver.threads.mixin import FindThreadsMixin, ThreadAdminMixin
from checkpoint_base.saver.ttl.retention import Retention, RetentionReport
from checkpoint_base.saver.ttl.sweeper import Sweeper

T = TypeVar("T")


class _Driven:
    """The attributes of `Saver` that the mixins use."""

    if TYPE_CHECKING:
        _planner: Any
        _life: Any

        @property
        def _codec(self) -> Codec: ...
        def _drive(self, plan: Plan[T]) -> T: ...
        async def _adrive(self, plan: Plan[T]) -> T: ...


def _texts(name: str, values: Any) -> list[str]:
    """Validate a list of ids. A single string is rejected: it would count as a list of letters."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        meant = f"; did you mean [{values!r:.80}]?" if isinstance(values, str) else ""
        given = f"{'the string ' if meant else ''}{values!r:.80}"
        raise InvalidArgumentError(f"{name}s: wanted a list of ids, got {given}{meant}")
    return [text(name, value) for value in values]


def _pair(source: str, target: str) -> tuple[str, str]:
    return text("source_thread_id", source), text("target_thread_id", target)


class PruneMixin(_Driven):
    """`delete_for_runs` and `prune`."""

    @property
    def _pruning(self) -> PruningPlanner:
        planner: PruningPlanner = self._planner
        return planner

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs, with their writes; implements
        `BaseCheckpointSaver.delete_for_runs`. Unknown runs are ignored.

        Raises:
            InvalidArgumentError: `run_ids` is not a list of ids.
        """
        self._drive(self._pruning.delete_for_runs(_texts("run_id", run_ids)))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """`delete_for_runs`, non-blocking; implements `BaseCheckpointSaver.adelete_for_runs`."""
        await self._adrive(self._pruning.delete_for_runs(_texts("run_id", run_ids)))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete old checkpoints of threads, atomically per thread; implements
        `BaseCheckpointSaver.prune`.

        Args:
            thread_ids: the threads; unknown ones are ignored.
            strategy: `"keep_latest"` keeps the newest checkpoint of each namespace, and the
                ancestors from which its DeltaChannels are rebuilt. `"delete"` (Agent Server:
                `"delete_all"`) deletes the threads.

        Raises:
            InvalidArgumentError: the strategy is unknown, or `thread_ids` is not a list of ids.
        """
        names, strategy = _texts("thread_id", thread_ids), prune_strategy(strategy)
        self._drive(self._pruning.prune(self._codec, names, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`prune`, without blocking; implements `BaseCheckpointSaver.aprune`."""
        names, strategy = _texts("thread_id", thread_ids), prune_strategy(strategy)
        await self._adrive(self._pruning.prune(self._codec, names, strategy))


class CopyThreadMixin(_Driven):
    """`copy_thread`."""

    @property
    def _copying(self) -> CopyingPlanner:
        planner: CopyingPlanner = self._planner
        return planner

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread, atomically; implements `BaseCheckpointSaver.copy_thread`.

        Repeating the call updates the copy. An unknown source is a no-op.

        Raises:
            InvalidArgumentError: the target has checkpoints that the source lacks.
        """
        self._drive(self._copying.copy_thread(*_pair(source_thread_id, target_thread_id)))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """`copy_thread`, without blocking; implements `BaseCheckpointSaver.acopy_thread`."""
        await self._adrive(self._copying.copy_thread(*_pair(source_thread_id, target_thread_id)))


class DeltaHistoryMixin(_Driven):
    """`get_delta_channel_history`, in a bounded number of round trips."""

    @property
    def _rebuilding(self) -> DeltaPlanner:
        planner: DeltaPlanner = self._planner
        return planner

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """The writes from which DeltaChannels are rebuilt, and the value on which they are replayed
        (`seed`); implements `BaseCheckpointSaver.get_delta_channel_history`.
        """
        return self._drive(self._rebuilding.delta_history(self._codec, config, channels))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """`get_delta_channel_history`, without blocking; implements
        `BaseCheckpointSaver.aget_delta_channel_history`.
        """
        return await self._adrive(self._rebuilding.delta_history(self._codec, config, channels))


class RetentionMixin(PruneMixin, ThreadAdminMixin):
    """`prune` that also takes a retention policy, and sweeps that apply one."""

    _retention: Retention | None
    _lease_owner: str

    def _sweep(self) -> Plan[int]:
        swept = yield from super()._sweep()
        if self._retention is not None:
            yield from self._retaining.retain_in_turn(
                self._codec, self._retention, self._lease_owner, self._sweeper.interval_minutes
            )
        return swept

    @property
    def _retaining(self) -> RetentionPlanner:
        planner: RetentionPlanner = self._planner
        return planner

    @overload
    def prune(self, thread_ids: Retention, *, dry_run: bool = False) -> RetentionReport: ...
    @overload
    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None: ...
    def prune(
        self,
        thread_ids: Sequence[str] | Retention,
        *,
        strategy: str = "keep_latest",
        dry_run: bool = False,
    ) -> RetentionReport | None:
        """Delete old checkpoints: of all threads by a retention policy, or of the named threads by
        a strategy; the latter implements `BaseCheckpointSaver.prune`.

        A policy is applied in steps that lock one thread for about as long as a put does. After
        each step everything that is left can be read.

        Args:
            thread_ids: a `Retention`, or the threads; unknown ones are ignored.
            strategy: for threads. `"keep_latest"` keeps the newest checkpoint of each namespace,
                and the ancestors from which its DeltaChannels are rebuilt. `"delete"` (Agent
                Server: `"delete_all"`) deletes the threads.
            dry_run: for a policy: count what it removes, and remove nothing.

        Returns:
            The report of a policy; None for threads.

        Raises:
            InvalidArgumentError: the strategy is unknown, `thread_ids` is neither a policy nor a
                list of ids, or `dry_run` is set without a policy.
        """
        if isinstance(thread_ids, Retention):
            plan = self._retaining.retain(self._codec, thread_ids, dry_run=dry_run)
            return self._drive(plan)
        _refuse_dry_run(dry_run)
        super().prune(thread_ids, strategy=strategy)
        return None

    @overload
    async def aprune(self, thread_ids: Retention, *, dry_run: bool = False) -> RetentionReport: ...
    @overload
    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None: ...
    async def aprune(
        self,
        thread_ids: Sequence[str] | Retention,
        *,
        strategy: str = "keep_latest",
        dry_run: bool = False,
    ) -> RetentionReport | None:
        """`prune`, without blocking; also implements `BaseCheckpointSaver.aprune`."""
        if isinstance(thread_ids, Retention):
            plan = self._retaining.retain(self._codec, thread_ids, dry_run=dry_run)
            return await self._adrive(plan)
        _refuse_dry_run(dry_run)
        await super().aprune(thread_ids, strategy=strategy)
        return None


def _refuse_dry_run(dry_run: bool) -> None:
    if dry_run:
        raise InvalidArgumentError("dry_run: wanted a Retention with it, got ids of threads")


class FullSaver(RetentionMixin, CopyThreadMixin, DeltaHistoryMixin, FindThreadsMixin, Saver):
    """A saver with every capability, as `open_saver` and `aopen_saver` return it."""

    def __init__(self, planner: FullPlanner, settings: SaverSettings) -> None:
        super().__init__(planner, settings)
        self._sweeper = Sweeper(settings.ttl.sweep_interval_minutes)
        self._retention = settings.retention
        self._lease_owner = secrets.token_hex(16)

    def _end(self) -> None:
        """Called by the opener of the connection, just before it closes it."""
        self._sweeper.stop(self._life.limit)
        self._life.end()

    async def _aend(self) -> None:
        """`_end`, without blocking."""
        await self.astop_ttl_sweeper(self._life.limit)
        self._life.end()


class FullSyncSaver(SyncSaver, FullSaver):
    """A saver with every capability, on a blocking driver."""


class FullAsyncSaver(AsyncSaver, FullSaver):
    """A saver with every capability, on an event loop."""
