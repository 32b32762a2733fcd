"""Savers that apply retention policies wrongly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from checkpoint_base.memory.planner import MemoryPlanner
from checkpoint_base.memory.thread import Key, MemoryThread
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.filters import matches
from checkpoint_base.saver.records.kinds import Stats
from checkpoint_base.saver.ttl.retention import (
    Place,
    Removal,
    Retention,
    RetentionCutoff,
    RetentionReport,
    ThreadOutline,
    created_at,
    newest_of,
)
from conformance_tests.tests.mutants.writing import saver


class _Decides(MemoryPlanner):
    """Changes the decision about a thread."""

    def _kept(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> set[Place]:
        return cutoff.kept(thread)

    def _removes(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> bool:
        return cutoff.removes_thread(thread)

    def _remove_surplus(
        self, codec: Codec, name: str, cutoff: RetentionCutoff, *, dry_run: bool
    ) -> Removal:
        planner = self

        class Changed(RetentionCutoff):
            def kept(self, thread: ThreadOutline) -> set[Place]:
                return planner._kept(cutoff, thread)

            def removes_thread(self, thread: ThreadOutline) -> bool:
                return planner._removes(cutoff, thread)

        changed = Changed(cutoff.policy, cutoff.created_before, cutoff.idle_before)
        return super()._remove_surplus(codec, name, changed, dry_run=dry_run)


@saver("saver.retention.keep_last_keeps_the_newest_of_each_namespace")
class KeepsLastOfTheThread(_Decides):
    """`keep_last` counts the checkpoints of all namespaces together."""

    def _kept(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> set[Place]:
        newest = sorted(thread.places, key=lambda place: place[1], reverse=True)
        return {*newest_of(thread.places).items(), *newest[: cutoff.policy.keep_last]}


@saver("saver.retention.namespaces_root_spares_subgraphs")
class SparesNoSubgraph(_Decides):
    """`namespaces` is not looked at."""

    def _kept(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> set[Place]:
        return replace(cutoff, policy=replace(cutoff.policy, namespaces="all")).kept(thread)


@saver("saver.retention.calls_go_with_their_root_checkpoints")
class KeepsEndedCalls(_Decides):
    """The newest checkpoint of each call of a subgraph stays for ever."""

    def _kept(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> set[Place]:
        return cutoff.kept(thread) | {*newest_of(thread.places).items()}


@saver("saver.retention.max_age_is_the_age_of_each_checkpoint")
class TimelessIsOld(_Decides):
    """A checkpoint whose id has no time counts as old."""

    def _kept(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> set[Place]:
        newest = newest_of(thread.places)
        return {
            (ns, name)
            for ns, name in cutoff.kept(thread)
            if name == newest[ns] or created_at(name) is not None
        }


@saver("saver.retention.each_limit_applies_by_itself")
class OneLimitIsEnoughToStay(_Decides):
    """A checkpoint stays if any limit lets it stay."""

    def _kept(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> set[Place]:
        kept = set[Place]()
        if cutoff.policy.keep_last is not None:
            kept |= replace(cutoff, created_before=None).kept(thread)
        if cutoff.created_before is not None:
            by_age = replace(cutoff.policy, keep_last=None)
            kept |= replace(cutoff, policy=by_age).kept(thread)
        return kept or cutoff.kept(thread)


@saver("saver.retention.idle_threads_are_deleted_whole")
class PrunesIdleThreads(_Decides):
    """An idle thread loses its history only."""

    def _removes(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> bool:
        return False


@saver("saver.retention.idle_thread_that_waits_for_an_answer_stays")
class DeletesQuestions(_Decides):
    """An idle thread is deleted although it waits for an answer."""

    def _removes(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> bool:
        return cutoff.removes_thread(thread._replace(awaits_answer=False))


@saver("saver.retention.history_of_a_thread_that_waits_is_limited")
class SparesThreadsThatWait(_Decides):
    """A thread that waits for an answer keeps its whole history."""

    def _kept(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> set[Place]:
        return {*thread.places} if thread.awaits_answer else cutoff.kept(thread)


@saver("saver.retention.where_is_about_the_newest_root_checkpoint")
class AnyCheckpointMatches(MemoryPlanner):
    """`where` matches a thread if any of its checkpoints does."""

    @staticmethod
    def _outline(codec: Codec, thread: MemoryThread, cutoff: RetentionCutoff) -> ThreadOutline:
        outline = MemoryPlanner._outline(codec, thread, cutoff)
        for record, _ in thread.checkpoints.values():
            if matches(found := codec.metadata_of(record), cutoff.policy.where):
                return outline._replace(metadata=found)
        return outline


@saver("saver.retention.dry_run_counts_and_removes_nothing")
class DryRunRemoves(MemoryPlanner):
    """A dry run removes as well."""

    def _retain(
        self, codec: Codec, thread_id: str, cutoff: RetentionCutoff, *, dry_run: bool
    ) -> Plan[Removal]:
        removal = yield from super()._retain(codec, thread_id, cutoff, dry_run=dry_run)
        yield from super()._retain(codec, thread_id, cutoff, dry_run=False)
        return removal


@saver("saver.retention.report_has_the_bytes_of_changed_threads")
class CountsAllBytes(MemoryPlanner):
    """The report has the bytes of all threads."""

    def retain(
        self, codec: Codec, policy: Retention, *, dry_run: bool = False
    ) -> Plan[RetentionReport]:
        before = yield from self.stats(None)
        report = yield from super().retain(codec, policy, dry_run=dry_run)
        after: Stats = yield from self.stats(None)
        return replace(report, bytes_before=before["bytes"], bytes_after=after["bytes"])


@saver("saver.retention.leaves_nothing_unreferenced")
class LeavesValues(MemoryPlanner):
    """The values of removed checkpoints stay until a sweep."""

    def _remove_surplus(
        self, codec: Codec, name: str, cutoff: RetentionCutoff, *, dry_run: bool
    ) -> Removal:
        values = dict(self.threads[name].values)
        removal = super()._remove_surplus(codec, name, cutoff, dry_run=dry_run)
        if name in self.threads:
            self.threads[name].values = values
        return removal


@saver("saver.retention.of_a_long_thread")
class OneStepOnly(_Decides):
    """A call removes the oldest 200 checkpoints of a thread, and leaves the others."""

    def _kept(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> set[Place]:
        gone = sorted({*thread.places} - cutoff.kept(thread), key=lambda place: place[1])
        return {*thread.places} - {*gone[:200]}


@saver("saver.retention.twice_changes_nothing")
class CountsEachThread(MemoryPlanner):
    """The report counts threads as pruned that have lost nothing."""

    def retain(
        self, codec: Codec, policy: Retention, *, dry_run: bool = False
    ) -> Plan[RetentionReport]:
        report = yield from super().retain(codec, policy, dry_run=dry_run)
        return replace(report, threads_pruned=report.threads - report.threads_removed)


@saver("saver.retention.ancestors_of_delta_channels_stay")
class RetainsNoAncestors(MemoryPlanner):
    """A policy removes the ancestors from which a delta channel is rebuilt."""

    @staticmethod
    def _needed_by(codec: Codec, thread: MemoryThread, places: Iterable[Key]) -> set[Key]:
        return set()


@saver("saver.retention.branches_keep_what_they_need")
class RetainsTheNewestBranch(MemoryPlanner):
    """Only the ancestors of a namespace's newest checkpoint stay, not those of other branches."""

    @staticmethod
    def _needed_by(codec: Codec, thread: MemoryThread, places: Iterable[Key]) -> set[Key]:
        newest = {*newest_of(thread.checkpoints).items()}
        return MemoryPlanner._needed_by(codec, thread, newest.intersection(places))


