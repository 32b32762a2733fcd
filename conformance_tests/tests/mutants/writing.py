"""Savers that store wrongly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
)

from checkpoint_base.memory.planner import MemoryPlanner
from checkpoint_base.memory.saver import MemorySaver
from checkpoint_base.memory.thread import MemoryThread
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import address
from checkpoint_base.saver.records.channel_cache import Channels
from checkpoint_base.saver.records.drafts import Draft
from checkpoint_base.saver.records.embedded import NOTHING
from checkpoint_base.saver.records.kinds import PutRecord
from conformance_tests.tests.broken import BrokenHarness
from conformance_tests.tests.mutants.registry import C, mutant


def _opened(planner: type, _: Path) -> BrokenHarness:
    harness = BrokenHarness()
    harness.planner = planner
    return harness


def saver(caught_by: str) -> Callable[[C], C]:
    """A planner of the reference saver with a fault."""
    return mutant(caught_by, _opened)


T = TypeVar("T")
Writes = Sequence[tuple[str, Any]]


@saver("saver.put.again_replaces")
class FirstPutWins(MemoryPlanner):
    """A second put under one id is ignored, as by INSERT OR IGNORE."""

    def _put(self, put: PutRecord) -> None:
        thread = self._find(put.checkpoint.thread_id)
        if thread is None or put.checkpoint[1:3] not in thread.checkpoints:
            super()._put(put)


@saver("saver.put.values_load_by_version_not_by_what_the_put_carried")
class OnlyWhatThePutCarried(MemoryPlanner):
    """A checkpoint gets the values of its own put; unchanged channels are lost."""

    def _put(self, put: PutRecord) -> None:
        carried = {value.channel for value in put.values}
        to = put.checkpoint
        versions = {name: key for name, key in to.versions.items() if name in carried}
        super()._put(put._replace(checkpoint=to._replace(versions=versions)))


class Unmarked(MemoryPlanner):
    """A value that is gone when its checkpoint is put is taken for a channel without one."""

    def _put(self, put: PutRecord) -> None:
        to = put.checkpoint
        thread = self._find(to.thread_id)
        there = {(channel, version) for channel, version, _ in put.values}
        if thread:
            there |= {(channel, version) for ns, channel, version in thread.values if ns == to.ns}
        gone = frozenset(entry[0] for entry in to.versions.items() if entry not in there)
        super()._put(put._replace(checkpoint=to._replace(valueless=gone)))


@saver("saver.delete_thread.a_run_under_way_puts_whole_checkpoints")
class TrustsThatTheRestIsThere(Unmarked):
    """Only new values are stored, even where those that did not change are gone."""

    def _completed(self, draft: Draft) -> PutRecord:
        parent = draft.checkpoint._replace(valueless=frozenset(), small=NOTHING)
        return draft.complete(Channels.of(parent), embeds=False)


@saver("saver.put.failed_put_leaves_nothing")
class HalfPut(MemoryPlanner):
    """The checkpoint is stored before its values are serialized."""

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


@saver("saver.put.versions_keep_their_type")
class VersionsAsText(MemoryPlanner):
    """Channel versions become strings."""

    def _put(self, put: PutRecord) -> None:
        def as_text(key: str) -> str:
            return key if key[0] in "vs" else f"s{key[1:]}"

        to = put.checkpoint
        versions = {name: as_text(key) for name, key in to.versions.items()}
        values = [one._replace(version=as_text(one.version)) for one in put.values]
        super()._put(put._replace(checkpoint=to._replace(versions=versions), values=values))


@saver("saver.put.parent_is_the_checkpoint_of_the_config")
class NewestIsTheParent(MemoryPlanner):
    """The parent is whatever is newest, not what the config names."""

    def _put(self, put: PutRecord) -> None:
        to = put.checkpoint
        thread = self._find(to.thread_id) or MemoryThread(created=0)
        newest = max((name for ns, name in thread.checkpoints if ns == to.ns), default=None)
        super()._put(put._replace(checkpoint=to._replace(parent_id=newest)))


@saver("saver.put.none_is_a_value")
class NoneIsNothing(Unmarked):
    """A channel that holds None is taken for an empty one."""

    def _put(self, put: PutRecord) -> None:
        values = [one for one in put.values if one.value[0] != "null"]
        super()._put(put._replace(values=values))


@saver("saver.put.metadata_is_merged_as_langgraph_merges_it")
class OnlyTheMetadataItself(MemoryPlanner):
    """What the run's config says is left out of the metadata."""

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        named = ("thread_id", "checkpoint_ns", "checkpoint_id", "ttl")
        kept = {key: value for key, value in config["configurable"].items() if key in named}
        bare: RunnableConfig = {"configurable": kept}
        return (yield from super().put(codec, bare, checkpoint, metadata, new_versions))


