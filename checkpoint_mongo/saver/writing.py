"""Storing checkpoints and pending writes: one command and the commit.

A write is first prepared from this process's cache of the thread, and assumes that all its
documents are new. If that is wrong, the transaction is aborted, and a second one first reads what
is stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from checkpoint_base.dedup.index import ChunkIndex, ChunkIndexCache, LruCache
from checkpoint_base.dedup.segments import THRESHOLD
from checkpoint_base.dedup.writer import EncodedValues, garbage_of
from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.config import Address
from checkpoint_base.saver.records.channel_cache import Channels, LogState
from checkpoint_base.saver.records.checksums import new_salt
from checkpoint_base.saver.records.drafts import Draft
from checkpoint_base.saver.records.kinds import (
    ChannelRecord,
    CheckpointRecord,
    PutRecord,
    ValueKey,
    WriteRecord,
)
from checkpoint_base.saver.records.versions import parse_versions
from checkpoint_base.sql.logs import Thread
from checkpoint_mongo.connection.requests import (
    Find,
    Op,
    RefusedError,
    documents,
    find,
    pause,
    server,
    write_all,
    write_guarded,
    write_thread,
)
from checkpoint_mongo.saver.documents import as_new, put_ops, thread_op, touch_op, write_ops
from checkpoint_mongo.saver.keys import checkpoint_key, parts_of, value_key, writes_key
from checkpoint_mongo.saver.segments import MongoDedupWriter

THREADS: Final = 50_000
"""Limit of threads whose documents are cached: about 20 MB."""

_LARGE: Final = 1 << 25
"""Bytes. A write with larger segments is several transactions."""
_SEGMENTS: Final = 64  # segments in a command of such a write, of up to 256 KiB each

FindRow = Callable[[Thread, str, str], Plan[CheckpointRecord | None]]
"""Reads a checkpoint of a thread, by namespace and id."""


class StoredThread(NamedTuple):
    """What a transaction has stored, to update the caches after the commit."""

    thread: Thread
    prepared: EncodedValues
    work: ThreadWork
    is_whole: bool = True
    """False: it has only reserved room in the log; the segments are stored in further steps"""


GarbageOf = Callable[[EncodedValues], int]
"""Estimates the bytes that a write with these values leaves unreferenced."""


class ThreadWork(ABC):
    """What one call stores in one thread.

    Attributes:
        thread_id: the thread.
        size: bytes of the new values.
        ttl: time to live in minutes that this run asks for; None: the thread's own stays.
        log: the state of the log when values that this work relies on were known to be stored;
            None: it relies on no stored values.
        may_repeat: whether storing a document that exists changes nothing and leaves no garbage.
    """

    thread_id: str
    size: int
    ttl: float | None
    log: LogState | None = None
    may_repeat = False

    @property
    def needs_thread(self) -> bool:
        """Whether the work relies on the stored thread, and so cannot create it."""
        return False

    @property
    @abstractmethod
    def records(self) -> Sequence[ChannelRecord]:
        """The records whose values may go to the thread's log."""

    @abstractmethod
    def ops(self, thread: Thread, prepared: EncodedValues) -> list[Op]:
        """The changes, except that of the thread's document."""

    @abstractmethod
    def early(self, cache: ChunkIndexCache) -> ThreadWork | None:
        """The work, completed from the cache of the thread; None: the cache lacks something."""

    @abstractmethod
    def revised(self, thread: Thread, find_row: FindRow) -> Plan[tuple[ThreadWork, GarbageOf]]:
        """The work, completed from what is stored, and the garbage that it leaves."""

    def note(self, logs: MongoDedupWriter, prepared: EncodedValues) -> None:
        """Update the caches after the commit."""
        logs.committed(self.thread_id, prepared)


