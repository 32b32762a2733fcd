"""Checkpoints with all that belongs to them: what is asked for, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple

from checkpoint_base.codec import Codec
from checkpoint_base.delta import Lineage, lineage
from checkpoint_base.listing import fill_page
from checkpoint_base.plan import Plan
from checkpoint_base.planner import Listing
from checkpoint_base.reading import Found, Snapshot
from checkpoint_base.records import ValueKey
from checkpoint_mongo.documents import found_in, stored_in, writes_in
from checkpoint_mongo.keys import THREAD, checkpoint_key, ref_of, under, value_key
from checkpoint_mongo.log import Logs
from checkpoint_mongo.pipelines import belonging, of_thread, segments, union
from checkpoint_mongo.requests import RECORDS, Document, Stages, documents, pause
from checkpoint_mongo.selecting import candidates

_CALM: Final = 50
"""How often a read is tried again because somebody removes from the thread meanwhile."""


class Arrived(NamedTuple):
    """The documents of a reply, by what they are."""

    checkpoints: dict[tuple[str, str], Document]
    threads: dict[str, Document]


def sort_out(
    snapshot: Snapshot, documents: Iterable[Document], seen: set[tuple[str, str]] | None = None
) -> Arrived:
    """Note values and writes in the snapshot, tasks that were `seen` only once; give back the
    rest.
    """
    arrived = Arrived({}, {})
    tasks: set[tuple[str, str]] = set() if seen is None else seen
    for one in documents:
        thread_id, key = one["thread_id"], one["key"]
        kind = key.partition("\0")[0]
        if kind == "v":
            row = (thread_id, one["ns"], one["channel"], one["version"], *stored_in(one))
            snapshot.add_value(row)
        elif kind == "cw" and (thread_id, key) not in tasks:
            tasks.add((thread_id, key))
            for write in writes_in(one):
                snapshot.add_write(write)
        elif kind == "s":
            snapshot.add_segment(thread_id, one["start"], one["digests"], one["data"])
        elif kind == "c":
            arrived.checkpoints[thread_id, key] = one
        elif key == THREAD:
            arrived.threads[thread_id] = one
    return arrived


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


def is_wanted(listing: Listing, found: Found) -> bool:
    """Whether a checkpoint is of the list, and not only the parent of one that is."""
    record = found.record
    return (
        listing.thread_id in (None, record.thread_id)
        and listing.ns in (None, record.ns)
        and listing.checkpoint_id in (None, record.checkpoint_id)
        and (listing.before is None or record.checkpoint_id < listing.before)
        and (listing.position is None or found.position < listing.position)
    )


def in_order(listing: Listing, arrived: Arrived, count: int) -> list[Found]:
    """The first so many candidates of a reply, in the order of the list."""
    found = [
        found_in(one, arrived.threads.get(one["thread_id"], _NOBODY))
        for one in arrived.checkpoints.values()
    ]
    wanted = [one for one in found if is_wanted(listing, one)]
    return sorted(wanted, key=lambda one: one.position, reverse=True)[:count]


_NOBODY: Document = {"epoch": -1, "log_end": 0, "expires_at": float("-inf")}
"""For a checkpoint whose thread is gone: it expired long ago."""


def ranges_by_thread(snapshot: Snapshot) -> dict[str, list[tuple[int, int]]]:
    """What of which log is needed."""
    found: dict[str, list[tuple[int, int]]] = {}
    for thread, first, end in snapshot.ranges():
        found.setdefault(str(thread), []).append((first, end))
    return found


class Reading:
    """Plans that read. Removing something changes a thread's epoch, before it begins and when it
    is done; a read that finds another epoch at its end than at its beginning is made again.
    """

    _logs: Logs
    _prefix: str

    @property
    def _records(self) -> str:
        """The name of the collection, for stages that need it."""
        return self._prefix + RECORDS

    def _read(self, thread_id: str, selecting: Stages) -> Plan[Snapshot | None]:
        """The checkpoint that stages select, with all that belongs to it."""
        for attempt in count():
            snapshot = Snapshot([])
            thread, arrived = yield from self._arrived(snapshot, thread_id, selecting, attempt)
            if thread is None:
                return None
            if arrived is not None:
                found = _newest(selecting, arrived, thread)
                if found is None:
                    return None
                snapshot.found = [found]
                if (yield from self._fetched(snapshot, attempt)):
                    return snapshot
            yield from pause(attempt)
        return None

    def _arrived(
        self,
        snapshot: Snapshot,
        thread_id: str,
        selecting: Stages,
        attempt: int,
        seen: set[tuple[str, str]] | None = None,
    ) -> Plan[tuple[Document | None, Arrived | None]]:
        """What is selected, between two looks at the thread: None, if they differ."""
        own, rest = of_thread(thread_id), belonging(self._records, thread_id)
        stages = union(own, [*selecting, *rest], own, collection=self._records)
        found = yield from documents(stages)
        if not found or found[0]["key"] != THREAD or self._is_absent(found[0]):
            return None, None
        calm = found[-1]["key"] == THREAD and _is_same(found[0], found[-1])
        if not calm and attempt < _CALM:
            return found[0], None
        return found[0], sort_out(snapshot, found, seen)

    def _is_absent(self, thread: Document) -> bool:
        return bool(thread.get("dead")) or self._logs.is_expired(thread.get("expires_at"))

    def _fetched(self, snapshot: Snapshot, attempt: int) -> Plan[bool]:
        """Read what of the logs is needed; False: something was removed meanwhile."""
        ranges = ranges_by_thread(snapshot)
        if ranges:
            pieces: list[Stages] = []
            for thread_id, some in ranges.items():
                pieces += segments(thread_id, some)
            pieces += [of_thread(thread_id) for thread_id in ranges]
            found = yield from documents(union(*pieces, collection=self._records))
            threads = sort_out(snapshot, found).threads
            epochs = {str(one.thread): one.epoch for one in snapshot.found}
            same = all(
                name in threads and threads[name]["epoch"] == epochs[name] for name in ranges
            )
            if not same and attempt < _CALM:
                return False
        snapshot.teach(self._logs.known)
        return True

    # ------------------------------------------------------------------ pages

    def _page(self, codec: Codec, listing: Listing) -> Plan[tuple[Snapshot, Listing | None]]:
        for attempt in count():
            snapshot, seen = Snapshot([]), set[tuple[str, str]]()
            look = self._anywhere if listing.thread_id is None else self._in_thread
            found, rest = yield from fill_page(codec, listing, partial(look, snapshot, seen))
            snapshot.found = found
            snapshot = narrowed(snapshot)
            if (yield from self._fetched(snapshot, attempt)):
                break
            yield from pause(attempt)
        return snapshot, rest

    def _in_thread(
        self, snapshot: Snapshot, seen: set[tuple[str, str]], rest: Listing, wanted: int
    ) -> Plan[list[Found]]:
        assert rest.thread_id is not None  # noqa: S101
        for attempt in count():
            selecting = candidates(rest, wanted)
            thread, arrived = yield from self._arrived(
                snapshot, rest.thread_id, selecting, attempt, seen
            )
            if thread is None:
                return []
            if arrived is not None:
                return in_order(rest, arrived, wanted)
            yield from pause(attempt)
        return []

    def _anywhere(
        self, snapshot: Snapshot, seen: set[tuple[str, str]], rest: Listing, wanted: int
    ) -> Plan[list[Found]]:
        """Candidates over all threads, but for those that are absent."""
        live: list[Found] = []
        while len(live) < wanted:
            stages = [*candidates(rest, wanted), *belonging(self._records, None)]
            arrived = sort_out(snapshot, (yield from documents(stages)), seen)
            some = in_order(rest, arrived, wanted)
            absent = {name for name, one in arrived.threads.items() if self._is_absent(one)}
            live += [
                one for one in some if one.thread in arrived.threads and one.thread not in absent
            ]
            if len(some) < wanted:
                break
            rest = rest.after(0, some[-1].position)
        return live[:wanted]

    # ------------------------------------------------------------------ DeltaChannels

    def _gather(
        self, thread_id: str, selecting: Stages, channels: Sequence[str]
    ) -> Plan[tuple[Found, Lineage, Snapshot] | None]:
        for attempt in count():
            snapshot = Snapshot([])
            thread, arrived = yield from self._arrived(snapshot, thread_id, selecting, attempt)
            if thread is None:
                return None
            target = None if arrived is None else _newest(selecting, arrived, thread)
            if arrived is not None and target is None:
                return None
            if target is not None:
                line, parts = yield from self._parts(target, channels)
                if (yield from self._fetched(parts, attempt)):
                    return target, line, parts
            yield from pause(attempt)
        return None

    def _parts(self, target: Found, channels: Sequence[str]) -> Plan[tuple[Lineage, Snapshot]]:
        """The writes and values that some channels of a checkpoint are rebuilt from."""
        thread_id, ns = target.record.thread_id, target.record.ns
        line = yield from self._lineage(thread_id, ns, target.record.checkpoint_id, channels)
        keys = [value_key(ns, *entry) for entry in line.seeds.values()]
        refs = [ref_of(thread_id, checkpoint_key(ns, each)) for each in line.needed]
        parts = Snapshot([target])
        pieces: list[Stages] = [[{"$match": {"thread_id": thread_id, "key": {"$in": keys}}}]]
        own = {"$match": {"thread_id": thread_id}}
        pieces.append([{"$match": {"ref": {"$in": refs}}}, own])
        sort_out(parts, (yield from documents(union(*pieces, collection=self._records))))
        return line, parts

    def _lineage(
        self, key: Any, ns: str, checkpoint_id: str, channels: Sequence[str]
    ) -> Plan[Lineage]:
        stored = yield from self._stored_versions(key, ns, channels)
        ancestors = partial(self._ancestors, key, ns)
        return (yield from lineage(checkpoint_id, channels, stored, ancestors))

    def _ancestors(
        self, thread_id: str, ns: str, at: str, depth: int
    ) -> Plan[list[tuple[str, str | None, str]]]:
        """A checkpoint and its ancestors. Most often a parent has the id before: those are read
        together.
        """
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
                    {"$project": {"_id": 0, "checkpoint_id": 1, "parent_id": 1, "versions": 1}},
                ]
                found = yield from documents(stages)
                seen.update((one["checkpoint_id"], one) for one in found)
            one = seen.get(name)
            if one is None:
                break
            chain.append((name, one.get("parent_id"), one["versions"]))
            name = one.get("parent_id") or None
        return chain

    def _stored_versions(self, key: Any, ns: str, channels: Sequence[str]) -> Plan[set[ValueKey]]:
        found = yield from documents(
            [
                {"$match": {"thread_id": key, "key": under(f"v\0{ns}")}},
                {"$match": {"channel": {"$in": list(channels)}}},
                {"$project": {"_id": 0, "channel": 1, "version": 1}},
            ]
        )
        return {(one["channel"], one["version"]) for one in found}


def _is_same(one: Document, other: Document) -> bool:
    """Whether nothing was removed between two looks at a thread, and nothing is being removed."""
    epochs = one["epoch"] == other["epoch"]
    return epochs and "held_at" not in one and "held_at" not in other


def _newest(selecting: Stages, arrived: Arrived, thread: Document) -> Found | None:
    """The checkpoint that was selected; others came along as parents."""
    key = selecting[0]["$match"]["key"]
    fitting = [
        name
        for name in arrived.checkpoints
        if name[1] == key or (isinstance(key, dict) and key["$gte"] <= name[1] < key["$lt"])
    ]
    return found_in(arrived.checkpoints[max(fitting)], thread) if fitting else None
