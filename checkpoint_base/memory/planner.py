"""The planner of `MemorySaver`: each operation on dicts, as the reference for other backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from checkpoint_base.dedup.writer import SWEPT_GARBAGE
from checkpoint_base.memory.locking import locked
from checkpoint_base.memory.removal import MemoryRemoval
from checkpoint_base.memory.thread import MemoryHistory, MemoryThread, Parts, newest
from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import address, config_of
from checkpoint_base.saver.filters import matches
from checkpoint_base.saver.planner import (
    HeadPage,
    HeadQuery,
    Listing,
    Page,
    ThreadHead,
    ThreadQuery,
)
from checkpoint_base.saver.records.channel_cache import Channels
from checkpoint_base.saver.records.drafts import Draft
from checkpoint_base.saver.records.kinds import (
    PutRecord,
    Stats,
    ThreadPage,
    ValueKey,
)
from checkpoint_base.saver.ttl.policy import TTLPolicy
from checkpoint_base.saver.ttl.sweeper import UNREADABLE, log_unreadable

T = TypeVar("T")


class MemoryPlanner(MemoryRemoval):
    """Plans on dicts. Each plan calls one function under the lock."""

    def __init__(self, policy: TTLPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self.threads: MutableMapping[str, MemoryThread] = {}
        self.lease: list[tuple[str, float]] = []
        """the owner of the sweepers' lease, and its end; savers on the same dicts share it"""

    def setup(self) -> Plan[None]:
        """Do nothing: there is no schema."""
        yield from ()

    def _find(self, thread_id: str) -> MemoryThread | None:
        thread = self.threads.get(thread_id)
        if thread is None or thread.expires is None or not self._policy.expires_whole:
            return thread
        return thread if thread.expires > self._clock() else None

    def _open(self, thread_id: str, ttl: float | None) -> MemoryThread:
        now = self._clock()
        thread = self._find(thread_id) or MemoryThread(created=now)
        self.threads[thread_id] = thread
        thread.ttl = thread.ttl if ttl is None else ttl
        thread.updated, thread.expires = now, self._policy.expiry(now, thread.ttl)
        return thread

    def _read(self, thread_id: str) -> MemoryThread | None:
        thread = self._find(thread_id)
        if thread and thread.expires is not None:
            thread.expires = self._policy.refreshed(thread.expires, thread.ttl, self._clock())
        return thread

    # ------------------------------------------------------------------ writing

    def put(
        self,
        codec: Codec,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        """Store a checkpoint."""
        draft = codec.draft(config, checkpoint, metadata, new_versions)
        if lost := (yield from locked(lambda: self._looked_up(draft)[2])):
            yield from offload()
            draft = draft.encoded(lost)
        yield from locked(lambda: self._put(self._completed(draft)))
        return config_of(*draft.checkpoint[:3])

    def _completed(self, draft: Draft) -> PutRecord:
        parent, put, lost = self._looked_up(draft)
        return draft.complete(parent, lost, embeds=False) if lost else put

    def _looked_up(self, draft: Draft) -> tuple[Channels | None, PutRecord, list[ValueKey]]:
        """The parent's channels, the put, and the values that it keeps but that are missing."""
        to, parent = draft.checkpoint, None
        thread = self._find(to.thread_id)
        there = thread.values if thread else {}
        if thread and to.parent_id and (to.ns, to.parent_id) in thread.checkpoints:
            parent = Channels.of(thread.checkpoints[to.ns, to.parent_id][0])
        put = draft.complete(parent, embeds=False)
        return parent, put, [key for key in put.kept if (to.ns, *key) not in there]

    def _put(self, put: PutRecord) -> None:
        to = put.checkpoint
        thread = self._open(to.thread_id, put.ttl)
        thread.count_garbage(to)
        thread.checkpoints[to.ns, to.checkpoint_id] = to, put.run_id
        for value in put.values:
            thread.values[to.ns, value.channel, value.version] = value.value

    def put_writes(
        self,
        codec: Codec,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Plan[None]:
        """Store a task's pending writes."""
        at = address(config, checkpoint=True)
        records = codec.writes(at.thread_id, writes, task_id, task_path)

        def work() -> None:
            thread = self._open(at.thread_id, at.ttl)
            there = thread.writes.setdefault((at.namespace, at.checkpoint_id or ""), {})
            for write in records:
                if write.idx < 0 or (write.task_id, write.idx) not in there:
                    there[write.task_id, write.idx] = write

        if records:
            yield from locked(work)

    # ------------------------------------------------------------------ reading

    def get_tuple(self, codec: Codec, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """One checkpoint."""
        at = address(config)

        def work() -> Parts | None:
            thread = self._read(at.thread_id)
            record = newest(thread, at.namespace, at.checkpoint_id) if thread else None
            if thread is None or record is None:
                return None
            return thread.parts_of((record.ns, record.checkpoint_id))

        parts = yield from locked(work)
        if parts is None:
            return None
        yield from offload(parts.size)
        return parts.decoded(codec)

    def list_page(self, codec: Codec, listing: Listing) -> Plan[Page]:
        """A page of checkpoints."""
        page, rest = yield from locked(lambda: self._page(codec, listing))
        yield from offload(sum(parts.size for parts in page))
        return Page([parts.decoded(codec) for parts in page], rest)

    def _page(self, codec: Codec, listing: Listing) -> tuple[list[Parts], Listing | None]:
        wanted = [listing.thread_id] if listing.thread_id is not None else list(self.threads)
        threads = {name: thread for name in wanted if (thread := self._find(name))}
        if listing.thread_id is not None:
            self._read(listing.thread_id)
        found = [
            ((record.checkpoint_id, name, record.ns), thread)
            for name, thread in threads.items()
            for record, _ in thread.checkpoints.values()
            if listing.ns in (None, record.ns)
            and listing.checkpoint_id in (None, record.checkpoint_id)
            and (listing.before is None or record.checkpoint_id < listing.before)
            and matches(codec.metadata_of(record), listing.filter)
        ]
        found.sort(key=lambda one: one[0], reverse=True)
        after = [one for one in found if listing.position is None or one[0] < listing.position]
        page = after[: listing.page_size]
        rest = listing.after(len(page), page[-1][0]) if len(after) > len(page) else None
        return [thread.parts_of((ns, name)) for (name, _, ns), thread in page], rest

    def delta_history(
        self, codec: Codec, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """The writes and seeds from which DeltaChannels are rebuilt."""
        at = address(config)

        def work() -> list[MemoryHistory]:
            thread = self._read(at.thread_id)
            target = newest(thread, at.namespace, at.checkpoint_id) if thread else None
            if thread is None or target is None:
                return [MemoryHistory(at.thread_id, channel, (), None) for channel in channels]
            return [MemoryHistory.of(thread, target, channel) for channel in channels]

        found = yield from locked(work)
        yield from offload(sum(one.size for one in found))
        return {one.channel: one.decoded(codec) for one in found}

    # ------------------------------------------------------------------ threads

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        """A page of threads."""
        return (yield from locked(lambda: query.page([head[:4] for head in self._heads(query)])))

    def _heads(self, query: ThreadQuery) -> list[ThreadHead]:
        found = [
            ThreadHead(name, thread.created, thread.updated, thread.expires)
            for name, thread in self.threads.items()
            if self._find(name) is not None
            and name.startswith(query.prefix)
            and (query.updated_before is None or thread.updated < query.updated_before)
            and (query.updated_after is None or thread.updated > query.updated_after)
            and (query.position is None or (thread.updated, name) < query.position)
        ]
        found.sort(key=lambda head: (head.updated, head.thread_id), reverse=True)
        return found

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        """The next threads, each with its newest root checkpoint and what was written to it."""

        def work() -> HeadPage:
            heads = self._heads(query)[: query.limit]
            threads = [self.threads[head.thread_id] for head in heads]
            return query.heads([t.head(head) for t, head in zip(threads, heads, strict=True)])

        return (yield from locked(work))

    def sweep(self, codec: Codec) -> Plan[int]:
        """Apply the TTL policy to expired threads, and collect garbage."""
        return (yield from locked(lambda: self._sweep(codec)))

    def _sweep(self, codec: Codec) -> int:
        now = self._clock()
        expired = [
            name
            for name, thread in self.threads.items()
            if thread.expires is not None and thread.expires <= now
        ]
        swept = 0
        for name in expired:
            if swept == self._policy.sweep_limit:
                break
            if self._policy.expires_whole:
                del self.threads[name]
            else:
                try:
                    self._keep_latest(codec, name)
                except UNREADABLE as error:
                    log_unreadable(name, error)
                    continue
                self.threads[name].expires = None
            swept += 1
        full = [thread for thread in self.threads.values() if thread.garbage >= SWEPT_GARBAGE]
        for thread in full[: self._policy.sweep_limit]:
            thread.drop([])
        return swept

    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count records and bytes."""

        def work() -> Stats:
            one = None if thread_id is None else self._find(thread_id)
            some = list(self.threads.values()) if thread_id is None else [one] if one else []
            values = [value for thread in some for value in thread.values.values()]
            writes = [w for t in some for there in t.writes.values() for w in there.values()]
            return Stats(
                backend="memory",
                server="in this process",
                threads=len(some),
                checkpoints=sum(len(thread.checkpoints) for thread in some),
                values=len(values),
                segments=0,
                writes=len(writes),
                bytes=sum(len(data) for _, data in values)
                + sum(len(write.value[1]) for write in writes),
            )

        return (yield from locked(work))
