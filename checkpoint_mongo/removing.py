"""Deleting, pruning and copying threads. Each thread is changed whole or not at all, where the
server has transactions; elsewhere in an order that leaves what stays readable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final, TypeVar

from checkpoint_base.codec import Codec
from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan, write
from checkpoint_base.reading import Place, ThreadKey
from checkpoint_base.statements.logs import Thread
from checkpoint_base.statements.removal import Removal
from checkpoint_base.statements.requests import rows
from checkpoint_mongo.holding import while_held
from checkpoint_mongo.keys import (
    THREAD,
    checkpoint_key,
    place_of,
    recent_of,
    ref_of,
    ref_of_thread,
    value_key,
)
from checkpoint_mongo.log import Logs
from checkpoint_mongo.pipelines import (
    Guard,
    bury_thread,
    hold_thread,
    keep_thread,
    lend_thread,
    of_thread,
    release_thread,
)
from checkpoint_mongo.requests import (
    Document,
    Op,
    RefusedError,
    documents,
    server,
    wait,
    write_all,
)
from checkpoint_mongo.statements import carriers, early_writes, reduction, removal, writes_of

T = TypeVar("T")

_COPIED_AT_ONCE: Final = 200  # documents without segments


class Removing(Removal):
    """Plans that remove or copy whole checkpoints."""

    _logs: Logs
    _guard: Callable[[str], Guard]

    def _exclusively(
        self, thread_ids: Sequence[str], make: Callable[..., Plan[T]], *args: Any
    ) -> Plan[T]:
        """Run a plan while nobody else writes to some threads."""
        found = yield from server()
        for attempt in count():
            with suppress(RefusedError):  # somebody writes to one, or has taken it over
                if found.has_transactions:
                    return (yield from write(self._in_transaction, thread_ids, make, *args))
                return (yield from self._holding(thread_ids, make, *args))
            yield from wait(attempt, thread_ids)
        raise AssertionError

    def _in_transaction(
        self, thread_ids: Sequence[str], make: Callable[..., Plan[T]], *args: Any
    ) -> Plan[T]:
        for thread_id in thread_ids:
            yield from self._hold(thread_id, self._logs.new_epoch(), None)
        return (yield from make(*args))

    def _holding(
        self, thread_ids: Sequence[str], make: Callable[..., Plan[T]], *args: Any
    ) -> Plan[T]:
        mark, since = self._logs.new_epoch(), self._logs.clock()
        asked: list[str] = []
        keeping: list[Op] = []
        try:
            for thread_id in thread_ids:
                asked.append(thread_id)  # it may be held, although nobody heard of it
                if (yield from self._hold(thread_id, mark, since)):
                    keeping.append(keep_thread(self._guard(thread_id), mark))
            return (yield from while_held(make(*args), keeping))
        except GeneratorExit:
            asked.clear()  # nobody is there any more who would do it
            raise
        finally:
            if asked:
                yield from write_all([self._release(thread_id, mark) for thread_id in asked])

    def _hold(self, thread_id: str, mark: int, since: float | None) -> Plan[bool]:
        """Hold a thread; whether there is one."""
        written = yield from write_all([hold_thread(self._guard(thread_id), mark, since)])
        if written is None:
            raise RefusedError(thread_id)
        return written.matched > 0

    def _release(self, thread_id: str, mark: int) -> Op:
        return release_thread(self._guard(thread_id), self._logs.new_epoch(), mark)

    def _collect(self, thread_id: str) -> Plan[None]:
        """Remove what nothing refers to any more."""
        yield from self._exclusively([thread_id], self._collect_held, thread_id)

    def _collect_held(self, thread_id: str) -> Plan[None]:
        yield from self._logs.collect(thread_id)
        tasks = {"thread_id": thread_id, "key": {"$gte": "cw\0", "$lt": "cw\1"}}
        found = yield from documents(
            [{"$match": tasks}, {"$match": {"replaced": True}}, {"$project": {"_id": 0, "key": 1}}]
        )
        cleared = [{"$unset": "replaced"}]
        yield from write_all(
            [Op({"thread_id": thread_id, "key": one["key"]}, cleared) for one in found]
        )

    # ------------------------------------------------------------------ delete

    def delete_thread(self, thread_id: str) -> Plan[None]:
        """Delete all of a thread: two commands, the first of which makes it absent."""
        yield from self._bury(thread_id, None)

    def _bury(self, thread_id: str, expired: float | None) -> Plan[bool]:
        """Remove a thread; `expired`: only if it expires by then. Whether it was removed."""
        ops = bury_thread(self._guard(thread_id), self._logs.new_epoch(), expired)
        for attempt in count():
            if (yield from write_all(ops)) is not None:
                return True
            found = yield from documents(of_thread(thread_id))
            if not found or self._is_touched(found[0], expired):
                return False
            yield from wait(attempt, [thread_id])
        raise AssertionError

    def _clear(self, thread: Document) -> Plan[None]:
        """Remove an expired thread that is held."""
        if thread.get("dead"):
            raise RefusedError(thread["thread_id"])  # somebody is about to remove it
        yield from self._logs.purge(Thread(thread["thread_id"], 0, 0, None, None))

    @staticmethod
    def _is_touched(thread: Document, expired: float | None) -> bool:
        return expired is not None and thread.get("expires_at", float("inf")) > expired

    def delete_for_runs(self, run_ids: Sequence[str]) -> Plan[None]:
        """Delete the checkpoints of some runs: one transaction for each thread."""
        seen = yield from self._of_runs(run_ids)
        for thread_id in dict.fromkeys(str(key) for key, _, _ in seen):
            yield from self._exclusively([thread_id], self._delete_runs_of, thread_id, run_ids)
            yield from self._remove_if_empty(thread_id)

    def _delete_runs_of(self, thread_id: str, run_ids: Sequence[str]) -> Plan[None]:
        there = rows(self._logs.queries["thread_checkpoints_of_runs"], (thread_id, run_ids))
        yield from self._delete_checkpoints((yield from there))
        yield from self._logs.collect(thread_id)

    def _is_empty(self, thread_id: str) -> Plan[bool]:
        ((is_empty,),) = yield from rows(self._logs.queries["is_empty"], (thread_id,))
        return bool(is_empty)

    def _remove_if_empty(self, thread_id: str) -> Plan[None]:
        """Remove a thread if it is empty, no transaction around it: its mark is there before it is
        looked at again. Who has added a document before is seen; who does so later sees the mark.
        """
        if (yield from self._is_empty(thread_id)):
            with suppress(RefusedError):  # somebody writes to it
                yield from self._holding([thread_id], self._purge_if_empty, thread_id)

    def _purge_if_empty(self, thread_id: str) -> Plan[None]:
        if (yield from self._is_empty(thread_id)):
            yield from self._logs.purge(Thread(thread_id, 0, 0, None, None))

    def _delete_checkpoints(self, gone: Sequence[Place]) -> Plan[None]:
        number = self._logs.new_epoch()
        places = [(str(key), ns, name) for key, ns, name in gone]
        carrying: set[tuple[str, str]] = set()
        for thread_id in {place[0] for place in places}:
            found = yield from documents(carriers(thread_id))
            carrying.update((thread_id, one["key"]) for one in found)
        ops = []
        for thread_id, ns, name in places:
            if (thread_id, checkpoint_key(ns, name)) in carrying:
                ops.append(reduction(thread_id, ns, name, number))
            else:
                ops.append(removal(thread_id, ns, name))
        yield from write_all(sorted(ops, key=lambda op: op.what is None))  # each kind: one command
        yield from write_all([Op(writes_of(*place)) for place in places])

    # ------------------------------------------------------------------ prune

    def prune(self, codec: Codec, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
        """Thin out threads: one transaction each."""
        for thread_id in thread_ids:
            if strategy == "delete":
                yield from self.delete_thread(thread_id)
            else:
                yield from self._exclusively([thread_id], self._keep_latest, codec, thread_id)

    def _delete_early_writes(self, key: ThreadKey, ns: str, checkpoint_id: str) -> Plan[None]:
        found = yield from documents(early_writes(str(key), ns, checkpoint_id))
        there = yield from rows(self._logs.queries["checkpoint_keys"], (key,))
        names = {name for space, name in there if space == ns}
        gone = [one["key"] for one in found if one["of"] not in names]
        yield from write_all([Op({"thread_id": key, "key": name}) for name in gone])

    # ------------------------------------------------------------------ copy

    def copy_thread(self, source: str, target: str) -> Plan[None]:
        """Copy a thread: one transaction."""
        if source != target and (yield from self._logs.find(source)) is not None:
            yield from self._exclusively(sorted((source, target)), self._copy, source, target)

    def _copy(self, source: str, target: str) -> Plan[None]:
        found = yield from documents(of_thread(source))
        original = self._logs.live(found)
        if original is None:
            return
        mark = found[0].get("held_by")  # nor is there one in a transaction
        guard, epoch = self._guard(target), self._logs.new_epoch()
        claim, *removal, _ = bury_thread(guard, epoch if mark is None else mark, None)
        there = yield from documents(of_thread(target))
        if self._logs.live(there) is not None:
            yield from self._refuse_foreign(source, target)
        lent = [] if mark is None else [lend_thread(self._guard(source))]
        if (yield from write_all([*lent, claim, *removal])) is None:
            raise RefusedError(target)
        copy = Thread(target, epoch, original.log_end, None, None)
        filling = self._fill(original, copy)
        yield from filling if mark is None else while_held(filling, [keep_thread(guard, mark)])

    def _fill(self, original: Thread, copy: Thread) -> Plan[None]:
        """Make a thread that was claimed the copy of another one."""
        yield from self._logs.copy_segments(original, copy)
        yield from self._copy_rest(original.key, copy)
        yield from self._revive(original, copy)

    def _refuse_foreign(self, source: str, target: str) -> Plan[None]:
        own = yield from self._named(source)
        foreign = sorted((yield from self._named(target)) - own)
        if foreign:
            raise InvalidArgumentError(
                f"target_thread_id: wanted a thread with nothing of its own, but {target!r} "
                f"has checkpoint {foreign[0][1]!r} or writes for it, which {source!r} has not"
            )

    def _named(self, thread_id: str) -> Plan[set[tuple[str, str]]]:
        """What checkpoints and writes of a thread name: (namespace, checkpoint id)."""
        keys = {"$gte": "c\0", "$lt": "cx"}
        found = yield from documents(
            [
                {"$match": {"thread_id": thread_id, "key": keys}},
                {"$project": {"_id": 0, "ns": 1, "checkpoint_id": 1, "of": 1}},
            ]
        )
        return {(one["ns"], one["of"] if "of" in one else one["checkpoint_id"]) for one in found}

    def _copy_rest(self, source: str, copy: Thread) -> Plan[None]:
        """Copy checkpoints, values and writes."""
        for first, end in (("b\0", "b\1"), ("cw\0", "cw\1"), ("c\0", "c\1")):
            last = first
            while True:
                found = yield from documents(
                    [
                        {"$match": {"thread_id": source, "key": {"$gt": last, "$lt": end}}},
                        {"$sort": {"key": 1}},
                        {"$limit": _COPIED_AT_ONCE},
                    ]
                )
                if not found:
                    break
                last = found[-1]["key"]
                yield from write_all([_copied(one, copy) for one in found])

    def _revive(self, original: Thread, copy: Thread) -> Plan[None]:
        """Make the copy a thread that is there."""
        now, target = self._logs.clock(), str(copy.key)
        fields: dict[str, Any] = {
            "thread_id": target,
            "key": THREAD,
            "ref": ref_of_thread(target),
            "created_at": now,
            "updated_at": now,
            "seek": recent_of(now, target),
            "epoch": copy.epoch,
            "log_end": original.log_end,
        }
        if original.ttl_override is not None:
            fields["ttl_override"] = original.ttl_override
        expires = self._logs.policy.expiry(now, original.ttl_override)
        if expires is not None:
            fields["expires_at"] = fields["tag"] = expires
        yield from write_all([Op({"thread_id": target, "key": THREAD}, fields)])


def _copied(document: Document, thread: Thread) -> Op:
    """The same document in another thread."""
    thread_id = str(thread.key)
    copy = {name: some for name, some in document.items() if name != "_id"}
    copy["thread_id"] = thread_id
    if "of" in copy:
        copy["ref"] = ref_of(thread_id, checkpoint_key(copy["ns"], copy["of"]))
    elif "values" in copy:
        copy["values"] = [_renamed(each, copy["ns"], thread_id) for each in copy["values"]]
        copy["ref"] = [each["ref"] for each in copy["values"]]
    if "checkpoint_id" in copy:
        copy["epoch"] = thread.epoch
        copy["seek"] = place_of(thread_id, copy["ns"], copy["checkpoint_id"])
    return Op({"thread_id": thread_id, "key": copy["key"]}, copy, upsert=True)


def _renamed(value: Document, ns: str, thread_id: str) -> dict[str, Any]:
    """The same value in a document of another thread."""
    ref = ref_of(thread_id, value_key(ns, value["channel"], value["version"]))
    return {**value, "ref": ref}