class PutWork(ThreadWork):
    """Stores a checkpoint.

    Args:
        draft: the put.
        put: the draft completed from its parent; None: not completed yet.
        log: the state of the log when the parent's values that the put keeps were known to be
            stored.
    """

    def __init__(
        self, draft: Draft, put: PutRecord | None = None, log: LogState | None = None
    ) -> None:
        self._draft, self._put, self.log = draft, put, log
        self.thread_id, self.ttl = draft.checkpoint.thread_id, draft.ttl
        self.size = sum(len(record.value[1]) for record in draft.new)

    @property
    def needs_thread(self) -> bool:
        return self._draft.needs_parent

    @property
    def put(self) -> PutRecord:
        """The completed put."""
        assert self._put is not None  # noqa: S101 (`early` or `revised` has set it)
        return self._put

    @property
    def records(self) -> Sequence[ChannelRecord]:
        return self.put.values

    def ops(self, thread: Thread, prepared: EncodedValues) -> list[Op]:
        return put_ops(thread, self.put, prepared)

    def early(self, cache: ChunkIndexCache) -> ThreadWork | None:
        draft, to = self._draft, self._draft.checkpoint
        parent = None
        if draft.needs_parent:
            salt = cache.salts.get(to.thread_id)
            parent = cache.channels.get(to.thread_id, to.ns, to.parent_id, salt)
            if parent is None:
                return None
        put = draft.complete(parent)
        if not put.kept:
            return PutWork(draft, put)
        # the guard of `_store_known` compares the thread's log with that of the parent
        log = None if parent is None else parent.log
        if parent is None or log is None or not parent.has_records(put.kept, log):
            return None
        return PutWork(draft, put, log)

    def revised(self, thread: Thread, find_row: FindRow) -> Plan[tuple[ThreadWork, GarbageOf]]:
        draft, to = self._draft, self._draft.checkpoint
        parent, before, stored = None, set[ValueKey](), dict[ValueKey, tuple[int, bytes | None]]()
        if not thread.is_new:
            if draft.needs_parent and to.parent_id is not None:
                record = yield from find_row(thread, to.ns, to.parent_id)
                parent = Channels.of(record) if record is not None else None
            own = {"thread_id": thread.key, "key": checkpoint_key(to.ns, to.checkpoint_id)}
            for replaced in (yield from find(Find(own, {"_id": 0, "versions": 1}))):
                before = {*parse_versions(replaced["versions"]).with_records()}
            stored = yield from _stored(thread, to.ns, {*before, *to.versions.items()})
        put = draft.complete(parent)
        if lost := [key for key in put.kept if key not in stored]:
            yield from offload()  # serializes the lost values again
            put = draft.complete(parent, lost)
        new = [(record.channel, record.version) for record in put.values]
        # an estimate: another checkpoint may also have them, which a collection checks
        gone = [stored[key] for key in before - {*put.kept, *new} if key in stored]

        def left_by(prepared: EncodedValues) -> int:
            replaced = sum(
                garbage_of(stored[key][1], value.layout)
                for key, value in zip(new, prepared.stored, strict=True)
                if key in stored
            )
            return replaced + sum(size + garbage_of(layout) for size, layout in gone)

        return PutWork(draft, put), left_by

    def note(self, logs: MongoDedupWriter, prepared: EncodedValues) -> None:
        logs.put_committed(self.put, prepared)


def _stored(
    thread: Thread, ns: str, values: Iterable[ValueKey]
) -> Plan[dict[ValueKey, tuple[int, bytes | None]]]:
    """(inline bytes, layout) of each of these values that has a record."""
    keys = sorted(value_key(ns, *key) for key in values)
    if not keys:
        return {}
    size = {"_id": 0, "key": 1, "layout": 1, "size": {"$binarySize": "$data"}}
    where = {"thread_id": thread.key, "key": {"$in": keys}}
    stored: dict[ValueKey, tuple[int, bytes | None]] = {}
    for value in (yield from documents([{"$match": where}, {"$project": size}])):
        _, channel, version = parts_of(value["key"])
        stored[channel, version] = value["size"], value.get("layout")
    return stored


