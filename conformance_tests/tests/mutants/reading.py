"""Savers that read, list, filter, forget and copy wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory

from checkpoint_base.errors import CorruptValueError
from checkpoint_base.memory.planner import MemoryPlanner
from checkpoint_base.memory.thread import MemoryThread, newest
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.planner import Listing, Page, ThreadQuery
from checkpoint_base.saver.records.kinds import PutRecord, ThreadPage
from checkpoint_sqlite import SqliteSaver
from checkpoint_sqlite.tests.harness import SqliteHarness
from conformance_tests.tests.mutants.registry import mutant
from conformance_tests.tests.mutants.writing import Unmarked, saver


@saver("saver.list.newest_first")
class OldestFirst(MemoryPlanner):
    """`list` begins with the oldest checkpoint."""

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        found = yield from super().list_page(codec, listing)
        return found._replace(tuples=found.tuples[::-1])


@saver("saver.list.before")
class BeforeIsIncluded(MemoryPlanner):
    """`before` lists the named checkpoint as well."""

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        before = None if listing.before is None else f"{listing.before}\x01"
        return (yield from super().list_page(codec, replace(listing, before=before)))


@saver("saver.list.across_namespaces_when_none_is_given")
class OnlyTheRoot(MemoryPlanner):
    """Without a namespace, only the root's checkpoints are listed."""

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        return (yield from super().list_page(codec, replace(listing, ns=listing.ns or "")))


@saver("saver.list.long_histories_come_whole")
class FirstPageOnly(MemoryPlanner):
    """`list` ends with its first page."""

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        return (yield from super().list_page(codec, listing))._replace(rest=None)


@saver("saver.filter.limit_and_before_count_what_matches")
class FilterAfterTheLimit(MemoryPlanner):
    """The newest few are taken first, then filtered."""

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        everything = yield from super().list_page(codec, replace(listing, filter=None))
        matching = yield from super().list_page(codec, replace(listing, remaining=None))
        ids = {found.checkpoint["id"] for found in matching.tuples}
        kept = [found for found in everything.tuples if found.checkpoint["id"] in ids]
        return everything._replace(tuples=kept)


class _Compares(MemoryPlanner):
    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        found = yield from super().list_page(codec, replace(listing, filter=None))
        wanted = (listing.filter or {}).items()
        kept = [
            one
            for one in found.tuples
            if all(self.same(dict(one.metadata), key, value) for key, value in wanted)
        ]
        return found._replace(tuples=kept)

    def same(self, metadata: Mapping[str, Any], key: str, value: Any) -> bool:
        raise NotImplementedError


@saver("saver.filter.different_json_values_do_not_match")
class ComparesAsText(_Compares):
    """Metadata is compared as text: "1" equals 1."""

    def same(self, metadata: Mapping[str, Any], key: str, value: Any) -> bool:
        there = metadata.get(key)
        return _text(there) == _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@saver("saver.filter.dotted_key_is_no_path")
class KeysArePaths(_Compares):
    """A key with dots is a path into nested metadata."""

    def same(self, metadata: Mapping[str, Any], key: str, value: Any) -> bool:
        there: Any = metadata
        for part in key.split("."):
            there = there.get(part) if isinstance(there, Mapping) else None
        return bool(there == value)


@saver("saver.filter.none_matches_null_and_missing")
class NoneMatchesNothing(_Compares):
    """A filter for None matches nothing, as SQL's `= NULL`."""

    def same(self, metadata: Mapping[str, Any], key: str, value: Any) -> bool:
        return value is not None and metadata.get(key) == value


@saver("saver.put.the_latest_is_the_highest_id_not_the_last_put")
class LastPutIsLatest(MemoryPlanner):
    """The latest checkpoint is the one that was put last."""

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        named = config["configurable"]
        thread = self._find(str(named["thread_id"]))
        if thread is not None and not named.get("checkpoint_id"):
            ns = named.get("checkpoint_ns", "")
            last = [name for where, name in thread.checkpoints if where == ns][-1:]
            config = {"configurable": {**named, "checkpoint_id": (last or [""])[0]}}
        return (yield from super().get_tuple(codec, config))


