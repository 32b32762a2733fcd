"""Checkpoints with all that belongs to them: what is asked for, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

from checkpoint_base.codec import Codec
from checkpoint_base.config import Address
from checkpoint_base.delta import Lineage, Link, lineage
from checkpoint_base.errors import CorruptValueError
from checkpoint_base.listing import fill_page
from checkpoint_base.plan import Plan
from checkpoint_base.planner import Listing
from checkpoint_base.reading import Found, Snapshot
from checkpoint_base.records import CheckpointRecord, ValueKey
from checkpoint_base.statements.rows import ThreadRows
from checkpoint_mongo.belonging import Read, note_parts, read_belonging
from checkpoint_mongo.documents import found_in, record_in
from checkpoint_mongo.keys import checkpoint_key, ref_of, under, value_key
from checkpoint_mongo.landmarks import Landmarks
from checkpoint_mongo.log import Logs
from checkpoint_mongo.pipelines import (
    Guard,
    is_held,
    of_thread,
    release_thread,
    segments,
    union,
)
from checkpoint_mongo.requests import (
    RECORDS,
    Document,
    Named,
    Stages,
    documents,
    named,
    wait,
    write_all,
)
from checkpoint_mongo.selecting import beside_root, candidates, end_of, exactly, newest_of

T = TypeVar("T")


def narrowed(snapshot: Snapshot) -> Snapshot:
    """Only what its checkpoints need: what carries a value has others, and a page may have looked
    at more than it has.
    """
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


def ranges_by_thread(snapshot: Snapshot) -> dict[str, list[tuple[int, int]]]:
    """What of which log is needed."""
    found: dict[str, list[tuple[int, int]]] = {}
    for thread, first, end in snapshot.ranges():
        found.setdefault(str(thread), []).append((first, end))
    return found


class Reading:
    """Plans that read: the checkpoints; then what belongs to them, and their threads; then what is
    in logs. If something of a thread was removed meanwhile, all is read again. What its log has
    says itself whether it is what was stored.
    """

    _logs: Logs
    _landmarks: Landmarks
    _guard: Callable[[str], Guard]
    _prefix: str

    def _read(self, at: Address) -> Plan[Snapshot | None]:
        """The checkpoint that is asked for, with all that belongs to it."""
        snapshot = Snapshot([])
        found = yield from self._selected(snapshot, at)
        if found is None:
            return None
        snapshot.found = [found]
        snapshot = narrowed(snapshot)
        yield from self._fetch(snapshot)
        return snapshot

    def _selected(self, snapshot: Snapshot, at: Address) -> Plan[Found | None]:
        """The checkpoint that is asked for; what belongs to it goes into the snapshot."""
        thread_id, ns = at.thread_id, at.namespace
        read = yield from self._whole(partial(self._one, at), thread_id)
        thread = read.threads.get(thread_id)
        if not read.checkpoints or thread is None or self._is_absent(thread):
            return None
        read.note(snapshot, set())
        found = found_in(read.checkpoints[0], thread)
        self._landmarks.read(thread_id, found.epoch, [(ns, found.record.checkpoint_id)])
        return found

    def _one(self, at: Address) -> Plan[list[dict[str, Any]]]:
        """The checkpoint that is asked for, if it is there."""
        thread_id, ns = at.thread_id, at.namespace
        if at.checkpoint_id is not None:
            return (yield from documents(exactly(thread_id, ns, at.checkpoint_id)))
        start = self._landmarks.start(thread_id, ns, None, 1)
        found = yield from documents(newest_of(thread_id, ns, start))
        if not found and start is not None:
            self._landmarks.forget(thread_id)
            found = yield from documents(newest_of(thread_id, ns))
        return found

    def _whole(
        self, choose: Callable[[], Plan[list[dict[str, Any]]]], thread_id: str | None
    ) -> Plan[Read]:
        """Some checkpoints, of one thread or of any, and all that belongs to them."""
        known: dict[str, int] = {}
        epoch = None if thread_id is None else self._landmarks.epoch(thread_id)
        if thread_id is not None and epoch is not None:
            known[thread_id] = epoch
        for attempt in count():
            read = yield from read_belonging((yield from choose()))
            if read.is_whole(known):
                return read
            known = read.epochs
            if attempt:
                yield from self._release_dead(read.held)
                yield from wait(attempt, list(known))
        raise AssertionError

    def _release_dead(self, held: Sequence[str]) -> Plan[None]:
        """Release threads whose holders died, if it is that long ago."""
        new = self._logs.new_epoch
        if ops := [release_thread(self._guard(name), new(), None) for name in held]:
            yield from write_all(ops)

    def _is_absent(self, thread: Document) -> bool:
        return bool(thread.get("dead")) or self._logs.is_expired(thread.get("expires_at"))

    def _fetch(self, snapshot: Snapshot) -> Plan[None]:
        """Read what of the logs is needed."""
        pieces: list[Stages] = []
        for thread_id, some in ranges_by_thread(snapshot).items():
            pieces += segments(thread_id, some)
        if pieces:
            whole = union(*pieces, collection=self._prefix + RECORDS)
            for one in (yield from documents(whole)):
                snapshot.add_segment(one["thread_id"], one["start"], one["digests"], one["data"])
        snapshot.teach(self._logs.known)

    def _is_stale(self, snapshot: Snapshot) -> Plan[bool]:
        """Whether something of these threads was removed since they were looked at."""
        for name, epoch in {one.record.thread_id: one.epoch for one in snapshot.found}.items():
            there = yield from documents(of_thread(name))
            if not there or there[0]["epoch"] != epoch or is_held(there[0]):
                return True
        return False

    def _decoded(self, snapshot: Snapshot, attempt: int, decode: Plan[T]) -> Plan[T | None]:
        """What a plan makes of a snapshot; None if the log it needs was removed meanwhile."""
        try:
            return (yield from decode)
        except CorruptValueError:
            if not (yield from self._is_stale(snapshot)):
                raise
        yield from wait(attempt, [one.record.thread_id for one in snapshot.found])
        return None

    # ------------------------------------------------------------------ pages

    def _page(self, codec: Codec, listing: Listing) -> Plan[tuple[Snapshot, Listing | None]]:
        snapshot, seen = Snapshot([]), set[tuple[str, str]]()
        look = partial(self._look, snapshot, seen)
        found, rest = yield from fill_page(codec, listing, look)
        snapshot.found = found
        snapshot = narrowed(snapshot)
        yield from self._fetch(snapshot)
        return snapshot, rest

    def _look(
        self, snapshot: Snapshot, seen: set[tuple[str, str]], rest: Listing, wanted: int
    ) -> Plan[list[Found]]:
        """The next checkpoints that may be wanted, but for those of absent threads; what belongs to
        them goes into the snapshot.
        """
        live: list[Found] = []
        while True:
            choose = partial(self._candidates, rest, wanted)
            read = yield from self._whole(choose, rest.thread_id)
            read.note(snapshot, seen)
            absent = {name for name, one in read.threads.items() if self._is_absent(one)}
            threads = {name: one for name, one in read.threads.items() if name not in absent}
            some = read.checkpoints
            live += [
                found_in(one, threads[one["thread_id"]])
                for one in some
                if one["thread_id"] in threads
            ]
            if rest.thread_id is not None:
                if live:
                    places = [(one.record.ns, one.record.checkpoint_id) for one in live]
                    self._landmarks.read(rest.thread_id, live[0].epoch, places)
                return live
            if len(some) < wanted or len(live) >= wanted:
                return live[:wanted]
            last = some[-1]
            rest = rest.after(0, (last["checkpoint_id"], last["thread_id"], last["ns"]))

    def _candidates(self, rest: Listing, wanted: int) -> Plan[list[dict[str, Any]]]:
        """The next checkpoints that may be wanted."""
        thread_id = rest.thread_id
        if thread_id is None or rest.checkpoint_id is not None:
            return (yield from documents(candidates(rest, wanted)))
        end, start = end_of(rest), None
        if not rest.filter:
            start = self._landmarks.start(thread_id, rest.ns or "", end, wanted)
        is_sorted = rest.ns is None and (start is None or end is not None)
        if is_sorted and not (yield from documents(beside_root(thread_id))):
            rest = replace(rest, ns="")  # in the order of the index
        found = yield from documents(candidates(rest, wanted, start))
        if start is not None and not _reaches(found, wanted, start):
            self._landmarks.forget(thread_id)
            found = yield from documents(candidates(rest, wanted))
        return found

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
            if not (yield from self._is_stale(parts)):
                return target, line, parts
            yield from wait(attempt, [at.thread_id])
        return None

    def _parts(self, target: Found, channels: Sequence[str]) -> Plan[tuple[Lineage, Snapshot]]:
        """The writes and values that some channels of a checkpoint are rebuilt from."""
        thread_id, ns = target.record.thread_id, target.record.ns
        checked = ThreadRows(thread_id, b"")
        line = yield from self._lineage(
            checked, thread_id, ns, target.record.checkpoint_id, channels
        )
        keys = [value_key(ns, *entry) for entry in line.seeds.values()]
        keys += [checkpoint_key(ns, each) for each in line.needed]
        refs = [ref_of(thread_id, each) for each in keys]
        parts = Snapshot([target])
        note_parts(parts, (yield from named(refs, [thread_id])), set())
        there = parts.values[thread_id, ns]
        seeds = set(line.seeds.values())
        parts.values[thread_id, ns] = {each: there[each] for each in seeds if each in there}
        return line, parts

    def _record(
        self,
        checked: ThreadRows,  # noqa: ARG002 (its documents have no checksums yet)
        key: Any,
        ns: str,
        checkpoint_id: str,
    ) -> Plan[CheckpointRecord]:
        (found,) = yield from documents(exactly(key, ns, checkpoint_id))
        return record_in(found)

    def _lineage(
        self,
        checked: ThreadRows,  # noqa: ARG002 (its documents have no checksums yet)
        key: Any,
        ns: str,
        checkpoint_id: str,
        channels: Sequence[str],
    ) -> Plan[Lineage]:
        stored = yield from self._stored_versions(key, ns, channels)
        ancestors = partial(self._ancestors, (key, ns), channels, stored)
        return (yield from lineage(checkpoint_id, channels, ancestors, stored))

    def _ancestors(
        self,
        space: tuple[str, str],
        channels: Sequence[str],
        stored: set[ValueKey],
        at: str,
        depth: int,
    ) -> Plan[list[Link]]:
        """A checkpoint and its ancestors. Most often a parent has the id before: those are read
        together. What values of the channels they have is noted in `stored`.
        """
        thread_id, ns = space
        seen: dict[str, Document] = {}
        chain: list[Link] = []
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
            parent_id = one.get("parent_id") or None
            chain.append(Link(name, parent_id, json.loads(one["versions"]), None))
            name = parent_id
        line = [seen[link.checkpoint_id] for link in chain]
        unknown = _unknown(line, channels, stored)
        if unknown:
            stored |= yield from self._stored(thread_id, ns, list(unknown))
        return chain

    def _stored(self, thread_id: str, ns: str, values: Sequence[ValueKey]) -> Plan[set[ValueKey]]:
        """Which of some values are stored."""
        refs = [ref_of(thread_id, value_key(ns, *each)) for each in values]
        stages = [*Named(refs, [thread_id]).alone.stages, {"$project": _NAMES}]
        return names_in((yield from documents(stages)))

    def _stored_versions(self, key: Any, ns: str, channels: Sequence[str]) -> Plan[set[ValueKey]]:
        """Of those that no checkpoint carries."""
        stages: Stages = [
            {"$match": {"thread_id": key, "key": under(f"b\0{ns}")}},
            {"$match": {"values.channel": {"$in": list(channels)}}},
            {"$project": _NAMES},
        ]
        return names_in((yield from documents(stages)))


def _reaches(found: Sequence[Document], wanted: int, start: str) -> bool:
    """Whether these are the first, though no root's were looked for that are older than `start`:
    other namespaces' may be older, and stand where removed ones were.
    """
    return len(found) == wanted and bool(found[-1]["checkpoint_id"] >= start)


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