class WritesWork(ThreadWork):
    """Stores a task's pending writes."""

    def __init__(self, at: Address, records: Sequence[WriteRecord]) -> None:
        self._at, self._records = at, records
        self.thread_id, self.ttl = at.thread_id, at.ttl
        sizes = [len(record.value[1]) for record in records]
        self.size, is_small = sum(sizes), all(size <= THRESHOLD for size in sizes)
        self.may_repeat = is_small and all(record.idx >= 0 for record in records)

    @property
    def records(self) -> Sequence[ChannelRecord]:
        return self._records

    def early(self, cache: ChunkIndexCache) -> ThreadWork | None:  # noqa: ARG002
        return self

    def ops(self, thread: Thread, prepared: EncodedValues) -> list[Op]:
        return write_ops(thread, self._at, self._records, prepared)

    def revised(self, thread: Thread, find_row: FindRow) -> Plan[tuple[ThreadWork, GarbageOf]]:  # noqa: ARG002
        before: dict[int, bytes | None] = {}
        if not thread.is_new and not self.may_repeat:
            key = writes_key(self._at.namespace, self._at.checkpoint_id or "")
            own = {"thread_id": thread.key, "key": key}
            fields = {"_id": 0, "task_id": 1, "idx": 1, "layout": 1}
            for document in (yield from find(Find(own, fields))):
                if document["task_id"] == self._records[0].task_id:
                    before[document["idx"]] = document.get("layout")
        # a stored regular write is not replaced, so the new one needs no segments
        new = [record for record in self._records if record.idx < 0 or record.idx not in before]
        revised = self if len(new) == len(self._records) else WritesWork(self._at, new)

        def left_by(prepared: EncodedValues) -> int:
            pairs = zip(new, prepared.stored, strict=True)
            return sum(garbage_of(before.get(one.idx), value.layout) for one, value in pairs)

        return revised, left_by