@saver("saver.fidelity.value_and_type_survive")
class JsonDetour(MemoryPlanner):
    """Values go through JSON on their way."""

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        detour = json.loads(json.dumps(checkpoint["channel_values"], default=str))
        body: Checkpoint = {**checkpoint, "channel_values": detour}
        return (yield from super().put(codec, config, body, metadata, new_versions))


@saver("saver.put_writes.the_same_channel_twice_in_a_batch")
class LostWrite(MemoryPlanner):
    """Of several writes of a task to one channel, the last is stored."""

    def put_writes(
        self, codec: Codec, config: RunnableConfig, writes: Writes, task_id: str, task_path: str
    ) -> Plan[None]:
        yield from super().put_writes(codec, config, list(dict(writes).items()), task_id, task_path)


@saver("saver.put_writes.regular_writes_the_first_wins")
class LastWriteWins(MemoryPlanner):
    """A task that runs again replaces its writes."""

    def put_writes(
        self, codec: Codec, config: RunnableConfig, writes: Writes, task_id: str, task_path: str
    ) -> Plan[None]:
        at = address(config, checkpoint=True)
        if (thread := self._find(at.thread_id)) is not None:
            there = thread.writes.get((at.namespace, at.checkpoint_id or ""), {})
            for key in [key for key in there if key[0] == task_id]:
                del there[key]
        yield from super().put_writes(codec, config, writes, task_id, task_path)


@saver("saver.put_writes.special_writes_the_last_wins")
class FirstAnswerWins(MemoryPlanner):
    """A second interrupt or answer of a task is ignored, as a regular write would be."""

    def put_writes(
        self, codec: Codec, config: RunnableConfig, writes: Writes, task_id: str, task_path: str
    ) -> Plan[None]:
        at = address(config, checkpoint=True)
        thread = self._find(at.thread_id) or MemoryThread(created=0)
        there = thread.writes.get((at.namespace, at.checkpoint_id or ""), {})
        special = WRITES_IDX_MAP
        new = [one for one in writes if (task_id, special.get(one[0], 0)) not in there]
        kept = new if all(name in special for name, _ in writes) else writes
        yield from super().put_writes(codec, config, kept, task_id, task_path)


@saver("saver.put_writes.indexes_sort_as_numbers")
class IndexesAsText(MemoryPlanner):
    """Write 10 comes before write 9."""

    def put_writes(
        self, codec: Codec, config: RunnableConfig, writes: Writes, task_id: str, task_path: str
    ) -> Plan[None]:
        order = sorted(range(len(writes)), key=str)
        shuffled = [writes[at] for at in order]
        yield from super().put_writes(codec, config, shuffled, task_id, task_path)


@saver("saver.put_writes.before_their_checkpoint")
class WritesNeedACheckpoint(MemoryPlanner):
    """Writes that are earlier than their checkpoint are dropped, as by a foreign key."""

    def put_writes(
        self, codec: Codec, config: RunnableConfig, writes: Writes, task_id: str, task_path: str
    ) -> Plan[None]:
        at = address(config, checkpoint=True)
        thread = self._find(at.thread_id)
        if thread is not None and (at.namespace, at.checkpoint_id) in thread.checkpoints:
            yield from super().put_writes(codec, config, writes, task_id, task_path)


@saver("saver.put_writes.order_is_path_then_task_then_index")
class WritesByArrival(MemoryPlanner):
    """The order of writes is that in which tasks finished."""

    def put_writes(
        self, codec: Codec, config: RunnableConfig, writes: Writes, task_id: str, task_path: str
    ) -> Plan[None]:
        thread = self._find(address(config).thread_id) or MemoryThread(created=0)
        arrival = sum(map(len, thread.writes.values()))
        path = f"{arrival:06}"
        yield from super().put_writes(codec, config, writes, task_id, path)
        del task_path


