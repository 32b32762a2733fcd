"""Listing, sweeping and counting threads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.planner import (
    HeadPage,
    HeadQuery,
    ThreadHead,
    ThreadQuery,
    cursor_at,
)
from checkpoint_base.saver.records.kinds import Stats, ThreadPage
from checkpoint_base.saver.records.snapshot import ReadSnapshot
from checkpoint_base.saver.ttl.sweeper import UNREADABLE, log_unreadable
from checkpoint_redis.connection.requests import ScriptCall, calls, moment, seconds
from checkpoint_redis.saver.keys import PARTS
from checkpoint_redis.saver.reading import found_in
from checkpoint_redis.saver.registry import GARBAGE, Overdue, RegistryEntry
from checkpoint_redis.saver.removal import RedisRemoval
from checkpoint_redis.saver.schema import server_name
from checkpoint_redis.saver.writing import OVERDUE

logger = logging.getLogger(__name__)

_SWEPT_AT_ONCE: Final = 200
_COUNTED_AT_ONCE: Final = 500


class RedisThreads(RedisRemoval):
    """The plans `list_threads`, `list_heads`, `sweep` and `stats`."""

    backend: ClassVar[str]

    # ------------------------------------------------------------------ list

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        """A page of threads, the last updated first: two round trips, more if many entries of the
        registry have no thread.
        """
        heads: list[ThreadHead] = []
        position = _position(query)
        while True:
            count = query.limit + 1 - len(heads)
            entries, position = yield from self._registry.page(query, position, count)
            looks = [self._call("thread_info", entry.name.decode(), [0]) for entry in entries]
            for entry, reply in (yield from self._there(entries, looks)):
                if reply[2]:
                    heads.append(_head(entry, reply))
            if position is None or len(heads) > query.limit:
                break
        return query.page([head[:4] for head in heads[: query.limit + 1]])

    def list_heads(self, query: HeadQuery) -> Plan[HeadPage]:
        """The next threads, each with its newest root checkpoint and what was written to it: two
        round trips.
        """
        entries, position = yield from self._registry.page(query, _position(query), query.limit)
        terms = [term.encode() for term in query.terms]
        args = [*self._touch(), int(query.interrupts), (query.channel or "").encode()]
        args += [len(terms), *terms]
        looks = [self._call("head", entry.name.decode(), args) for entry in entries]
        heads: list[ThreadHead] = []
        for entry, (small, large, *own, channels) in (yield from self._there(entries, looks)):
            if not own[2]:
                continue  # it has expired
            head, snapshot = _head(entry, own), ReadSnapshot([])
            for found in found_in(snapshot, head.thread_id, (small, large)):
                names = [piece.decode() for piece in channels]
                head = head._replace(
                    checkpoint=found.record,
                    channels=list(zip(names[::2], names[1::2], strict=True)),
                    interrupts=snapshot.writes_of(found.place, head.thread_id),
                )
            heads.append(head)
        if position is None:
            return HeadPage(heads, None)
        return HeadPage(heads, cursor_at(position.updated, position.name.decode()))

    def _there(
        self, entries: Sequence[RegistryEntry], looks: Sequence[ScriptCall]
    ) -> Plan[list[tuple[RegistryEntry, Any]]]:
        """The replies to a look at the thread of each entry, without those of threads that are
        damaged, which is logged, or do not exist, whose entries are removed.
        """
        there, gone = [], []
        for entry, reply in zip(entries, (yield from calls(looks)), strict=True):
            if reply is None:
                gone.append(entry.name)
            elif len(reply) == 1:
                thread_id, damage = entry.name.decode(), reply[0].decode()
                logger.error("thread %r is not listed: %s", thread_id, damage)
            else:
                there.append((entry, reply))
        yield from self._unregister(gone)
        return there

    # ------------------------------------------------------------------ expiry

    def sweep(self, codec: Codec) -> Plan[int]:
        """Delete or prune the threads that have expired, as the policy says, and collect garbage.

        Returns:
            The number of threads deleted or pruned. Damaged threads are logged and skipped.
        """
        now, swept = self._logs.clock(), 0
        limit = self._logs.policy.sweep_limit
        parts, unreadable = set(range(PARTS)), set[bytes]()
        while parts and (limit is None or swept < limit):
            count = _SWEPT_AT_ONCE + len(unreadable)
            found = yield from self._registry.overdue(parts, now, count)
            overdue = [one for one in found if one.name not in unreadable]
            left = None if limit is None else limit - swept
            if self._logs.policy.expires_whole:
                swept += yield from self._expire(overdue[:left], now)
            else:
                swept += yield from self._thin_out(codec, overdue[:left], now, unreadable)
            parts = {one.part for one in overdue}
        yield from self._collect_garbage()
        return swept

    def _collect_garbage(self) -> Plan[None]:
        """Remove replaced records in the threads that are labelled as having much garbage."""
        threads = yield from self._registry.labelled([GARBAGE])
        for name in [*threads][: self._logs.policy.sweep_limit]:
            try:
                yield from self._collect_runs(name.decode(), ())
            except UNREADABLE as error:
                log_unreadable(name.decode(), error)
            else:
                yield from calls([self._registry.remove_labels(name, [GARBAGE])])

    def _tidy(self, part: int) -> Plan[None]:
        now = self._logs.clock()
        overdue = yield from self._registry.overdue([part], now, 2 * OVERDUE)
        yield from self._expire(overdue, now)

    def _expire(self, overdue: Sequence[Overdue], now: float) -> Plan[int]:
        """Delete threads that have expired, unless the server has removed them already."""
        asked = [self._call("delete", one.name.decode(), [moment(now), b""]) for one in overdue]
        replies = yield from calls(asked)
        settle, swept = [], 0
        for one, (outcome, _, due) in zip(overdue, replies, strict=True):
            swept += outcome == b"gone"
            if outcome == b"there":
                settle.append(self._registry.correct(one, due))
            else:
                settle.append(self._registry.unregister(one.name))
        yield from calls(settle)
        return swept

    def _thin_out(
        self, codec: Codec, overdue: Sequence[Overdue], now: float, unreadable: set[bytes]
    ) -> Plan[int]:
        settle, swept = [], 0
        for one in overdue:
            try:
                is_done = yield from self._keep_latest(codec, one.name.decode(), now)
            except UNREADABLE as error:
                log_unreadable(one.name.decode(), error)
                unreadable.add(one.name)
                continue
            if is_done:
                swept += 1
                settle.append(self._registry.correct(one, b""))
                continue
            reply = yield from self._ask("thread_info", one.name.decode(), [0])
            if reply is None:
                settle.append(self._registry.unregister(one.name))
            elif len(reply) == 1:  # it was damaged meanwhile
                unreadable.add(one.name)
            else:
                settle.append(self._registry.correct(one, reply[1]))
        yield from calls(settle)
        return swept

    # ------------------------------------------------------------------ size

    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count records and bytes: one round trip for a small thread; for all threads, some for
        each 500.
        """
        server = yield from server_name(self._keys.schema)
        if thread_id is not None:
            totals = yield from self._count([thread_id.encode()])
        else:
            totals = [0] * 6
            names = yield from self._registry.all_names()
            for first in range(0, len(names), _COUNTED_AT_ONCE):
                some = yield from self._count(names[first : first + _COUNTED_AT_ONCE])
                totals = [sum(pair) for pair in zip(totals, some, strict=True)]
        threads, checkpoints, values, segments, writes, size = totals
        return Stats(
            backend=self.backend,
            server=server,
            threads=threads,
            checkpoints=checkpoints,
            values=values,
            segments=segments,
            writes=writes,
            bytes=size,
        )


def _position(query: ThreadQuery) -> RegistryEntry | None:
    at = query.position
    return None if at is None else RegistryEntry(at[0], at[1].encode())


def _head(entry: RegistryEntry, own: Sequence[bytes]) -> ThreadHead:
    """A thread's head without a checkpoint, from its creation time and its expiry."""
    return ThreadHead(entry.name.decode(), float(own[0]), entry.updated, seconds(own[1]))