@saver("saver.get_tuple.sends_of_old_checkpoints_come_from_the_parent")
class ForgetsOldSends(MemoryPlanner):
    """Tasks that an older LangGraph planned are not looked for at the parent."""

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        found = yield from super().get_tuple(codec, config)
        if found is not None and found.checkpoint["v"] < 4:
            found.checkpoint["channel_values"].pop("__pregel_tasks", None)
        return found


@saver("saver.delta_history.parents_only_not_time_order")
class HistoryByTime(MemoryPlanner):
    """The writes of all earlier checkpoints count, whatever branch they are on."""

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        named = config["configurable"]
        thread = self._find(str(named["thread_id"])) or MemoryThread(created=0)
        original = dict(thread.checkpoints)
        earlier: str | None = None
        for key in sorted(original):
            record, run = original[key]
            thread.checkpoints[key] = record._replace(parent_id=earlier), run
            earlier = key[1]
        found = yield from super().delta_history(codec, config, channels)
        thread.checkpoints.update(original)
        return found


@saver("saver.delta_history.no_seed_key_when_there_is_none")
class SeedOfNone(MemoryPlanner):
    """Where nothing was stored, the seed is None instead of missing."""

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        found = yield from super().delta_history(codec, config, channels)
        return {name: {"seed": None, **history} for name, history in found.items()}


@saver("saver.delete_thread.other_threads_stay")
class DeletesByPrefix(MemoryPlanner):
    """Deleting a thread deletes all whose id begins like it."""

    def delete_thread(self, thread_id: str) -> Plan[None]:
        for name in [name for name in self.threads if name.startswith(thread_id)]:
            yield from super().delete_thread(name)


@saver("saver.delete_thread.nothing_is_left")
class LeavesTheWrites(MemoryPlanner):
    """A deleted thread's writes stay behind."""

    def delete_thread(self, thread_id: str) -> Plan[None]:
        thread = self.threads.get(thread_id) or MemoryThread(created=0)
        writes = thread.writes
        yield from super().delete_thread(thread_id)
        if writes:
            self._open(thread_id, None).writes = writes


@saver("saver.delete_for_runs.no_runs_and_unknown_runs")
class NoRunsMeansAll(MemoryPlanner):
    """An empty list of runs deletes everything, as a forgotten WHERE does."""

    def delete_for_runs(self, run_ids: Sequence[str]) -> Plan[None]:
        if not run_ids:
            self.threads.clear()
        yield from super().delete_for_runs(run_ids)


@saver("saver.copy_thread.everything_is_copied")
class CopiesTheLatest(MemoryPlanner):
    """A copy has the newest checkpoint only."""

    def _copy(self, source: str, target: str) -> None:
        super()._copy(source, target)
        if (copy := self._find(target)) is not None:
            last = max(copy.checkpoints, default=None)
            copy.drop([key for key in copy.checkpoints if key != last])


@saver("saver.copy_thread.copy_and_source_are_independent")
class CopyIsTheSource(MemoryPlanner):
    """A copy shares its records with the source."""

    def _copy(self, source: str, target: str) -> None:
        super()._copy(source, target)
        original, copy = self._find(source), self._find(target)
        if original is not None and copy is not None:
            copy.writes, copy.values = original.writes, original.values


@saver("saver.prune.keep_latest_keeps_the_newest_of_each_namespace")
class PrunesSubgraphs(MemoryPlanner):
    """Pruning keeps the newest checkpoint of the thread, not of each namespace."""

    def _keep_latest(self, codec: Codec, name: str) -> None:
        super()._keep_latest(codec, name)
        if (thread := self._find(name)) is not None:
            thread.drop([key for key in thread.checkpoints if key[0]])


