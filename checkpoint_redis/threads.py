"""Threads as such: their list, their expiry, their size."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from checkpoint_base.codec import Codec
from checkpoint_base.plan import Plan
from checkpoint_base.planner import ThreadQuery
from checkpoint_base.records import Stats, ThreadPage
from checkpoint_base.sweeper import UNREADABLE, log_unreadable
from checkpoint_redis.removal import Removal
from checkpoint_redis.requests import Call, call, calls
from checkpoint_redis.scripts import script
from checkpoint_redis.writing import OVERDUE, moment, seconds

logger = logging.getLogger(__name__)

_SWEPT_AT_ONCE: Final = 200
_WALKED_AT_ONCE: Final = 500
_LOOKED_AT: Final = 5_000
"""Threads that a script looks at in one part of the registry."""


class _Entry(NamedTuple):
    """A thread in the registry; these compare in the order of its list, the last one first."""

    updated: float
    name: bytes


class _Overdue(NamedTuple):
    """A thread whose expiry, as the registry knows it, is over."""

    part: list[bytes]
    name: bytes
    due: bytes
    updated: bytes

    def postponed(self, due: bytes) -> Call:
        """Note its real expiry."""
        return Call(script("postpone"), self.part, [self.name, self.due, due])


class Threads(Removal):
    """Plans on threads."""

    backend: ClassVar[str]

    # ------------------------------------------------------------------ list

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        """A page of threads: two round trips, more where many of them are gone."""
        rows: list[tuple[str, float, float, float | None]] = []
        gone: list[_Entry] = []
        at = query.position
        position = None if at is None else _Entry(at[0], at[1].encode())
        while True:
            entries, position = yield from self._registry_page(
                query, position, query.limit + 1 - len(rows)
            )
            looks = [self._call("peek", entry.name.decode()) for entry in entries]
            for entry, reply in zip(entries, (yield from calls(looks)), strict=True):
                if reply is None:
                    gone.append(entry)
                elif len(reply) == 1:
                    thread_id, damage = entry.name.decode(), reply[0].decode()
                    logger.error("thread %r is not listed: %s", thread_id, damage)
                elif reply:
                    created, due = float(reply[0]), seconds(reply[1])
                    rows.append((entry.name.decode(), created, entry.updated, due))
            if position is None or len(rows) > query.limit:
                break
        yield from calls([self._forget(e.name, moment(e.updated), b"") for e in gone])
        return query.page(rows[: query.limit + 1])

    def _registry_page(
        self, query: ThreadQuery, position: _Entry | None, count: int
    ) -> Plan[tuple[list[_Entry], _Entry | None]]:
        """Up to so many of the next entries, and where to go on (None: that was all)."""
        asked = [
            Call(script("threads"), part, _bounds(query, position, count))
            for part in self._keys.parts
        ]
        entries: list[_Entry] = []
        stops: list[_Entry] = []
        for found, stop in (yield from calls(asked)):
            entries += [_Entry(float(found[n + 1]), found[n]) for n in range(0, len(found), 2)]
            stops += [_Entry(float(stop[1]), stop[0])] if stop else []
        entries.sort(reverse=True)
        if not stops:
            taken = entries[:count]
            return taken, taken[-1] if len(taken) < len(entries) else None
        floor = max(stops)  # some part was not looked at below
        taken = [entry for entry in entries if entry >= floor][:count]
        return taken, max(floor, taken[-1]) if len(taken) == count else floor

    def _walk(self) -> Plan[list[bytes]]:
        """All threads: one round trip for some thousands of each part."""
        names: list[bytes] = []
        everything = ThreadQuery("", None, None, 0, None)
        places: list[tuple[list[bytes], _Entry | None]] = [(one, None) for one in self._keys.parts]
        while places:
            asked = [
                Call(script("threads"), part, _bounds(everything, position, _LOOKED_AT))
                for part, position in places
            ]
            replies = yield from calls(asked)
            for found, _ in replies:
                names += found[::2]
            places = [
                (part, _Entry(float(stop[1]), stop[0]))
                for (part, _), (_, stop) in zip(places, replies, strict=True)
                if stop
            ]
        return names

    # ------------------------------------------------------------------ expiry

    def sweep(self, codec: Codec) -> Plan[int]:
        """Apply the policy to the threads that expired, each atomically."""
        now, swept = self._logs.clock(), 0
        limit = self._logs.policy.sweep_limit
        parts, unreadable = self._keys.parts, set[bytes]()
        while parts and (limit is None or swept < limit):
            count = _SWEPT_AT_ONCE + len(unreadable)
            asked = [Call(script("overdue"), part, [moment(now), count]) for part in parts]
            overdue = [
                one
                for part, found in zip(parts, (yield from calls(asked)), strict=True)
                for n in range(0, len(found), 3)
                if (one := _Overdue(part, *found[n : n + 3])).name not in unreadable
            ]
            left = None if limit is None else limit - swept
            if self._logs.policy.expires_whole:
                swept += yield from self._expire(overdue[:left], now)
            else:
                swept += yield from self._thin_out(codec, overdue[:left], now, unreadable)
            parts = [part for part in parts if any(one.part is part for one in overdue)]
        yield from self._collect_garbage()
        return swept

    def _collect_garbage(self) -> Plan[None]:
        """Remove what writes have replaced, in threads that have much of it: each atomically."""
        epoch, left = str(self._logs.new_epoch()), self._logs.policy.sweep_limit
        places = [(part, b"") for part in self._keys.parts]
        while places and left != 0:
            asked = [Call(script("collectable"), part, [at, _SWEPT_AT_ONCE]) for part, at in places]
            pages = list(zip(places, (yield from calls(asked)), strict=True))
            due = [(part, name) for (part, _), names in pages for name in names][:left]
            for part, name in due:
                yield from self._collect_thread(part, name, epoch)
            left = None if left is None else left - len(due)
            places = [(part, names[-1]) for (part, _), names in pages if names]

    def _collect_thread(self, part: list[bytes], name: bytes, epoch: str) -> Plan[None]:
        try:
            yield from self._ask("collect_garbage", name.decode(), [epoch])
        except UNREADABLE as error:
            log_unreadable(name.decode(), error)
            return
        if self._keys.clustered:
            yield from calls([Call(script("drop_run"), part, [name, 1])])

    def _tidy(self, part: list[bytes]) -> Plan[None]:
        now = self._logs.clock()
        found = yield from call(script("overdue"), part, [moment(now), 2 * OVERDUE])
        some = [_Overdue(part, *found[n : n + 3]) for n in range(0, len(found), 3)]
        yield from self._expire(some, now)

    def _expire(self, overdue: Sequence[_Overdue], now: float) -> Plan[int]:
        """Remove those that have expired. The server may have been faster."""
        asked = [self._call("expire", one.name.decode(), [moment(now)]) for one in overdue]
        replies = yield from calls(asked)
        settle, swept = [], 0
        for one, (what, due) in zip(overdue, replies, strict=True):
            swept += what == b"gone"
            if what == b"there":
                settle.append(one.postponed(due))
            elif what == b"absent" or self._keys.clustered:
                settle.append(self._forget(one.name, one.updated, one.due))
        yield from calls(settle)
        return swept

    def _thin_out(
        self, codec: Codec, overdue: Sequence[_Overdue], now: float, unreadable: set[bytes]
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
                settle.append(one.postponed(b""))
                continue
            reply = yield from self._ask("peek", one.name.decode())
            if reply is None:
                settle.append(self._forget(one.name, one.updated, one.due))
            elif len(reply) == 1:  # damaged since
                unreadable.add(one.name)
            else:
                settle.append(one.postponed(reply[1]))
        yield from calls(settle)
        return swept

    # ------------------------------------------------------------------ size

    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count what there is: one round trip for a thread, else some for 500 threads each."""
        server = server_name((yield from call(script("server"), (), ())))
        totals = [0] * 6
        if thread_id is not None:
            yield from self._count([thread_id.encode()], totals)
        else:
            names = yield from self._walk()
            for first in range(0, len(names), _WALKED_AT_ONCE):
                yield from self._count(names[first : first + _WALKED_AT_ONCE], totals)
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

    def _count(self, names: Sequence[bytes], totals: list[int]) -> Plan[None]:
        asked = [self._call("stats", name.decode()) for name in names]
        for counts in (yield from calls(asked)):
            for n, count in enumerate((1, *counts) if counts else ()):
                totals[n] += count


def _bounds(query: ThreadQuery, position: _Entry | None, count: int) -> list[Any]:
    """What the script `threads` takes."""
    high, after, before = "+inf", query.updated_after, query.updated_before
    if position is not None and before is not None and position.updated >= before:
        position = None
    if position is not None:
        high = repr(position.updated)
    elif before is not None:
        high = f"({before!r}"
    low = "-inf" if after is None else f"({after!r}"
    place = (0, 0, b"") if position is None else (1, repr(position.updated), position.name)
    return [*place, low, high, query.prefix.encode(), count, _LOOKED_AT]


def server_name(info: bytes) -> str:
    """A server's name and version, of what it says about itself."""
    return name_of(dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line))


def name_of(told: Mapping[str, Any]) -> str:
    """A server's name and version, of the fields of INFO."""
    if "valkey_version" in told:
        return f"Valkey {told['valkey_version']}"
    return f"Redis {told.get('redis_version', 'of unknown version')}"
