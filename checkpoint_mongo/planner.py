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
from checkpoint_base.config import Address, address, config_of
from checkpoint_base.delta import histories
from checkpoint_base.known import KnownLog
from checkpoint_base.log import Prepared
from checkpoint_base.plan import Plan
from checkpoint_base.planner import Listing, Page
from checkpoint_base.reading import Snapshot
from checkpoint_base.records import Typed
from checkpoint_base.sql.logs import Thread
from checkpoint_base.ttl import TTLPolicy
from checkpoint_mongo.documents import (
    checkpoint_document,
    part_of,
    segment_document,
    task_documents,
    value_documents,
)
from checkpoint_mongo.keys import task_key
from checkpoint_mongo.log import Logs
from checkpoint_mongo.pipelines import Clock, Guard, close_thread, open_thread, read_clock
from checkpoint_mongo.reading import Reading
from checkpoint_mongo.requests import Op, documents, pause, server, write_all
from checkpoint_mongo.selecting import exactly, newest_of
from checkpoint_mongo.setup import Setup
from checkpoint_mongo.statements import STATEMENTS
from checkpoint_mongo.threads import Threads

STALE: Final = 60.0
"""Seconds after which a write that never ended is taken for dead."""

_LARGE: Final = 1 << 24
"""A put of more bytes than this is no transaction, for which a server may have no room."""

Documents = Callable[[Prepared], list[Op]]


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
    ) -> None:
        self._prefix = prefix
        self._stale = stale
        self._logs = Logs(STATEMENTS, policy, clock, new_epoch)

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
        """Store a checkpoint: one command, and the commit where there are transactions."""
        put = codec.put(config, checkpoint, metadata, new_versions)
        to = put.checkpoint

        def made_of(prepared: Prepared) -> list[Op]:
            return [*value_documents(put, prepared.stored), checkpoint_document(put)]

        values = [one.value for one in put.values]
        _, replaced = yield from self._store(to.thread_id, put.ttl, values, made_of, whole=True)
        if replaced:
            yield from self._collect(to.thread_id)
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
        records = codec.writes(writes, task_id, task_path)

        def made_of(prepared: Prepared) -> list[Op]:
            return task_documents(at, records, prepared.stored)

        values = [one.value for one in records]
        several = len({part_of(one.idx) for one in records}) > 1
        appended, replaced = yield from self._store(
            at.thread_id, at.ttl, values, made_of, whole=several
        )
        if not replaced:
            return
        special = any(one.idx < 0 for one in records)
        if appended or (special and (yield from self._replaced_large(at, records[0].task_id))):
            yield from self._collect(at.thread_id)

    def _store(
        self,
        thread_id: str,
        ttl: float | None,
        values: Sequence[Typed],
        made_of: Documents,
        *,
        whole: bool,
    ) -> Plan[tuple[bool, bool]]:
        """Store values and the documents that have them; whether segments were appended, and
        whether any of the documents was there.
        """
        found = yield from server()
        epoch = self._logs.new_epoch()
        prepared = self._logs.prepare(thread_id, values, KnownLog(epoch, 0))
        assert prepared is not None  # noqa: S101 (there is a log to take it for)
        log = prepared.appender
        makes = log is None or not log.shares or log.epoch == epoch
        thread = Thread(thread_id, epoch, log.begin if log else 0, None, None, is_new=makes)
        attempts = count()
        written = None
        while written is None:
            made = made_of(prepared)
            segments = [segment_document(thread_id, each) for each in prepared.segments]
            large = sum(len(each.data) for each in prepared.segments) > _LARGE
            is_whole = whole and found.has_transactions and not large
            ops = self._opened(thread, ttl, prepared, [*segments, *made], whole=is_whole)
            written = yield from write_all(ops, whole=is_whole)
            if written is None:
                yield from pause(next(attempts))
                thread, prepared = yield from self._look(thread_id, values)
        if 0 in written.made:
            self._logs.known.put(thread_id, thread.epoch, 0, ())
        self._logs.committed(thread_id, prepared)
        first = 1 + len(segments)
        replaced = not written.made.issuperset(range(first, first + len(made)))
        return bool(segments), replaced

    def _opened(
        self,
        thread: Thread,
        ttl: float | None,
        prepared: Prepared,
        ops: Sequence[Op],
        *,
        whole: bool,
    ) -> list[Op]:
        """These changes, behind the one that lets them in; and, where there is no transaction,
        before the one that says that they are done.
        """
        guard, logs = self._guard(thread.key), self._logs
        log = prepared.appender
        needed = (log.epoch, log.begin, log.end) if log is not None and log.shares else None
        clock = Clock(logs.clock(), ttl, logs.policy.default_ttl)
        mark = "" if whole else f"{logs.new_epoch():x}"
        new_epoch = thread.epoch if thread.is_new else None
        opened = open_thread(guard, clock, needed, new_epoch, mark)
        return [opened, *ops, close_thread(guard, mark)] if mark else [opened, *ops]

    def _look(self, thread_id: str, values: Sequence[Typed]) -> Plan[tuple[Thread, Prepared]]:
        """The thread as it is now, and the values prepared for it."""
        logs = self._logs
        thread = yield from logs.find(thread_id)
        if thread is None:
            yield from self._bury(thread_id, logs.horizon)  # what an expired one had is gone
            thread = Thread(thread_id, logs.new_epoch(), 0, None, None, is_new=True)
        prepared = yield from logs.fit(
            thread_id,
            thread.epoch,
            thread.log_end,
            None,
            values,
            newest=partial(logs.newest, thread),
        )
        return thread, prepared

    def _replaced_large(self, at: Address, task_id: str) -> Plan[bool]:
        key = task_key(at.namespace, at.checkpoint_id or "", task_id, 0)
        found = yield from documents([{"$match": {"thread_id": at.thread_id, "key": key}}])
        return any(one.get("replaced") for one in found)

    # ------------------------------------------------------------------ read

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """One checkpoint: one command, and another for what is in the log."""
        at = address(config)
        snapshot = yield from self._read(at.thread_id, self._selecting(at))
        if snapshot is None:
            return None
        yield from self._refresh(at.thread_id, snapshot)
        found = yield from snapshot.decoded(codec)
        return found[0]

    @staticmethod
    def _selecting(at: Address) -> Any:
        if at.checkpoint_id is None:
            return newest_of(at.thread_id, at.namespace)
        return exactly(at.thread_id, at.namespace, at.checkpoint_id)

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        """Some checkpoints: as `get_tuple`, or more where a filter lets through too much."""
        snapshot, rest = yield from self._page(codec, listing)
        if listing.thread_id is not None:
            yield from self._refresh(listing.thread_id, snapshot)
        tuples = yield from snapshot.decoded(codec)
        return Page(tuples, rest)

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """What DeltaChannels are rebuilt from, in a few commands."""
        at = address(config)
        gathered = None
        if channels:
            gathered = yield from self._gather(at.thread_id, self._selecting(at), channels)
        if gathered is None:
            return {channel: {"writes": []} for channel in channels}
        target, line, snapshot = gathered
        yield from self._refresh(at.thread_id, snapshot)
        return histories(codec, target, line, snapshot, channels)

    def _refresh(self, thread_id: str, snapshot: Snapshot) -> Plan[None]:
        logs = self._logs
        if snapshot.expires and logs.policy.refresh_on_read:
            clock = Clock(logs.clock(), None, logs.policy.default_ttl)
            yield from write_all([read_clock(self._guard(thread_id), clock)])
