"""The planner of the savers on MongoDB. docs/adr/0007 gives the reasons for its design."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from checkpoint_base.dedup.index import LruCache
from checkpoint_base.lifecycle.setup_check import requires_setup
from checkpoint_base.plan import Plan, read
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import Address, address, config_of
from checkpoint_base.saver.delta import Lineage, histories
from checkpoint_base.saver.planner import FullPlanner, Listing, Page
from checkpoint_base.saver.records.snapshot import CheckpointRow, ReadSnapshot
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.sql.logs import Thread
from checkpoint_base.sql.rows import ThreadRows
from checkpoint_mongo.saver.segments import MongoDedupWriter
from checkpoint_mongo.saver.setup import MongoSetup
from checkpoint_mongo.saver.statements import STATEMENTS
from checkpoint_mongo.saver.threads import MongoThreads
from checkpoint_mongo.saver.writing import THREADS, MongoWriting, PutWork, WritesWork


@requires_setup(FullPlanner)
class MongoPlanner(MongoSetup, MongoThreads, MongoWriting):
    """The plans of a saver on MongoDB. Copies of a saver share one planner, and its caches.

    Args:
        policy: time to live of threads.
        clock: returns epoch seconds.
        new_epoch: returns a random generation for a thread.
        deduplicate: share equal chunks of a thread's large values.
    """

    backend = "mongo"
    _logs: MongoDedupWriter

    def __init__(
        self,
        policy: TTLPolicy,
        clock: Callable[[], float] = time.time,
        new_epoch: Callable[[], int] = lambda: secrets.randbits(63),
        *,
        deduplicate: bool = True,
    ) -> None:
        self._logs = MongoDedupWriter(STATEMENTS, policy, clock, new_epoch, deduplicate=deduplicate)
        self._threads = LruCache[str, Thread | None](THREADS)

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        """Store a checkpoint: one transaction of one command."""
        draft = codec.draft(config, checkpoint, metadata, new_versions)
        yield from self._store(PutWork(draft))
        to = draft.checkpoint
        return config_of(to.thread_id, to.ns, to.checkpoint_id)

    def put_writes(
        self,
        codec: Codec,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]:
        """Store a task's writes: one transaction of one command."""
        at = address(config, checkpoint=True)
        if writes:
            yield from self._store(
                WritesWork(at, codec.writes(at.thread_id, writes, task_id, task_path))
            )

    # ------------------------------------------------------------------ read

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """Read one checkpoint with its values and pending writes: two commands in one snapshot,
        three if a value is in the log; and a write if the expiry is refreshed.
        """
        at = address(config)
        snapshot = yield from read(self._whole, at)
        if snapshot is None:
            return None
        yield from self._refresh(at.thread_id, snapshot)
        tuples = yield from snapshot.decoded(codec)
        return tuples[0]

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """Read what DeltaChannels are rebuilt from: one snapshot, however long the chain."""
        at = address(config)
        gathered = None
        if channels:
            gathered = yield from read(self._gather, at, channels)
        if gathered is None:
            return {channel: {"writes": []} for channel in channels}
        target, line, snapshot = gathered
        yield from self._refresh(at.thread_id, snapshot)
        return (yield from histories(codec, target, line, snapshot, channels))

    def _gather(
        self, at: Address, channels: Sequence[str]
    ) -> Plan[tuple[CheckpointRow, Lineage, ReadSnapshot] | None]:
        target = yield from self._find(at)
        if target is None:
            return None
        thread, ns = target.thread, target.record.ns
        checked = ThreadRows(target.record.thread_id, target.salt)
        line = yield from self._lineage(checked, thread, ns, target.record.checkpoint_id, channels)
        yield from self._read_embedded(checked, thread, ns, line)
        snapshot = ReadSnapshot([target])
        keys = [(thread, ns, *key) for key in line.seeds.values()]
        places = [(thread, ns, ancestor) for ancestor in line.needed]
        yield from self._load(snapshot, keys, places)
        return target, line, snapshot

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        """Read some checkpoints: four commands at most, in one snapshot; more with a filter."""
        snapshot, rest = yield from read(self._page, codec, listing)
        if listing.thread_id is not None:
            yield from self._refresh(listing.thread_id, snapshot)
        tuples = yield from snapshot.decoded(codec)
        return Page(tuples, rest)