@saver("saver.retention.pending_sends_of_an_old_checkpoint_survive")
class RetainsNoSends(MemoryPlanner):
    """A policy removes the parent that has an old checkpoint's pending sends."""

    @staticmethod
    def _needed_by(codec: Codec, thread: MemoryThread, places: Iterable[Key]) -> set[Key]:
        new = [place for place in places if thread.checkpoints[place][0].v >= 4]
        return MemoryPlanner._needed_by(codec, thread, new)


@saver("saver.retention.writes_of_a_checkpoint_to_come_survive")
class RetainsNoEarlyWrites(MemoryPlanner):
    """A policy removes all writes that have no checkpoint."""

    def _remove_surplus(
        self, codec: Codec, name: str, cutoff: RetentionCutoff, *, dry_run: bool
    ) -> Removal:
        removal = super()._remove_surplus(codec, name, cutoff, dry_run=dry_run)
        if not dry_run and (thread := self._find(name)) is not None:
            thread.drop([key for key in thread.writes if key not in thread.checkpoints])
        return removal


@saver("saver.retention.beside_writers")
class DecidesByOldLists(_Decides):
    """What stays is decided by a list of checkpoints that is out of date."""

    def _kept(self, cutoff: RetentionCutoff, thread: ThreadOutline) -> set[Place]:
        seen: list[Place] = self.__dict__.setdefault("seen", [*thread.places])
        return cutoff.kept(thread._replace(places=seen)) & {*thread.places}


@saver("saver.retention.sweeps_apply_the_policy")
class SweepsWithoutPolicy(MemoryPlanner):
    """A sweep never gets the lease, so it applies no policy."""

    def _lease(self, owner: str, seconds: float) -> Plan[bool]:
        yield from super()._lease(f"not {owner}", seconds)
        return False


@saver("saver.retention.one_process_sweeps")
class EverybodySweeps(MemoryPlanner):
    """Each process gets the lease, whoever has it."""

    def _lease(self, owner: str, seconds: float) -> Plan[bool]:
        yield from super()._lease(owner, seconds)
        return True


@saver("saver.retention.another_process_takes_over")
class LeaseForGood(MemoryPlanner):
    """The lease never ends."""

    def _lease(self, owner: str, seconds: float) -> Plan[bool]:
        return (yield from super()._lease(owner, seconds + 1e9))
