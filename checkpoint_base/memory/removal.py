"""Plans of `MemorySaver` that remove, keep by a policy, or copy whole threads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from functools import partial

from langgraph.checkpoint.serde.types import INTERRUPT, TASKS

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.memory.locking import locked
from checkpoint_base.memory.thread import Key, MemoryThread, newest
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.ttl.retaining import NOTHING, RetentionPlans, affected
from checkpoint_base.saver.ttl.retention import (
    Removal,
    RetentionCutoff,
    ThreadOutline,
    newest_of,
)


class MemoryRemoval(RetentionPlans):
    """Plans of `delete_thread`, `delete_for_runs`, `prune`, `retain` and `copy_thread`."""

    threads: MutableMapping[str, MemoryThread]
    lease: list[tuple[str, float]]
    """the owner of the sweepers' lease, and its end; savers on the same dicts share it"""
    _clock: Callable[[], float]

    @abstractmethod
    def _find(self, thread_id: str) -> MemoryThread | None:
        """The thread; None: it does not exist, or has expired."""

    @abstractmethod
    def _open(self, thread_id: str, ttl: float | None) -> MemoryThread:
        """The thread, which is made if it does not exist; it counts as written now."""

    def delete_thread(self, thread_id: str) -> Plan[None]:
        """Delete a thread."""
        yield from locked(partial(self._delete, thread_id))

    def _delete(self, thread_id: str) -> None:
        if thread_id in self.threads:  # `pop` would read the thread, which tests may have damaged
            del self.threads[thread_id]

    def delete_for_runs(self, run_ids: Sequence[str]) -> Plan[None]:
        """Delete the checkpoints of these runs."""
        wanted = set(run_ids)

        def work() -> None:
            for name, thread in list(self.threads.items()):
                gone = [key for key, (_, run) in thread.checkpoints.items() if run in wanted]
                if gone:
                    thread.drop(gone)
                self._forget_empty(name)

        yield from locked(work)

    def _forget_empty(self, name: str) -> None:
        thread = self.threads[name]
        if not thread.checkpoints and not thread.writes:
            del self.threads[name]

    def prune(self, codec: Codec, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
        """Apply a `prune` strategy to threads."""
        for thread_id in thread_ids:
            if strategy == "delete":
                yield from self.delete_thread(thread_id)
            else:
                yield from locked(partial(self._keep_latest, codec, thread_id))

    def _keep_latest(self, codec: Codec, name: str) -> None:
        thread = self._find(name)
        if thread is None:
            return
        heads = newest_of(thread.checkpoints)
        kept = {*heads.items()}
        gone = thread.checkpoints.keys() - kept - self._needed_by(codec, thread, kept)
        thread.drop([*gone, *thread.early_writes(heads)])

    @staticmethod
    def _needed_by(codec: Codec, thread: MemoryThread, places: Iterable[Key]) -> set[Key]:
        """The ancestors that these checkpoints need."""
        needed: set[Key] = set()
        for ns, checkpoint_id in places:
            record, _ = thread.checkpoints[ns, checkpoint_id]
            sends = thread.writes.get((ns, record.parent_id or ""), {}).values()
            if record.v < 4 and any(write.channel == TASKS for write in sends):
                needed.add((ns, record.parent_id or ""))
            for channel in codec.delta_channels_of(record):
                needed |= {(ns, one.checkpoint_id) for one in thread.lineage(record, channel)}
        return needed

    # ------------------------------------------------------------------ retention

    def _now(self) -> float:
        return self._clock()

    def _lease(self, owner: str, seconds: float) -> Plan[bool]:
        def work() -> bool:
            now = self._clock()
            if any(other != owner and end > now for other, end in self.lease):
                return False
            self.lease[:] = [(owner, now + seconds)]
            return True

        return (yield from locked(work))

    def _retain(
        self, codec: Codec, thread_id: str, cutoff: RetentionCutoff, *, dry_run: bool
    ) -> Plan[Removal]:
        work = partial(self._remove_surplus, codec, thread_id, cutoff, dry_run=dry_run)
        return (yield from locked(work))

    def _remove_surplus(
        self, codec: Codec, name: str, cutoff: RetentionCutoff, *, dry_run: bool
    ) -> Removal:
        thread = self._find(name)
        if thread is None:
            return NOTHING
        outline = self._outline(codec, thread, cutoff)
        if cutoff.removes_thread(outline):
            if not dry_run:
                self._delete(name)
            return Removal(len(outline.places), is_whole=True)
        kept = cutoff.kept(outline)
        kept |= self._needed_by(codec, thread, affected(outline.places, kept))
        gone = thread.checkpoints.keys() - kept
        if gone and not dry_run:
            thread.drop([*gone, *thread.early_writes(newest_of(gone))])
        return Removal(len(gone))

    @staticmethod
    def _outline(codec: Codec, thread: MemoryThread, cutoff: RetentionCutoff) -> ThreadOutline:
        awaits_answer, metadata = False, None
        if (head := newest(thread, "", None)) is not None:
            written = thread.writes.get(("", head.checkpoint_id), {}).values()
            awaits_answer = any(write.channel == INTERRUPT for write in written)
            metadata = codec.metadata_of(head) if cutoff.needs_metadata else None
        return ThreadOutline([*thread.checkpoints], thread.updated, awaits_answer, metadata)

    def copy_thread(self, source: str, target: str) -> Plan[None]:
        """Copy a thread."""
        yield from locked(lambda: self._copy(source, target))

    def _copy(self, source: str, target: str) -> None:
        original, there = self._find(source), self._find(target)
        if original is None or source == target:
            return
        if there is not None and (own := there.own(original)):
            raise InvalidArgumentError(
                f"target_thread_id: wanted a thread with nothing of its own, but {target!r} has "
                f"checkpoint {min(own)[1]!r} or writes for it, which {source!r} has not"
            )
        self.threads.pop(target, None)
        copy = self._open(target, original.ttl)
        copy.checkpoints = {
            key: (record._replace(thread_id=target), run)
            for key, (record, run) in original.checkpoints.items()
        }
        copy.values, copy.garbage = dict(original.values), original.garbage
        copy.writes = {key: dict(writes) for key, writes in original.writes.items()}
