"""Checkpoints with all that belongs to them: what is asked for, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar

from checkpoint_base.codec import Codec
from checkpoint_base.config import Address
from checkpoint_base.delta import Lineage, lineage
from checkpoint_base.errors import CorruptValueError
from checkpoint_base.listing import fill_page
from checkpoint_base.plan import Plan
from checkpoint_base.planner import Listing
from checkpoint_base.reading import Found, Snapshot
from checkpoint_base.records import ValueKey
from checkpoint_mongo.documents import found_in, values_in, writes_in
from checkpoint_mongo.keys import THREAD, checkpoint_key, ref_of, under, value_key
from checkpoint_mongo.log import Logs
from checkpoint_mongo.pipelines import (
    belonging,
    belonging_to_one,
    of_thread,
    segments,
    union,
)
from checkpoint_mongo.requests import RECORDS, Document, Stages, documents, pause
from checkpoint_mongo.seen import NewestSeen, seen_in
from checkpoint_mongo.selecting import candidates, exactly, newest_of

T = TypeVar("T")

_CALM: Final = 50
"""How often a read is tried again because somebody removes from the thread meanwhile."""


class Arrived(NamedTuple):
    """The documents of a reply, by what they are.

    Attributes:
        checkpoints: that were still there when all that belongs to them had been read.
        threads: theirs, as they were then.
        is_calm: nothing of what was selected was removed or stored anew meanwhile, nor is being
            removed.
    """

    checkpoints: dict[tuple[str, str], Document]
    threads: dict[str, Document]
    is_calm: bool = True


def sort_out(
    snapshot: Snapshot, documents: Iterable[Document], seen: set[tuple[str, str]] | None = None
) -> Arrived:
    """Note values and writes in the snapshot, tasks that were `seen` only once; give back the
    rest.
    """
    checkpoints: dict[tuple[str, str], Document] = {}
    threads: dict[str, Document] = {}
    tasks: set[tuple[str, str]] = set() if seen is None else seen
    carriers: list[Document] = []
    asked = 0
    for one in documents:
        thread_id, key = one["thread_id"], one["key"]
        kind = key.partition("\0")[0]
        if kind == "b" or (kind == "c" and one.get("step") != 1):
            carriers.append(one)
        elif kind == "cw" and (thread_id, key) not in tasks:
            tasks.add((thread_id, key))
            for write in writes_in(one):
                snapshot.add_write(write)
        elif kind == "s":
            snapshot.add_segment(thread_id, one["start"], one["digests"], one["data"])
        elif kind == "c":
            checkpoints[thread_id, key] = one
            asked = one.get("asked", asked)
        elif key == THREAD:
            threads[thread_id] = one
            asked = one.get("asked", asked)
    for one in sorted(carriers, key=lambda one: str(one["key"])):  # of a version, the last put
        for value in values_in(one):
            snapshot.add_value(value)
    is_held = any("held_at" in one and not one.get("dead") for one in threads.values())
    is_same = all(one.get("same", True) for one in checkpoints.values())
    is_calm = not is_held and is_same and len(checkpoints) + len(threads) == asked
    return Arrived(checkpoints, threads, is_calm)


def narrowed(snapshot: Snapshot) -> Snapshot:
    """Only what its checkpoints need: a page may have looked at more than it has."""
    result = Snapshot(snapshot.found)
    wanted = snapshot.keys()
    for thread, ns, channel, version in wanted:
        stored = snapshot.values.get((thread, ns), {}).get((channel, version))
        if stored is not None:
            result.values[thread, ns][channel, version] = stored
    for place in snapshot.places():
        if place in snapshot.writes:
            result.writes[place] = snapshot.writes[place]
    return result


def in_order(arrived: Arrived) -> list[Found]:
    """The checkpoints of a reply, in the order of the list."""
    found = [
        found_in(one, arrived.threads.get(one["thread_id"], _NOBODY))
        for one in arrived.checkpoints.values()
    ]
    return sorted(found, key=lambda one: one.position, reverse=True)


_NOBODY: Document = {"epoch": -1, "log_end": 0, "expires_at": float("-inf")}
"""For a checkpoint whose thread is gone: it expired long ago."""


def ranges_by_thread(snapshot: Snapshot) -> dict[str, list[tuple[int, int]]]:
    """What of which log is needed."""
    found: dict[str, list[tuple[int, int]]] = {}
    for thread, first, end in snapshot.ranges():
        found.setdefault(str(thread), []).append((first, end))
    return found


class Reading:
    """Plans that read. A checkpoint that is still there at the end of a read was read whole; else
    the read is made again. What its log has says itself whether it is what was stored.
    """

    _logs: Logs
    _newest: NewestSeen
    _prefix: str

    @property
    def _records(self) -> str:
        """The name of the collection, for stages that need it."""
        return self._prefix + RECORDS

    def _read(self, at: Address) -> Plan[Snapshot | None]:
        """The checkpoint that is asked for, with all that belongs to it."""
        snapshot = Snapshot([])
        found = yield from self._selected(snapshot, at)
        if found is None:
            return None
        snapshot.found = [found]
        yield from self._fetch(snapshot)
        return snapshot

    def _selected(self, snapshot: Snapshot, at: Address) -> Plan[Found | None]:
        """The checkpoint that is asked for; what belongs to it goes into the snapshot."""
        thread_id, ns = at.thread_id, at.namespace
        if at.checkpoint_id is not None:
            stages = exactly(thread_id, ns, at.checkpoint_id)
            return (yield from self._arrived(snapshot, thread_id, stages))
        found, seen = None, self._newest.get(thread_id, ns)
        if seen is not None:
            stages = newest_of(thread_id, ns, seen.checkpoint_id)
            found = yield from self._arrived(snapshot, thread_id, stages, list(seen.values))
            if found is not None and found.epoch == seen.epoch:
                seen.complete(snapshot, found)
            elif seen.values:
                found = None
        if found is None:
            self._newest.forget(thread_id, ns)
            found = yield from self._arrived(snapshot, thread_id, newest_of(thread_id, ns))
        if found is not None:
            self._newest.note(thread_id, ns, seen_in(snapshot, found))
        return found

    def _arrived(
        self, snapshot: Snapshot, thread_id: str, selecting: Stages, known: Sequence[bytes] = ()
    ) -> Plan[Found | None]:
        """The one checkpoint that is selected; what belongs to it goes into the snapshot, but for
        values that are known.
        """
        stages = [*selecting, *belonging_to_one(self._records, thread_id, known)]
        for attempt in count():
            snapshot.values.clear()
            snapshot.writes.clear()
            arrived = sort_out(snapshot, (yield from documents(stages)))
            thread = arrived.threads.get(thread_id)
            if thread is None or self._is_absent(thread):
                return None
            if arrived.checkpoints and (arrived.is_calm or attempt >= _CALM):
                ((_, one),) = arrived.checkpoints.items()
                return found_in(one, thread)
            yield from pause(attempt)
        return None

    def _is_absent(self, thread: Document) -> bool:
        return bool(thread.get("dead")) or self._logs.is_expired(thread.get("expires_at"))

    def _fetch(self, snapshot: Snapshot) -> Plan[None]:
        """Read what of the logs is needed."""
        pieces: list[Stages] = []
        for thread_id, some in ranges_by_thread(snapshot).items():
            pieces += segments(thread_id, some)
        if pieces:
            sort_out(snapshot, (yield from documents(union(*pieces, collection=self._records))))
        snapshot.teach(self._logs.known)

    def _is_stale(self, snapshot: Snapshot) -> Plan[bool]:
        """Whether something of these threads was removed since they were looked at."""
        for name, epoch in {one.record.thread_id: one.epoch for one in snapshot.found}.items():
            there = yield from documents(of_thread(name))
            if not there or there[0]["epoch"] != epoch or "held_at" in there[0]:
                return True
        return False

    def _decoded(self, snapshot: Snapshot, attempt: int, decode: Plan[T]) -> Plan[T | None]:
        """What a plan makes of a snapshot; None if the log it needs was removed meanwhile."""
        try:
            return (yield from decode)
        except CorruptValueError:
            if attempt >= _CALM or not (yield from self._is_stale(snapshot)):
                raise
        yield from pause(attempt)
        return None

    # ------------------------------------------------------------------ pages

    def _page(self, codec: Codec, listing: Listing) -> Plan[tuple[Snapshot, Listing | None]]:
        snapshot, seen = Snapshot([]), set[tuple[str, str]]()
        look = self._anywhere if listing.thread_id is None else self._in_thread
        found, rest = yield from fill_page(codec, listing, partial(look, snapshot, seen))
        snapshot.found = found
        snapshot = narrowed(snapshot)
        yield from self._fetch(snapshot)
        return snapshot, rest

    def _in_thread(
        self, snapshot: Snapshot, seen: set[tuple[str, str]], rest: Listing, wanted: int
    ) -> Plan[list[Found]]:
        assert rest.thread_id is not None  # noqa: S101
        stages = [*candidates(rest, wanted), *belonging(self._records, rest.thread_id)]
        for attempt in count():
            arrived = sort_out(snapshot, (yield from documents(stages)), seen)
            thread = arrived.threads.get(rest.thread_id)
            if thread is None or self._is_absent(thread):
                return []
            if arrived.is_calm or attempt >= _CALM:
                return in_order(arrived)
            yield from pause(attempt)
        return []

    def _anywhere(
        self, snapshot: Snapshot, seen: set[tuple[str, str]], rest: Listing, wanted: int
    ) -> Plan[list[Found]]:
        """Candidates over all threads, but for those that are absent."""
        live: list[Found] = []
        for attempt in count():
            stages = [*candidates(rest, wanted), *belonging(self._records, None)]
            arrived = sort_out(snapshot, (yield from documents(stages)), seen)
            if not arrived.is_calm and attempt < _CALM:
                yield from pause(attempt)
                continue
            some = in_order(arrived)
            absent = {name for name, one in arrived.threads.items() if self._is_absent(one)}
            live += [
                one for one in some if one.thread in arrived.threads and one.thread not in absent
            ]
            if len(some) < wanted or len(live) >= wanted:
                break
            rest = rest.after(0, some[-1].position)
        return live[:wanted]

    # ------------------------------------------------------------------ DeltaChannels

    def _gather(
        self, at: Address, channels: Sequence[str]
    ) -> Plan[tuple[Found, Lineage, Snapshot] | None]:
        for attempt in count():
            target = yield from self._selected(Snapshot([]), at)
            if target is None:
                return None
            line, parts = yield from self._parts(target, channels)
            yield from self._fetch(parts)
            if attempt >= _CALM or not (yield from self._is_stale(parts)):
                return target, line, parts
            yield from pause(attempt)
        return None

    def _parts(self, target: Found, channels: Sequence[str]) -> Plan[tuple[Lineage, Snapshot]]:
        """The writes and values that some channels of a checkpoint are rebuilt from."""
        thread_id, ns = target.record.thread_id, target.record.ns
        line = yield from self._lineage(thread_id, ns, target.record.checkpoint_id, channels)
        keys = [value_key(ns, *entry) for entry in line.seeds.values()]
        keys += [checkpoint_key(ns, each) for each in line.needed]
        refs = [ref_of(thread_id, each) for each in keys]
        parts = Snapshot([target])
        stages: Stages = [{"$match": {"ref": {"$in": refs}}}, {"$match": {"thread_id": thread_id}}]
        sort_out(parts, (yield from documents(stages)))
        return line, parts

    def _lineage(
        self, key: Any, ns: str, checkpoint_id: str, channels: Sequence[str]
    ) -> Plan[Lineage]:
        stored = yield from self._stored_versions(key, ns, channels)
        ancestors = partial(self._ancestors, (key, ns), channels, stored)
        return (yield from lineage(checkpoint_id, channels, stored, ancestors))

    def _ancestors(
        self,
        space: tuple[str, str],
        channels: Sequence[str],
        stored: set[ValueKey],
        at: str,
        depth: int,
    ) -> Plan[list[tuple[str, str | None, str]]]:
        """A checkpoint and its ancestors. Most often a parent has the id before: those are read
        together. What values of the channels they have is noted in `stored`.
        """
        thread_id, ns = space
        seen: dict[str, Document] = {}
        chain: list[tuple[str, str | None, str]] = []
        name: str | None = at
        while name is not None and len(chain) <= depth:
            if name not in seen:
                keys = {"$gte": f"c\0{ns}\0", "$lte": checkpoint_key(ns, name)}
                stages: Stages = [
                    {"$match": {"thread_id": thread_id, "key": keys}},
                    {"$sort": {"key": -1}},
                    {"$limit": depth + 1 - len(chain)},
                    {"$project": _LINE},
                ]
                found = yield from documents(stages)
                seen.update((one["checkpoint_id"], one) for one in found)
            one = seen.get(name)
            if one is None:
                break
            chain.append((name, one.get("parent_id"), one["versions"]))
            name = one.get("parent_id") or None
        line = [seen[each] for each, _, _ in chain]
        unknown = [value_key(ns, *entry) for entry in _unknown(line, channels, stored)]
        if unknown:
            refs = [ref_of(thread_id, each) for each in unknown]
            named = {"$match": {"ref": {"$in": refs}}}, {"$match": {"thread_id": thread_id}}
            stored |= names_in((yield from documents([*named, {"$project": _NAMES}])))
        return chain

    def _stored_versions(self, key: Any, ns: str, channels: Sequence[str]) -> Plan[set[ValueKey]]:
        """Of those that no checkpoint carries."""
        stages: Stages = [
            {"$match": {"thread_id": key, "key": under(f"b\0{ns}")}},
            {"$match": {"values.channel": {"$in": list(channels)}}},
            {"$project": _NAMES},
        ]
        return names_in((yield from documents(stages)))


_NAMES: Final = {"_id": 0, "values.channel": 1, "values.version": 1}
_LINE: Final = {**_NAMES, "checkpoint_id": 1, "parent_id": 1, "versions": 1, "bare": 1}


def names_in(found: Iterable[Document]) -> set[ValueKey]:
    """The values that documents have."""
    return {(each["channel"], each["version"]) for one in found for each in one.get("values", ())}


def _unknown(
    line: Sequence[Document], channels: Sequence[str], stored: set[ValueKey]
) -> set[ValueKey]:
    """Versions of some channels of which it does not say whether there is a value, once what these
    checkpoints say is noted.
    """
    stored |= names_in(line)
    wanted: set[ValueKey] = set()
    bare: set[ValueKey] = set()
    for one in line:
        versions = json.loads(one["versions"])
        entries = {(name, versions[name]) for name in channels if name in versions}
        wanted |= entries
        bare.update(entry for entry in entries if entry[0] in one.get("bare", ()))
    return wanted - bare - stored
