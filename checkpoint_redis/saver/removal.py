"""Deleting, pruning and copying threads. If the client must decide what to remove, it reads the
thread first, and the script that removes checks that the thread's state is still the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.types import INTERRUPT, TASKS

from checkpoint_base.errors import CorruptValueError, InvalidArgumentError
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.records.kinds import CheckpointRecord
from checkpoint_base.saver.ttl.retaining import NOTHING, RetentionPlans, affected
from checkpoint_base.saver.ttl.retention import (
    Place,
    Removal,
    RetentionCutoff,
    ThreadOutline,
    newest_of,
)
from checkpoint_redis.connection.requests import Arg, call, calls, seconds
from checkpoint_redis.connection.scripts import script
from checkpoint_redis.saver.collection import Collection, Judge
from checkpoint_redis.saver.packing import unpack_checkpoint
from checkpoint_redis.saver.reading import lineage_of
from checkpoint_redis.saver.registry import run_label


class _Head(NamedTuple):
    """The newest checkpoint of a namespace."""

    record: CheckpointRecord
    needs_parent: bool
    """whether it is of an old format, and its parent has the sends"""

    @property
    def place(self) -> Place:
        return self.record.ns, self.record.checkpoint_id


class RedisRemoval(Collection, RetentionPlans):
    """Plans that remove or copy whole checkpoints."""

    def delete_thread(self, thread_id: str) -> Plan[None]:
        """Delete a thread: one script, and one on the registry if the thread existed."""
        yield from self._delete(thread_id, b"")

    def _delete(self, thread_id: str, state: bytes) -> Plan[bool]:
        """Delete a thread that has this state (empty: any). Returns whether it existed."""
        outcome, updated, _ = yield from self._ask("delete", thread_id, [b"", state])
        if outcome != b"gone":
            return False
        yield from calls([self._registry.unregister(thread_id.encode(), updated or None)])
        return True

    def delete_for_runs(self, run_ids: Sequence[str]) -> Plan[None]:
        """Delete the checkpoints of runs in all threads that the registry has for them."""
        threads = yield from self._registry.labelled(map(run_label, run_ids))
        for name, labels in threads.items():
            yield from self._collect_runs(name.decode(), labels)
        yield from calls([self._registry.remove_labels(*entry) for entry in threads.items()])

    # ------------------------------------------------------------------ prune

    def prune(self, codec: Codec, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
        """Delete threads (strategy "delete"), or all but their newest checkpoints ("keep_latest"),
        in steps; after each step all that is left can be read.
        """
        for thread_id in thread_ids:
            if strategy == "delete":
                yield from self.delete_thread(thread_id)
            else:
                yield from self._keep_latest(codec, thread_id, None)

    def _keep_latest(self, codec: Codec, thread_id: str, expired: float | None) -> Plan[bool]:
        """Keep the newest checkpoint of each namespace, and the ancestors that it needs.

        Returns:
            False if the thread does not exist or, with `expired`, had not expired by then.
        """
        while True:
            found = yield from self._ask("latest", thread_id, [TASKS.encode(), 0])
            if found is None:
                return False
            state, due, told, salt = found
            if expired is not None and (not due or float(due) > expired):
                return False
            heads = _heads(thread_id, salt, told)
            kept = {head.place for head in heads}
            kept |= yield from self._ancestors(codec, thread_id, heads)
            stays = {f"{ns}\0{checkpoint_id}".encode() for ns, checkpoint_id in kept}
            done = yield from self._collect(
                thread_id,
                lambda place, _, stays=stays: place not in stays,  # type: ignore[misc]
                {ns.encode(): newest.encode() for ns, newest in (head.place for head in heads)},
                state=state,
                expired=expired,
            )
            if done != b"other":  # another process wrote to the thread: read it again
                return bool(done == b"done")

    def _ancestors(self, codec: Codec, thread_id: str, heads: Sequence[_Head]) -> Plan[set[Place]]:
        """The ancestors that are needed to read `heads`: for delta channels, or for sends."""
        needed = {
            (head.record.ns, head.record.parent_id)
            for head in heads
            if head.needs_parent and head.record.parent_id
        }
        asked, spaces = [], []
        for head in heads:
            deltas = codec.delta_channels_of(head.record)
            if channels := [name.encode() for name in deltas]:
                where = [part.encode() for part in head.place]
                args = [*self._touch(), 0, *where, 0, len(channels), *channels]
                asked.append(self._call("ancestors", thread_id, args))
                spaces.append(head.record.ns)
        for ns, reply in zip(spaces, (yield from calls(asked)), strict=True):
            if reply is not None:
                line = lineage_of(thread_id, ns, reply, ())
                needed |= {(ns, ancestor) for ancestor in line.needed}
        return needed

    # ------------------------------------------------------------------ retention

    def _now(self) -> float:
        return self._logs.clock()

    def _lease(self, owner: str, seconds: float) -> Plan[bool]:
        """One script."""
        args = owner.encode(), max(1, round(1000 * seconds))
        return bool((yield from call(script("lease"), [self._keys.lease], args)))

    def _retain(
        self, codec: Codec, thread_id: str, cutoff: RetentionCutoff, *, dry_run: bool
    ) -> Plan[Removal]:
        """Two scripts to find what goes, three with `where`; then those of a collection."""
        while True:
            info = yield from self._ask("thread_info", thread_id, [1])
            if info is not None and len(info) == 1:
                raise CorruptValueError(f"thread {thread_id!r}: {info[0].decode()}")
            if info is None or not info[2]:
                return NOTHING
            _, _, state, names, updated, begun = info
            outline = yield from self._outline(codec, thread_id, names, float(updated), cutoff)
            if cutoff.removes_thread(outline):
                if dry_run or (yield from self._delete(thread_id, state)):
                    return Removal(len(outline.places), is_whole=True)
                continue
            kept = cutoff.kept(outline)
            heads = yield from self._heads_at(thread_id, affected(outline.places, kept))
            kept |= yield from self._ancestors(codec, thread_id, heads)
            gone = {*outline.places} - kept
            removal = Removal(len(gone), is_unfinished=bool(begun))
            if dry_run or removal.is_empty:
                return removal
            done = yield from self._collect(
                thread_id,
                _is_among(gone),
                {ns.encode(): newest.encode() for ns, newest in newest_of(gone).items()},
                state=state,
            )
            if done != b"other":  # another process wrote to the thread: examine it again
                return removal if done == b"done" else NOTHING

    def _outline(
        self,
        codec: Codec,
        thread_id: str,
        names: Sequence[bytes],
        updated_at: float,
        cutoff: RetentionCutoff,
    ) -> Plan[ThreadOutline]:
        """The outline of a thread, given the members of its order."""
        found = [_place(name) for name in names if name[:1] == b"n"]
        places = [(ns.decode(), checkpoint_id.decode()) for _, ns, checkpoint_id in found]
        head, metadata = newest_of(places).get(""), None
        if head is None:
            return ThreadOutline(places, updated_at, awaits_answer=False, metadata=None)
        start, end = f"w\0{head}\0".encode(), b"\0%d" % WRITES_IDX_MAP[INTERRUPT]
        awaits_answer = any(name.startswith(start) and name.endswith(end) for name in names)
        if cutoff.needs_metadata:
            for one in (yield from self._heads_at(thread_id, [("", head)])):
                metadata = codec.metadata_of(one.record)
        return ThreadOutline(places, updated_at, awaits_answer, metadata)

    def _heads_at(self, thread_id: str, places: Sequence[Place]) -> Plan[list[_Head]]:
        """The checkpoints that exist at these places."""
        if not places:
            return []
        names = [f"n{ns}\0{checkpoint_id}".encode() for ns, checkpoint_id in places]
        args: list[Arg] = [TASKS.encode(), len(names), *names]
        found = yield from self._ask("latest", thread_id, args)
        return [] if found is None else _heads(thread_id, found[3], found[2])

    # ------------------------------------------------------------------ copy

    def copy_thread(self, source: str, target: str) -> Plan[None]:
        """Copy a thread: two round trips, three on a cluster."""
        if source == target:
            return
        while True:
            looks = [self._call("snapshot", source), self._call("thread_info", target, [1])]
            original, info = yield from calls(looks)
            if original is None:
                return
            if info is not None and len(info) == 1:
                raise CorruptValueError(f"thread {target!r}: {info[0].decode()}")
            _, _, state, there, *_ = info or (b"", b"", b"", ())
            records, order, ttl, names, runs = original
            _refuse_foreign(source, target, names, there)
            now = self._logs.clock()
            due = self._logs.policy.expiry(now, seconds(ttl))
            labels = map(run_label, runs)
            register = self._registry.register(target, now, due, _newest(names), labels)
            args: list[Arg] = [state, str(self._logs.new_epoch()), records, order, ttl]
            restore = self._call("restore", target, [*self._touch(now), *args])
            _, done = yield from calls([register, restore], in_order=True)
            if done == b"done":
                return


def _heads(thread_id: str, salt: bytes, told: Sequence[bytes]) -> list[_Head]:
    heads = []
    for n in range(0, len(told), 4):
        place = told[n].decode(), told[n + 1].decode()
        record = unpack_checkpoint(thread_id, salt, place, told[n + 2])
        heads.append(_Head(record, told[n + 3] == b"1"))
    return heads


def _is_among(places: Iterable[Place]) -> Judge:
    names = {f"{ns}\0{checkpoint_id}".encode() for ns, checkpoint_id in places}
    return lambda place, _: place in names


def _refuse_foreign(
    source: str, target: str, names: Sequence[bytes], there: Sequence[bytes]
) -> None:
    """Refuse to overwrite checkpoints.

    Raises:
        InvalidArgumentError: the target has a checkpoint, or writes to one, that the source lacks.
    """
    known = {_place(name) for name in names if name[:1] in (b"n", b"w")}
    for name in there:
        if name[:1] in (b"n", b"w") and _place(name) not in known:
            own = _place(name)[-1].decode(errors="replace")
            raise InvalidArgumentError(
                f"target_thread_id: wanted a thread with nothing of its own, but {target!r} "
                f"has checkpoint {own!r} or writes for it, which {source!r} has not"
            )


def _newest(names: Sequence[bytes]) -> str:
    """The greatest checkpoint id among the members of a thread's order."""
    return max((_place(name)[2].decode() for name in names if name[:1] == b"n"), default="")


def _place(name: bytes) -> tuple[bytes, ...]:
    return name[:1], *name[1:].split(b"\0")[:2]
