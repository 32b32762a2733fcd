"""Deleting, pruning and copying threads. If the client must decide what to remove, it reads the
thread first, and the script that removes checks that the thread's state is still the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from langgraph.checkpoint.serde.types import TASKS

from checkpoint_base.errors import CorruptValueError, InvalidArgumentError
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.records.kinds import CheckpointRecord
from checkpoint_redis.connection.requests import Arg, calls, seconds
from checkpoint_redis.saver.collection import Collection
from checkpoint_redis.saver.packing import unpack_checkpoint
from checkpoint_redis.saver.reading import lineage_of
from checkpoint_redis.saver.registry import run_label

Place = tuple[str, str]
"""(namespace, checkpoint id)"""


class _Head(NamedTuple):
    """The newest checkpoint of a namespace."""

    record: CheckpointRecord
    needs_parent: bool
    """whether it is of an old format, and its parent has the sends"""

    @property
    def place(self) -> Place:
        return self.record.ns, self.record.checkpoint_id


class RedisRemoval(Collection):
    """Plans that remove or copy whole checkpoints."""

    def delete_thread(self, thread_id: str) -> Plan[None]:
        """Delete a thread: one script, and one on the registry if the thread existed."""
        outcome, updated, _ = yield from self._ask("delete", thread_id, [b""])
        if outcome == b"gone":
            name = thread_id.encode()
            yield from calls([self._registry.unregister(name, updated or None)])

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
            found = yield from self._ask("latest", thread_id, [TASKS.encode()])
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
            _, _, state, there = info or (b"", b"", b"", ())
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
