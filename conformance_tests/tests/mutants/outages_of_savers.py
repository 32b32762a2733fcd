"""Savers that do the wrong thing when something around them fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)

from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_redis.saver.planner import RedisPlanner
from checkpoint_redis.tests.harness import RedisHarness
from checkpoint_sqlite.saver.planner import SqlitePlanner
from checkpoint_sqlite.tests.harness import SqliteHarness
from conformance_tests.tests.mutants.on_redis import on_redis as faulty
from conformance_tests.tests.mutants.on_redis import or_else
from conformance_tests.tests.mutants.registry import C, mutant


def on_redis(caught_by: str, **more: Any) -> Callable[[C], C]:
    """A planner of the Redis saver with a fault."""
    return faulty(RedisHarness, caught_by, **more)


class _Swallowing(RedisPlanner):
    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        return (yield from or_else(None, super().get_tuple(codec, config)))


@on_redis("saver.network.an_outage_is_an_error")
class OutageIsANewThread(_Swallowing):
    """While the network is down, there is no such checkpoint."""


@on_redis("saver.network.an_answer_cut_short_is_no_answer")
class CutShortIsNone(_Swallowing):
    """Of an answer that is cut short nothing is left: there is no such checkpoint."""


@on_redis("saver.network.a_stalled_call_ends_when_the_network_goes_on", patience=0.05)
class LateIsNone(_Swallowing):
    """What does not answer in time has no such checkpoint."""


@on_redis("saver.network.a_peer_that_swallows_packets_ends_a_call")
class NoAnswerIsNone(_Swallowing):
    """When a peer has not answered for long enough, there is no such checkpoint."""


@on_redis("saver.server_death.is_an_error_until_it_runs_again")
class DeadServerHasNone(_Swallowing):
    """A server that is dead has no such checkpoint."""


@on_redis("saver.server_death.keeps_what_was_acknowledged", settings={})
class AcknowledgedInMemory(RedisPlanner):
    """The server acknowledges what is in its memory only."""


@on_redis("saver.network.a_put_cut_short_is_there_whole_or_not_at_all")
class ValuesAfterTheCheckpoint(RedisPlanner):
    """The checkpoint is stored first, its values after it."""

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        bare: Checkpoint = {**checkpoint, "channel_values": {}}
        yield from super().put(codec, config, bare, metadata, {})
        return (yield from super().put(codec, config, checkpoint, metadata, new_versions))


@on_redis("saver.round_trips.are_those_that_the_harness_states")
class ReadsTwice(RedisPlanner):
    """A checkpoint is read twice, to be sure."""

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        yield from super().get_tuple(codec, config)
        return (yield from super().get_tuple(codec, config))


class _WritesIfItCan(SqlitePlanner):
    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        plan = super().put(codec, config, checkpoint, metadata, new_versions)
        return (yield from or_else(config, plan))

    def put_writes(
        self,
        codec: Codec,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]:
        yield from or_else(None, super().put_writes(codec, config, writes, task_id, task_path))


class _OnAFullDisk(SqliteHarness):
    @contextmanager
    def open(self, **options: Any) -> Iterator[Any]:
        with super().open(**options) as saver:
            saver._planner.__class__ = _WritesIfItCan
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[Any]:
        async with super().aopen(**options) as saver:
            saver._planner.__class__ = _WritesIfItCan
            yield saver


def on_sqlite(caught_by: str) -> Callable[[C], C]:
    """A harness of the SQLite saver whose savers have a fault."""
    return mutant(caught_by, lambda harness, folder: harness(folder / "mutant.db"))


@on_sqlite("saver.disk_full.is_an_error_and_nothing_half")
class DropsWhatDoesNotFit(_OnAFullDisk):
    """A put that does not fit on the disk is dropped, and nobody is told."""


@on_sqlite("saver.disk_full.writes_of_a_task_are_all_there_or_none")
class DropsWritesThatDoNotFit(_OnAFullDisk):
    """Writes that do not fit on the disk are dropped, and nobody is told."""
