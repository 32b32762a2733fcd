"""Deleting, pruning and copying threads. What cannot be judged in a script is looked at first, and
done if the thread is still in the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from langgraph.checkpoint.serde.types import TASKS

from checkpoint_base.codec import Codec
from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan
from checkpoint_base.records import CheckpointRecord
from checkpoint_redis.packing import unpack_checkpoint
from checkpoint_redis.reading import lineage_of
from checkpoint_redis.requests import Arg, Call, calls
from checkpoint_redis.scripts import script
from checkpoint_redis.writing import Writing, moment, seconds

Place = tuple[str, str]
"""(namespace, checkpoint id)"""


class _Head(NamedTuple):
    """The newest checkpoint of a namespace."""

    record: CheckpointRecord
    needs_parent: bool
    """an old one, whose sends are there"""

    @property
    def place(self) -> Place:
        return self.record.ns, self.record.checkpoint_id


class Removal(Writing):
    """Plans that remove or copy whole checkpoints."""

    def delete_thread(self, thread_id: str) -> Plan[None]:
        """Delete all of a thread: one script."""
        updated = yield from self._ask("delete", thread_id)
        if updated and self._keys.clustered:
            args = [thread_id.encode(), updated, b""]
            yield from calls([Call(script("forget"), self._keys.registry(thread_id), args)])

    def delete_for_runs(self, run_ids: Sequence[str]) -> Plan[None]:
        """Delete the checkpoints of some runs: two round trips, each thread atomically."""
        if not run_ids:
            return
        runs = [run_id.encode() for run_id in run_ids]
        asked = [Call(script("runs"), part, runs) for part in self._keys.parts]
        threads: dict[bytes, dict[bytes, None]] = {}
        for found in (yield from calls(asked)):
            for n in range(0, len(found), 2):
                threads.setdefault(found[n + 1], {})[found[n]] = None
        epoch = str(self._logs.new_epoch())
        drops = [
            self._call("drop_runs", name.decode(), [epoch, len(some), *some])
            for name, some in threads.items()
        ]
        yield from calls(drops)
        if self._keys.clustered:
            forget = script("drop_run")
            yield from calls(
                [
                    Call(forget, self._keys.registry(name.decode()), [name, 0, *some])
                    for name, some in threads.items()
                ]
            )

    # ------------------------------------------------------------------ prune

    def prune(self, codec: Codec, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
        """Thin out threads: each atomically."""
        for thread_id in thread_ids:
            if strategy == "delete":
                yield from self.delete_thread(thread_id)
            else:
                yield from self._keep_latest(codec, thread_id, None)

    def _keep_latest(self, codec: Codec, thread_id: str, expired: float | None) -> Plan[bool]:
        """Whether the thread was there and, with `expired`, had expired at that moment."""
        while True:
            found = yield from self._ask("heads", thread_id, [TASKS.encode()])
            if found is None:
                return False
            state, due, told, salt = found
            if expired is not None and (not due or float(due) > expired):
                return False
            heads = _heads(thread_id, salt, told)
            kept = {head.place for head in heads}
            kept |= yield from self._ancestors(codec, thread_id, heads)
            args = [str(self._logs.new_epoch()), state, moment(expired)]
            args += [*_list(kept), *_list([head.place for head in heads])]
            done = yield from self._ask("keep", thread_id, args)
            if done != b"other":  # otherwise somebody wrote to it meanwhile
                return bool(done == b"done")

    def _ancestors(self, codec: Codec, thread_id: str, heads: Sequence[_Head]) -> Plan[set[Place]]:
        """The checkpoints without which those would not read the same."""
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
                asked.append(self._call("lineage", thread_id, args))
                spaces.append(head.record.ns)
        for ns, reply in zip(spaces, (yield from calls(asked)), strict=True):
            if reply is not None:
                line = lineage_of(thread_id, ns, reply, ())
                needed |= {(ns, ancestor) for ancestor in line.needed}
        return needed

    # ------------------------------------------------------------------ copy

    def copy_thread(self, source: str, target: str) -> Plan[None]:
        """Copy a thread: two round trips."""
        if source == target:
            return
        while True:
            looks = [self._call("snapshot", source), self._call("outline", target)]
            original, (state, there) = yield from calls(looks)
            if original is None:
                return
            records, order, ttl, names, runs = original
            _refuse_foreign(source, target, names, there)
            if self._keys.clustered:
                due = self._logs.policy.expiry(self._logs.clock(), seconds(ttl))
                yield from calls([self._register(target, due, *(run.decode() for run in runs))])
            args: list[Arg] = [state, str(self._logs.new_epoch()), records, order, ttl]
            done = yield from self._ask("paste", target, [*self._touch(), *args, len(runs), *runs])
            if done == b"done":
                return


def _heads(thread_id: str, salt: bytes, told: Sequence[bytes]) -> list[_Head]:
    heads = []
    for n in range(0, len(told), 4):
        place = told[n].decode(), told[n + 1].decode()
        record = unpack_checkpoint(thread_id, salt, place, told[n + 2])
        heads.append(_Head(record, told[n + 3] == b"1"))
    return heads


def _list(places: Any) -> list[Arg]:
    flat = [part.encode() for place in places for part in place]
    return [len(flat), *flat]


def _refuse_foreign(
    source: str, target: str, names: Sequence[bytes], there: Sequence[bytes]
) -> None:
    """
    Raises:
        InvalidArgumentError: the target has something that the source has not.
    """
    known = {_place(name) for name in names if name[:1] in (b"n", b"w")}
    for name in there:
        if name[:1] in (b"n", b"w") and _place(name) not in known:
            own = _place(name)[-1].decode(errors="replace")
            raise InvalidArgumentError(
                f"target_thread_id: wanted a thread with nothing of its own, but {target!r} "
                f"has checkpoint {own!r} or writes for it, which {source!r} has not"
            )


def _place(name: bytes) -> tuple[bytes, ...]:
    return name[:1], *name[1:].split(b"\0")[:2]
