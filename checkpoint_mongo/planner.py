"""The operations of a saver on MongoDB. See docs/adr/0007 for why they are what they are."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from checkpoint_base.codec import Codec
from checkpoint_base.config import Address, address, channel_name, config_of
from checkpoint_base.delta import histories
from checkpoint_base.known import KnownLog
from checkpoint_base.log import Prepared
from checkpoint_base.looking import looks_first
from checkpoint_base.plan import Plan, offload
from checkpoint_base.planner import FullPlanner, Listing, Page
from checkpoint_base.reading import Snapshot
from checkpoint_base.records import Stored, ValueKey
from checkpoint_base.sharing import THRESHOLD
from checkpoint_base.statements.logs import Thread
from checkpoint_base.touch import moved_if_possible
from checkpoint_base.ttl import TTLPolicy
from checkpoint_mongo.attempts import Attempt, Done, Storing
from checkpoint_mongo.documents import new_task_documents, part_of, task_documents
from checkpoint_mongo.keys import task_key
from checkpoint_mongo.landmarks import Landmarks
from checkpoint_mongo.log import Logs
from checkpoint_mongo.pipelines import (
    Guard,
    close_thread,
    of_thread,
    open_thread,
    read_clock,
)
from checkpoint_mongo.reading import Reading
from checkpoint_mongo.requests import (
    Add,
    Clock,
    Op,
    RefusedError,
    Written,
    add,
    documents,
    server,
    wait,
    write_all,
)
from checkpoint_mongo.setup import Setup
from checkpoint_mongo.statements import STATEMENTS
from checkpoint_mongo.threads import Threads

STALE: Final = 60.0
"""Seconds after which a write that never ended is taken for dead."""

_LARGE: Final = 1 << 24
"""A put of more bytes than this is no transaction, for which a server may have no room."""

_TRIES: Final = 2
"""How often a put is tried that others come before, until it takes its turn."""


def _nothing() -> Plan[None]:
    yield from ()


@looks_first(FullPlanner)
class MongoPlanner(Setup, Reading, Threads):
    """Plans for MongoDB. Copies of a saver share one planner, and with it what is known of logs.

    A put is tried on what is known of the thread's log. The first of its changes is the thread's
    own document, which refuses it, and with it all that follows, if that is not so any more.
    """

    backend = "mongo"
    _logs: Logs

    def __init__(
        self,
        policy: TTLPolicy,
        clock: Callable[[], float] = time.time,
        prefix: str = "",
        new_epoch: Callable[[], int] = lambda: secrets.randbits(63),
        stale: float = STALE,
        *,
        deduplicate: bool = True,
    ) -> None:
        self._prefix = prefix
        self._stale = stale
        self._landmarks = Landmarks()
        self._logs = Logs(STATEMENTS, policy, clock, new_epoch, deduplicate=deduplicate)

    def _guard(self, thread_id: str) -> Guard:
        return Guard(thread_id, self._logs.horizon, self._stale)

    # ------------------------------------------------------------------ put

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        """Store a checkpoint: one command, and for what is in the log the commit, where there are
        transactions.
        """
        put = codec.put(config, checkpoint, metadata, new_versions)
        to = put.checkpoint
        valued = {one.channel for one in put.values}
        bare = [name for name in map(channel_name, new_versions) if name not in valued]

        complete = partial(codec.completed, put, checkpoint)
        epoch: int | None = None
        if put.kept and to.parent_id is not None:
            epoch = self._landmarks.epoch_of(to.thread_id, (to.ns, to.parent_id))
        storing = partial(Storing.of, put, bare, complete)
        added = yield from self._add(storing(epoch))
        if not added:
            epoch = None if added is False else epoch  # it is not that one
            done = yield from self._store(storing(epoch, again=True), whole=True)
            if done.replaced:
                yield from self._collect(to.thread_id)
                self._landmarks.forget(to.thread_id)
                return config_of(to.thread_id, to.ns, to.checkpoint_id)
            epoch = done.epoch
        self._landmarks.put(to.thread_id, (to.ns, to.checkpoint_id), epoch)
        return config_of(to.thread_id, to.ns, to.checkpoint_id)

    def put_writes(
        self,
        codec: Codec,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]:
        """Store a task's writes: one command."""
        at = address(config, checkpoint=True)
        if not writes:
            return
        records = codec.writes(at.thread_id, writes, task_id, task_path)

        def made_of(prepared: Prepared, _epoch: int) -> list[Op]:
            return task_documents(at, records, prepared.stored)

        def new(prepared: Prepared, _epoch: int) -> list[Op]:
            return new_task_documents(at, records, prepared)

        several = len({part_of(one.idx) for one in records}) > 1
        what = Storing(at.thread_id, at.ttl, records, made_of)
        if (yield from self._add(what._replace(made_of=new))):
            return
        done = yield from self._store(what, whole=several)
        if not done.replaced:
            return
        special = any(one.idx < 0 for one in records)
        if done.appended or (special and (yield from self._replaced_large(at, records[0].task_id))):
            yield from self._collect(at.thread_id)

    def _add(self, what: Storing) -> Plan[bool | None]:
        """Add one document that needs nothing of the log, and then touch its thread. None: it is
        not one, or the thread is not known. False: it was there, or the thread is not there any
        more, or what it takes for granted may not be; what was added is to be stored again.
        """
        thread_id, ttl, records, made_of, granted = what
        if granted is not None and granted.epoch is None:
            return None
        epoch = None if granted is None else granted.epoch
        if any(len(one.value[1]) > THRESHOLD for one in records):
            return None
        known = self._logs.known.get(thread_id)
        if known is None:
            return None
        stored = [Stored(*one.value, None) for one in records]
        documents = made_of(Prepared(stored, None), self._epoch(thread_id, known.epoch))
        if len(documents) > 1:
            return None
        guard = self._guard(thread_id)
        clock = Clock(self._logs.clock(), ttl, self._logs.policy.default_ttl)
        touch = open_thread(guard, clock, None, None, "", epoch=epoch)._replace(upsert=False)
        return (yield from add(Add(documents[0], touch, clock, guard.horizon, epoch)))

    def _epoch(self, thread_id: str, supposed: int) -> int:
        """The epoch of a thread, which nobody compares; who reads what says another looks twice."""
        read = self._landmarks.epoch(thread_id)
        return supposed if read is None else read

    def _store(self, what: Storing, *, whole: bool) -> Plan[Done]:
        """Store values and the documents that have them."""
        thread_id = what.thread_id
        found = yield from server()
        whole = whole and found.has_transactions
        mark = f"{self._logs.new_epoch():x}"
        attempt = self._first(what) or (yield from self._again(what))
        written = yield from self._try(attempt, mark, whole=whole)
        tries = count(1)
        while written is None:
            tried = next(tries)
            if tried > _TRIES and found.has_transactions:
                # a command that an error ended in the middle may have left it
                yield from write_all([close_thread(self._guard(thread_id), mark)])
                turn = self._exclusively([thread_id], self._in_turn, what)
                attempt, written = yield from turn
                break
            yield from wait(tried, [thread_id])
            attempt = yield from self._again(what)
            written = yield from self._try(attempt, mark, whole=whole)
        epoch = attempt.epoch
        if 0 in written.made:
            epoch = attempt.thread.epoch
            self._logs.known.put(thread_id, epoch, 0, ())
            self._landmarks.forget(thread_id)
        self._logs.committed(thread_id, attempt.prepared)
        first = 1 + len(attempt.segments)
        made = range(first, first + len(attempt.documents))
        return Done(bool(attempt.segments), not written.made.issuperset(made), epoch)

    def _first(self, what: Storing) -> Attempt | None:
        """What can be tried on what is known of the thread; perhaps there is none. None: whether
        all is there that is taken for granted, has to be looked at first.
        """
        thread_id, ttl, records, made_of, granted = what
        if granted is not None and granted.epoch is None:
            return None
        epoch = self._logs.new_epoch()
        prepared = self._logs.prepare(thread_id, records, KnownLog(epoch, 0))
        assert prepared is not None  # noqa: S101 (there is a log to take it for)
        log = prepared.appender
        makes = granted is None and (log is None or not log.shares or log.epoch == epoch)
        thread = Thread(thread_id, epoch, 0, None, ttl, is_new=makes)
        compared = epoch if log is None or makes else log.epoch
        attempt = Attempt.of(thread, prepared, made_of, self._epoch(thread_id, compared))
        return attempt if granted is None else attempt._replace(epoch=granted.epoch, compared=True)

    def _again(self, what: Storing, *, held: bool = False) -> Plan[Attempt]:
        """What can be tried on the thread as it is now; `held`: in a transaction that has it."""
        logs, thread_id = self._logs, what.thread_id
        there = yield from documents(of_thread(thread_id))
        if there and "held_at" in there[0] and not there[0].get("dead") and not held:
            # until it is released, or its holder has been dead for long: then the epoch is new
            yield from self._exclusively([thread_id], _nothing)
            there = yield from documents(of_thread(thread_id))
        thread = logs.live(there)
        if thread is None:
            if there:  # what an expired one had is gone
                yield from (self._clear(there[0]) if held else self._bury(thread_id, logs.horizon))
            thread = Thread(thread_id, logs.new_epoch(), 0, None, None, is_new=True)
        what = yield from self._whole_put(what, thread)
        newest = partial(logs.newest, thread)
        prepared = yield from logs.fit(
            thread_id, thread.epoch, thread.log_end, None, what.records, newest=newest
        )
        thread = thread._replace(ttl_override=what.ttl)
        attempt = Attempt.of(thread, prepared, what.made_of, thread.epoch)
        return attempt._replace(epoch=thread.epoch, compared=what.granted is not None)

    def _whole_put(self, what: Storing, thread: Thread) -> Plan[Storing]:
        """With what is missing of that which it takes for granted."""
        granted = what.granted
        if granted is None:
            return what
        there: set[ValueKey] = set()
        if not thread.is_new:
            there = yield from self._stored(what.thread_id, granted.ns, granted.keys)
        missing = [key for key in granted.keys if key not in there]
        if not missing:
            return what
        yield from offload()  # what is missing is serialized
        return granted.completed(missing)

    def _in_turn(self, what: Storing) -> Plan[tuple[Attempt, Written]]:
        """Look and store, while nobody else writes to the thread."""
        attempt = yield from self._again(what, held=True)
        written = yield from write_all(self._opened(attempt, ""))
        if written is None:
            raise RefusedError(what.thread_id)
        return attempt, written

    def _try(self, attempt: Attempt, mark: str, *, whole: bool) -> Plan[Written | None]:
        size = sum(len(op.what["data"]) for op in attempt.segments if isinstance(op.what, dict))
        whole = whole and size <= _LARGE
        ops = self._opened(attempt, "" if whole else mark)
        return (yield from write_all(ops, whole=whole))

    def _opened(self, attempt: Attempt, mark: str) -> list[Op]:
        """The changes, behind the one that lets them in; and, where there is no transaction,
        before the one that says that they are done.
        """
        thread, logs, log = attempt.thread, self._logs, attempt.prepared.appender
        guard = self._guard(thread.key)
        needed = (log.epoch, log.begin, log.end) if log is not None and log.shares else None
        clock = Clock(logs.clock(), thread.ttl_override, logs.policy.default_ttl)
        new_epoch = thread.epoch if thread.is_new else None
        compared = attempt.epoch if attempt.compared else None
        opened = open_thread(guard, clock, needed, new_epoch, mark, epoch=compared)
        ops = [opened, *attempt.segments, *attempt.documents]
        return [*ops, close_thread(guard, mark)] if mark else ops

    def _replaced_large(self, at: Address, task_id: str) -> Plan[bool]:
        key = task_key(at.namespace, at.checkpoint_id or "", task_id, 0)
        found = yield from documents([{"$match": {"thread_id": at.thread_id, "key": key}}])
        return any(one.get("replaced") for one in found)

    # ------------------------------------------------------------------ read

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """One checkpoint: two commands, and another for what is in the log."""
        at = address(config)
        for attempt in count():
            snapshot = yield from self._read(at)
            if snapshot is None:
                return None
            found = yield from self._decoded(snapshot, attempt, snapshot.decoded(codec))
            if found is not None:
                yield from self._refresh(at.thread_id, snapshot)
                return found[0]
        return None

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        """Some checkpoints: as `get_tuple`, or more where a filter lets through too much."""
        for attempt in count():
            snapshot, rest = yield from self._page(codec, listing)
            tuples = yield from self._decoded(snapshot, attempt, snapshot.decoded(codec))
            if tuples is None:
                continue
            if listing.thread_id is not None:
                yield from self._refresh(listing.thread_id, snapshot)
            return Page(tuples, rest)
        raise AssertionError

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """What DeltaChannels are rebuilt from, in a few commands."""
        at = address(config)
        gathered = None
        if channels:
            gathered = yield from self._gather(at, channels)
        if gathered is None:
            return {channel: {"writes": []} for channel in channels}
        target, line, snapshot = gathered
        yield from self._refresh(at.thread_id, snapshot)
        return (yield from histories(codec, target, line, snapshot, channels))

    def _refresh(self, thread_id: str, snapshot: Snapshot) -> Plan[None]:
        logs = self._logs
        if snapshot.expiry and logs.policy.refresh_on_read:
            clock = Clock(logs.clock(), None, logs.policy.default_ttl)
            refresh = write_all([read_clock(self._guard(thread_id), clock)])
            yield from moved_if_possible(refresh, f"thread {thread_id!r}")