@saver("saver.hostile_input.thread_ids_never_collide")
class CutAtTheColon(MemoryPlanner):
    """A thread's id ends at its first colon, because keys are joined by colons."""

    def _open(self, thread_id: str, ttl: float | None) -> MemoryThread:
        return super()._open(thread_id.partition(":")[0], ttl)

    def _find(self, thread_id: str) -> MemoryThread | None:
        return super()._find(thread_id.partition(":")[0])


@saver("saver.hostile_input.what_cannot_be_kept_is_refused")
class NulIsStripped(MemoryPlanner):
    """A NUL in a channel's name is taken out instead of refused."""

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        def clean(named: Mapping[str, Any]) -> dict[str, Any]:
            return {name.replace("\0", ""): value for name, value in named.items()}

        versions = clean(checkpoint["channel_versions"])
        values = clean(checkpoint["channel_values"])
        body: Checkpoint = {**checkpoint, "channel_versions": versions, "channel_values": values}
        return (yield from super().put(codec, config, body, metadata, clean(new_versions)))


@saver("saver.encryption.no_plaintext_is_stored")
class ReadableBeside(MemoryPlanner):
    """What a task wrote is kept readable in another column, for searching."""

    def put_writes(
        self, codec: Codec, config: RunnableConfig, writes: Writes, task_id: str, task_path: str
    ) -> Plan[None]:
        readable = f"{task_path} {writes!r}"
        yield from super().put_writes(codec, config, writes, task_id, readable)


def _with_saver(cls: type, _: Path) -> BrokenHarness:
    class Harness(BrokenHarness):
        def _saver(self, **options: Any) -> MemorySaver:
            one = super()._saver(**options)
            one.__class__ = cls
            return one

    return Harness()


@mutant("saver.encryption.reading_what_was_not_encrypted", _with_saver)
class TrustsWhatIsNotEncrypted(MemorySaver):
    """With encryption on, a value that somebody else wrote in the clear is read all the same."""

    @property
    def _codec(self) -> Codec:
        codec = super()._codec
        codec._encrypted = False
        return codec


@mutant("saver.unreadable.value_is_an_error", _with_saver)
class GivesADictForAnObject(MemorySaver):
    """A value whose class is gone is read as LangGraph's serializer gives it: as a dict."""

    @property
    def _codec(self) -> Codec:
        return Codec(self.serde, "langgraph")


@mutant("saver.own_encryption.no_plaintext_is_stored", _with_saver)
class KnowsOnlyLangGraphsEncryption(MemorySaver):
    """With another serializer that encrypts, metadata is stored in the clear."""

    @property
    def _codec(self) -> Codec:
        codec = super()._codec
        codec._encrypted = False
        return codec


@mutant("saver.allowlist.clone_reads_and_writes_the_same_threads", _with_saver)
class CloneOfItsOwn(MemorySaver):
    """The clone that `graph.compile` makes has a memory of its own."""

    def __copy__(self) -> CloneOfItsOwn:
        return CloneOfItsOwn(serde=self.serde)


@mutant("saver.prune.one_id_is_no_list_of_ids", _with_saver)
class PrunesLetters(MemorySaver):
    """One thread's id is taken for a list, of the threads that its letters name."""

    def prune(self, thread_ids: Any, **options: Any) -> Any:
        return super().prune(list(thread_ids), **options)


@mutant("saver.delete_for_runs.one_id_is_no_list_of_ids", _with_saver)
class DeletesLetters(MemorySaver):
    """One run's id is taken for a list, of the runs that its letters name."""

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        super().delete_for_runs(list(run_ids))


@mutant("saver.concurrency.event_loop_goes_on_while_large_values_are_encoded", _with_saver)
class EncodesOnTheEventLoop(MemorySaver):
    """An async method does all of its work on the event loop, 8 MB of it."""

    async def _adrive(self, plan: Plan[T]) -> T:
        return self._drive(plan)


@mutant("saver.put.next_version", _with_saver)
class SameVersionInEveryFork(MemorySaver):
    """Versions are counted: two forks of a checkpoint make the same one."""

    def get_next_version(self, current: str | None, channel: None) -> str:
        return super().get_next_version(current, channel).partition(".")[0] + ".0"