class MongoWriting:
    """Plans that store checkpoints and pending writes."""

    _logs: MongoDedupWriter
    _threads: LruCache[str, Thread | None]

    def _store(self, work: ThreadWork) -> Plan[None]:
        may_guess = (yield from server()).has_transactions
        for tries in count():
            try:
                stored = yield from write_thread(work.thread_id, self._attempt, work, may_guess)
            except RefusedError:
                self._threads.put(work.thread_id, None)
                if not may_guess:
                    yield from pause(tries)
                may_guess = False
                continue
            if stored.is_whole or (yield from self._store_in_steps(stored)):
                return self._learn(stored)

    def _attempt(self, work: ThreadWork, may_guess: bool) -> Plan[StoredThread]:
        """Store from the cache of the thread if it suffices, or else read the thread first."""
        if may_guess:
            yield from offload(work.size)
            if (known := self._guess(work)) is not None:
                return (yield from self._store_known(*known))
        return (yield from self._store_looking(work))

    def _store_in_steps(self, stored: StoredThread) -> Plan[bool]:
        """Store what is too large for one transaction, which the server keeps in its cache. The log
        has room reserved for the segments. Nothing refers to them before the last step.

        Returns:
            False if segments were removed meanwhile, and the write must start over.
        """
        thread, prepared, work, _ = stored
        ops = work.ops(thread, prepared)
        count = len(prepared.segments)
        for at in range(0, count, _SEGMENTS):
            yield from write_all(ops[at : min(at + _SEGMENTS, count)])
        last = write_thread(thread.key, self._store_rest, thread, work, ops[count:])
        try:
            yield from last
        except RefusedError:  # the generation has changed: segments were removed meanwhile
            return False
        return True

    def _store_rest(self, thread: Thread, work: ThreadWork, ops: Sequence[Op]) -> Plan[None]:
        guard = {"salt": thread.salt, "generation": thread.epoch}
        yield from write_guarded([self._touch(thread, work, None, guard), *ops])

    def _learn(self, stored: StoredThread) -> None:
        thread, prepared, work, _ = stored
        end = prepared.end(thread.log_end)
        if not end:
            self._logs.known.put(thread.key, thread.epoch, 0, ())
        log = LogState(thread.epoch, end)
        work.note(self._logs, prepared._replace(salt=thread.salt, log=log))
        self._threads.put(thread.key, thread._replace(is_new=False, log_end=end))

    # ------------------------------------------------------------------ from the cache

    def _guess(self, work: ThreadWork) -> tuple[Thread, EncodedValues, ThreadWork] | None:
        """The thread from the cache, and the values encoded for it; None: read the thread first."""
        made = work.early(self._logs.known)
        thread, unknown = self._threads.get(work.thread_id), None
        if made is None:
            return None
        if thread is None:
            if made.needs_thread:
                return None
            thread = self._logs.new_thread(work.thread_id, work.ttl, 0, new_salt())
            unknown = ChunkIndex(thread.epoch, 0)
            self._logs.known.forget(work.thread_id)
        prepared = self._logs.prepare(work.thread_id, made.records, unknown)
        if prepared is None or prepared.appended > _LARGE:
            return None
        log = made.log or LogState(thread.epoch, 0)
        if prepared.shares and not (
            prepared.epoch == thread.epoch == log.epoch and log.end <= prepared.begin
        ):
            return None
        return thread, prepared, made

    def _store_known(
        self, thread: Thread, prepared: EncodedValues, work: ThreadWork
    ) -> Plan[StoredThread]:
        now, ops = self._logs.clock(), work.ops(thread, prepared)
        if thread.is_new:
            first = thread._replace(log_end=prepared.end(0))
            yield from write_all([thread_op(first, now), *map(as_new, ops)])
            return StoredThread(thread, prepared, work)
        guard: dict[str, Any] = {"salt": thread.salt, "ttl_override": thread.ttl_override}
        # `$not` also matches a thread that never expires, whose document lacks the field
        guard["expires_at"] = {"$not": {"$lte": self._logs.horizon}}
        size = None
        if work.log is not None:
            # In the same generation no value was removed. A log that is shorter than it was means
            # that the database was restored from a backup.
            guard |= {"generation": work.log.epoch, "log_size": {"$gte": work.log.end}}
        if prepared.shares:
            guard |= {"generation": thread.epoch, "log_size": prepared.begin}
            size = prepared.end(thread.log_end)
        written = yield from write_guarded([self._touch(thread, work, size, guard), *ops])
        if not work.may_repeat and len(written.made) < len(ops):
            raise RefusedError  # a document was replaced: retry, and count its bytes as garbage
        return StoredThread(self._with_ttl(thread, work), prepared, work)

    def _touch(
        self,
        thread: Thread,
        work: ThreadWork,
        size: int | None,
        guard: dict[str, Any],
        garbage: int = 0,
    ) -> Op:
        ttl = self._with_ttl(thread, work).ttl_override
        now = self._logs.clock()
        return touch_op(
            thread._replace(ttl_override=ttl, expires_at=self._logs.policy.expiry(now, ttl)),
            now,
            size,
            guard,
            garbage,
        )

    @staticmethod
    def _with_ttl(thread: Thread, work: ThreadWork) -> Thread:
        return thread if work.ttl is None else thread._replace(ttl_override=work.ttl)

    # ------------------------------------------------------------------ after reading the thread

    def _store_looking(self, work: ThreadWork) -> Plan[StoredThread]:
        logs = self._logs
        thread = yield from logs.open(work.thread_id, work.ttl)
        work, left_by = yield from work.revised(thread, self._row)
        prepared = yield from logs.fit_thread(thread, work.records)
        # without transactions, another process may have written since the thread was read
        guard = {"salt": thread.salt, "generation": thread.epoch, "log_size": thread.log_end}
        size = prepared.end(thread.log_end)
        touch = self._touch(thread, work, size, guard, left_by(prepared))
        is_whole = prepared.appended <= _LARGE
        yield from write_guarded([touch, *(work.ops(thread, prepared) if is_whole else ())])
        return StoredThread(self._with_ttl(thread, work), prepared, work, is_whole)

    @abstractmethod
    def _row(self, thread: Thread, ns: str, checkpoint_id: str) -> Plan[CheckpointRecord | None]:
        """Read a checkpoint, None if it does not exist."""
