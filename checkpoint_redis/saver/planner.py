"""The planner of the savers on Redis. Operations that a running graph waits for are one script."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from checkpoint_base.dedup.index import CACHED_SALTS, LruCache
from checkpoint_base.dedup.writer import DedupWriter
from checkpoint_base.lifecycle.setup_check import requires_setup
from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import address, config_of
from checkpoint_base.saver.delta import histories
from checkpoint_base.saver.pagination import paginate, prefilter_terms
from checkpoint_base.saver.planner import FullPlanner, Listing, Page
from checkpoint_base.saver.records.channel_cache import Channels
from checkpoint_base.saver.records.drafts import Draft
from checkpoint_base.saver.records.kinds import PutRecord, Stored, ValueKey
from checkpoint_base.saver.records.snapshot import CheckpointRow, ReadSnapshot, SnapshotSet
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_redis.connection.requests import Arg
from checkpoint_redis.saver.keys import KeyNames
from checkpoint_redis.saver.list_all import ListAll
from checkpoint_redis.saver.packing import (
    pack_checkpoint,
    pack_value,
    pack_write,
    value_name,
    with_checksum,
    write_name,
)
from checkpoint_redis.saver.reading import found_in, lineage_of, salt_of, wanted
from checkpoint_redis.saver.registry import Registry
from checkpoint_redis.saver.schema import expect_schema, schema_version
from checkpoint_redis.saver.writing import Storing

SCHEMA: Final = 1
"""Version of the stored format."""

PAGE_BYTES: Final = 8 << 20
"""Bytes after which a script that reads a page stops; the plan calls it again."""
PAGE_LOOKED_AT: Final = 2_000
"""Checkpoints after which it stops, whether the filter matched them or not."""


@requires_setup(FullPlanner)
class RedisPlanner(ListAll):
    """The plans of a saver on Redis. Copies of a saver share one planner, and its caches.

    Args:
        policy: time to live of threads.
        clock: returns epoch seconds.
        prefix: all keys begin with it.
        new_epoch: returns a random generation for a thread.
        deduplicate: share equal chunks of a thread's large values.
    """

    backend = "redis"
    is_set_up = False

    def __init__(
        self,
        policy: TTLPolicy,
        clock: Callable[[], float] = time.time,
        prefix: str = "checkpoint",
        *,
        new_epoch: Callable[[], int] = lambda: secrets.randbits(63),
        deduplicate: bool = True,
    ) -> None:
        self._logs = DedupWriter(policy, clock, new_epoch, deduplicate=deduplicate)
        self._keys = KeyNames(prefix)
        self._registry = Registry(self._keys, clock)
        self._own_ttls = LruCache[str, float | None](CACHED_SALTS)

    # ------------------------------------------------------------------ setup

    def setup(self) -> Plan[None]:
        """Create the registry and store the schema version, unless one is stored."""
        if not (yield from schema_version(self._keys.schema, SCHEMA)):
            yield from self._registry.create()
            yield from schema_version(self._keys.schema, SCHEMA, note=True)

    def expect_setup(self) -> Plan[None]:
        """Check the stored schema version; raise as `expect_schema` does."""
        yield from expect_schema(self._keys.schema, SCHEMA)

    # ------------------------------------------------------------------ put

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        """Store a checkpoint: one script, beside that of the registry."""
        draft = codec.draft(config, checkpoint, metadata, new_versions)
        to, lost = draft.checkpoint, set[ValueKey]()
        parent = (yield from self._parent(draft)) if draft.needs_parent else None
        while True:
            if lost:
                yield from offload()  # serializes the lost values again
            put = draft.complete(parent, lost)
            outcome = yield from self._store(_storing(put, parent is not None))
            if outcome == b"absent":  # the thread was deleted, and the parent's values with it
                parent, lost = None, set(draft.complete(None).kept)
            elif outcome == b"other":
                parent, lost = (yield from self._read_parent(draft)), set()
            elif isinstance(outcome, list):
                lost |= {put.kept[at] for at in outcome}
            else:
                return config_of(to.thread_id, to.ns, to.checkpoint_id)

    def _parent(self, draft: Draft) -> Plan[Channels | None]:
        """The channels of a put's parent: from the cache of the last read or put, or read now."""
        to, known = draft.checkpoint, self._logs.known
        salt = known.salts.get(to.thread_id)
        if parent := known.channels.get(to.thread_id, to.ns, to.parent_id, salt):
            return parent
        return (yield from self._read_parent(draft))

    def _read_parent(self, draft: Draft) -> Plan[Channels | None]:
        to = draft.checkpoint
        place = (to.ns.encode(), (to.parent_id or "").encode())
        reply = yield from self._ask("get_many", to.thread_id, [*self._touch(), 0, 0, 2, *place])
        if reply is None:
            return None
        # Not verified yet; the script of the put refuses a wrong salt.
        self._logs.known.salts.put(to.thread_id, salt_of(reply))
        found = found_in(ReadSnapshot([]), to.thread_id, reply)
        return Channels.of(found[0].record) if found else None

    def put_writes(
        self,
        codec: Codec,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]:
        """Store a task's writes: one script, beside that of the registry."""
        at = address(config, checkpoint=True)
        if not writes:
            return
        records = codec.writes(at.thread_id, writes, task_id, task_path)

        def finish(salt: bytes, stored: Sequence[Stored]) -> list[Arg]:
            packed: list[Arg] = []
            for one, value in zip(records, stored, strict=True):
                name = write_name(at.namespace, at.checkpoint_id or "", one.task_id, one.idx)
                packed += name, int(one.idx < 0), with_checksum(salt, name, pack_write(one, value))
            return [len(packed), *packed]

        yield from self._store(Storing("put_writes", at.thread_id, at.ttl, records, finish))

    # ------------------------------------------------------------------ read

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """Read one checkpoint with its values and pending writes: one script."""
        at = address(config)
        where = (at.namespace.encode(), (at.checkpoint_id or "").encode())
        reply = yield from self._ask(
            "get_many", at.thread_id, [*self._touch(), self._moves, 1, 2, *where]
        )
        snapshot = ReadSnapshot([])
        snapshot.found = found_in(snapshot, at.thread_id, reply)
        if not snapshot.found:
            return None
        snapshot.teach(self._logs.known)
        return (yield from snapshot.decoded(codec))[0]

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """Read what DeltaChannels are rebuilt from: one script, however long the chain."""
        at = address(config)
        reply = None
        if channels:
            where = (at.namespace.encode(), (at.checkpoint_id or "").encode())
            names = [channel.encode() for channel in channels]
            args = [*self._touch(), self._moves, *where, 1, len(names), *names]
            reply = yield from self._ask("ancestors", at.thread_id, args)
        if reply is None:
            return {channel: {"writes": []} for channel in channels}
        snapshot = ReadSnapshot([])
        target, *embedding = found_in(snapshot, at.thread_id, reply)
        line = lineage_of(at.thread_id, target.record.ns, reply, channels, embedding)
        return (yield from histories(codec, target, line, snapshot, channels))

    # ------------------------------------------------------------------ list

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        """Read some checkpoints: one script, or more if they are large or few match the filter. A
        list of all threads first finds their names (`ListAll`).
        """
        replies = SnapshotSet()
        candidates = self._page_of_all if listing.thread_id is None else self._page
        found, rest = yield from paginate(codec, listing, partial(candidates, replies))
        replies.keep(found)
        replies.teach(self._logs.known)
        tuples = yield from replies.decoded(codec)
        return Page(tuples, rest)

    def _page(self, replies: SnapshotSet, rest: Listing, count: int) -> Plan[list[CheckpointRow]]:
        thread_id = rest.thread_id or ""
        pieces = [piece.encode() for piece in prefilter_terms(rest.filter)]
        found: list[CheckpointRow] = []
        while (bounds := wanted(rest)) is not None:
            limits = (count - len(found), PAGE_BYTES, PAGE_LOOKED_AT)
            args = [*self._touch(), self._moves, *bounds, *limits, len(pieces), *pieces]
            reply = yield from self._ask("list", thread_id, args)
            part = replies.add()
            part.found = found_in(part, thread_id, reply)
            found += part.found
            if reply is None or len(found) == count or reply[2] == b"0":
                break
            rest = rest.after(0, (reply[3].decode(), thread_id, reply[4].decode()))
        return found


def _storing(put: PutRecord, takes_parent: bool) -> Storing:
    to, run_id = put.checkpoint, put.run_id
    names = [value_name(to.ns, one.channel, one.version) for one in put.values]

    def finish(salt: bytes, stored: Sequence[Stored]) -> list[Arg]:
        packed = pack_checkpoint(salt, to, run_id)
        values: list[Arg] = []
        for name, one in zip(names, stored, strict=True):
            values += name, with_checksum(salt, name, pack_value(one))
        return [to.ns.encode(), to.checkpoint_id.encode(), packed, len(values), *values]

    granted = [value_name(to.ns, *key) for key in put.kept]
    records = put.values
    return Storing("put", to.thread_id, put.ttl, records, finish, put, granted, takes_parent)