@saver("saver.prune.history_back_to_the_seed_stays")
class PrunesWhatDeltasNeed(MemoryPlanner):
    """Pruning removes the ancestors from which a delta channel is rebuilt."""

    def _keep_latest(self, codec: Codec, name: str) -> None:
        super()._keep_latest(codec, name)
        if (thread := self._find(name)) is not None:
            heads = {ns: newest(thread, ns, None) for ns, _ in thread.checkpoints}
            kept = {(ns, head.checkpoint_id) for ns, head in heads.items() if head}
            thread.drop([key for key in thread.checkpoints if key not in kept])


@saver("saver.prune.keep_latest_collects_what_puts_over_a_checkpoint_left")
class PrunesOnlyOldCheckpoints(MemoryPlanner):
    """Pruning does nothing where no checkpoint is to go."""

    def _keep_latest(self, codec: Codec, name: str) -> None:
        thread = self._find(name)
        if thread is not None and len(thread.checkpoints) > len(
            {ns for ns, _ in thread.checkpoints}
        ):
            super()._keep_latest(codec, name)


@saver("saver.ttl.minutes_as_floats")
class WholeMinutes(MemoryPlanner):
    """A time to live is rounded to minutes."""

    def _open(self, thread_id: str, ttl: float | None) -> MemoryThread:
        thread = super()._open(thread_id, ttl)
        if thread.expires is not None:
            thread.expires = thread.updated + 60 * round((thread.expires - thread.updated) / 60)
        return thread


@saver("saver.ttl.expired_reads_as_absent_before_any_sweep")
class ExpiredUntilSwept(MemoryPlanner):
    """An expired thread is read until the sweep comes by."""

    def _find(self, thread_id: str) -> MemoryThread | None:
        return self.threads.get(thread_id)


@saver("saver.ttl.reading_moves_the_clock_if_asked")
class ReadingNeverRefreshes(MemoryPlanner):
    """`refresh_on_read` is not looked at."""

    def _read(self, thread_id: str) -> MemoryThread | None:
        return self._find(thread_id)


@saver("saver.ttl.a_thread_that_is_read_again_and_again_stays")
class MeasuresFromTheLastRead(MemoryPlanner):
    """A read soon after another one moves nothing, however much is left until the expiry."""

    def _read(self, thread_id: str) -> MemoryThread | None:
        reads: dict[str, float] = self.__dict__.setdefault("reads", {})
        now = self._clock()
        before, reads[thread_id] = reads.get(thread_id, now), now
        return super()._read(thread_id) if now - before > 1 else self._find(thread_id)


@saver("saver.ttl.unchanged_channel_lives_as_long_as_its_thread")
class ValuesExpireAlone(Unmarked):
    """Each value has a clock of its own, so a channel that does not change expires."""

    def _put(self, put: PutRecord) -> None:
        thread = self._find(put.checkpoint.thread_id)
        if thread and thread.expires is not None and self._clock() > thread.updated:
            thread.values.clear()
        super()._put(put)


@saver("saver.threads.pages_lose_and_repeat_nothing")
class PagesByTimeAlone(MemoryPlanner):
    """A page of threads begins after the time of the last one: others of that moment are lost."""

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        if query.position is not None:
            query = replace(query, updated_before=query.position[0], cursor=None)
        return (yield from super().list_threads(query))


def sqlite(cls: type, folder: Path) -> SqliteHarness:
    class Harness(SqliteHarness):
        def open(self, **options: Any) -> Any:
            return _as(super().open(**options), cls)

    return Harness(folder / "mutant.db")


def _as(context: Any, cls: type) -> Any:
    from contextlib import contextmanager

    @contextmanager
    def changed() -> Iterator[Any]:
        with context as one:
            one.__class__ = cls
            yield one

    return changed()


@mutant("saver.integrity.damage_is_an_error", sqlite)
class DamageIsAbsence(SqliteSaver):
    """A damaged value reads as "no such checkpoint"."""

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        try:
            return super().get_tuple(config)
        except CorruptValueError:
            return None
