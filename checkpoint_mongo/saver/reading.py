"""Reading checkpoints with their values and writes: two commands in one snapshot, three with large
values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from checkpoint_base.dedup.index import LruCache
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import Address
from checkpoint_base.saver.pagination import paginate, prefilter_terms
from checkpoint_base.saver.planner import Listing
from checkpoint_base.saver.records.snapshot import (
    CheckpointKey,
    CheckpointRow,
    ReadSnapshot,
    ThreadKey,
)
from checkpoint_base.sql.logs import Thread
from checkpoint_base.sql.rows import checked_threads
from checkpoint_mongo.connection.requests import Document, Find, documents, find
from checkpoint_mongo.saver.documents import add_part, found_in, whole_checkpoint
from checkpoint_mongo.saver.keys import (
    THREAD,
    checkpoint_key,
    overflow_key,
    parts_of,
    segment_key,
    under,
    value_key,
    writes_key,
)
from checkpoint_mongo.saver.segments import MongoDedupWriter
from checkpoint_mongo.saver.statements import of_thread

_AT_ONCE: Final = 2000  # keys in a command
_NOT_THE_ID: Final = {"_id": 0}


class MongoReading:
    """Sub-plans that read, to be run inside a snapshot."""

    _logs: MongoDedupWriter
    _threads: LruCache[str, Thread | None]

    # ------------------------------------------------------------------ one checkpoint

    def _find(self, at: Address) -> Plan[CheckpointRow | None]:
        """Read the checkpoint with the given id, or the newest: one command, two for the newest of
        a namespace other than the root.
        """
        thread_id, ns = at.thread_id, at.namespace
        if at.checkpoint_id is not None:
            keys = {"$in": [THREAD, checkpoint_key(ns, at.checkpoint_id)]}
            result = yield from find(_by_keys(thread_id, keys))
        elif not ns:
            newest = _by_keys(thread_id, {"$gte": checkpoint_key("", ""), "$lte": THREAD})
            result = yield from find(newest._replace(sort={"key": -1}, limit=2))
        else:
            # An `$or` of the thread's key and this range would be one command, for which MongoDB
            # uses the index. SecantusDB, its stand-in in tests, reads the whole collection.
            result = yield from find(of_thread(thread_id))
            newest = _by_keys(thread_id, under(f"c\0{ns}"))
            result += yield from find(newest._replace(sort={"key": -1}, limit=1))
        thread = self._logs.live([one for one in result if one["kind"] == "thread"])
        checkpoints = [one for one in result if one["kind"] == "checkpoint"]
        if thread is None or not checkpoints:
            return None
        self._threads.put(thread_id, thread)
        checkpoint = yield from self._complete(checkpoints[0])
        return found_in(checkpoint, thread)

    @staticmethod
    def _complete(document: Document) -> Plan[Document]:
        """Add a checkpoint's overflow documents, if it has any."""
        if "overflow" not in document:
            return document
        key = overflow_key(*parts_of(document["key"]))
        pieces = yield from find(_by_keys(document["thread_id"], key))
        return whole_checkpoint(document, pieces)

    def _whole(self, at: Address) -> Plan[ReadSnapshot | None]:
        found = yield from self._find(at)
        if found is None:
            return None
        snapshot = ReadSnapshot([found])
        yield from self._load(snapshot, snapshot.keys(), snapshot.places())
        return snapshot

    # ------------------------------------------------------------------ values, writes, segments

    def _load(
        self,
        snapshot: ReadSnapshot,
        keys: Sequence[tuple[ThreadKey, str, str, str]],
        places: Sequence[CheckpointKey],
    ) -> Plan[None]:
        """Read values, the writes of checkpoints, and the segments to which both refer."""
        wanted: dict[ThreadKey, list[str]] = {}
        for thread, *name in keys:
            wanted.setdefault(thread, []).append(value_key(*name))
        for thread, *place in places:
            wanted.setdefault(thread, []).append(writes_key(*place))
        threads = checked_threads(snapshot.found)
        for where in _where(wanted):
            for document in (yield from find(Find(where, _NOT_THE_ID))):
                add_part(snapshot, threads, document)
        yield from self._load_segments(snapshot)
        snapshot.teach(self._logs.known)

    def _load_segments(self, snapshot: ReadSnapshot) -> Plan[None]:
        ranges: dict[ThreadKey, list[tuple[int, int]]] = {}
        for thread, start, end in snapshot.ranges():
            ranges.setdefault(thread, []).append((start, end))
        threads = checked_threads(snapshot.found)
        for thread, some in ranges.items():
            bounds = {"$gte": segment_key(some[0][0]), "$lt": segment_key(some[-1][1])}
            needed = [{"start": {"$gte": start, "$lt": end}} for start, end in some]
            stages: list[Document] = [
                {"$match": {"thread_id": thread, "key": bounds}},
                *([{"$match": {"$or": needed}}] if len(needed) > 1 else ()),
                {"$project": {"_id": 0, "start": 1, "digests": 1, "data": 1}},
            ]
            for segment in (yield from documents(stages)):
                start = segment["start"]
                digests = threads[thread].digests(start, segment["digests"])
                snapshot.add_segment(thread, start, digests, segment["data"])

    # ------------------------------------------------------------------ list

    def _page(self, codec: Codec, listing: Listing) -> Plan[tuple[ReadSnapshot, Listing | None]]:
        found, rest = yield from paginate(codec, listing, self._candidates)
        snapshot = ReadSnapshot(found)
        yield from self._load(snapshot, snapshot.keys(), snapshot.places())
        return snapshot, rest

    def _candidates(self, listing: Listing, count: int) -> Plan[list[CheckpointRow]]:
        """The next checkpoints that may match the listing, in order."""
        result, live = list[CheckpointRow](), dict[str, Thread | None]()
        rest = listing
        while True:
            chosen = yield from documents(_choice(rest, count))
            names = {one["thread_id"] for one in chosen} - live.keys()
            of_all = min(names, default="") if len(names) == 1 else {"$in": sorted(names)}
            keys = {"thread_id": of_all, "key": THREAD}
            for document in (yield from find(Find(keys))) if names else ():
                live[document["thread_id"]] = self._logs.live([document])
            for document in chosen:
                thread = live.get(document["thread_id"])
                if thread is not None:
                    checkpoint = yield from self._complete(document)
                    result.append(found_in(checkpoint, thread))
            if len(chosen) < count or len(result) >= count:
                return result[:count]
            last = chosen[-1]
            ns, checkpoint_id = parts_of(last["key"])
            rest = rest.after(0, (checkpoint_id, last["thread_id"], ns))


def _by_keys(thread_id: str, keys: Any) -> Find:
    return Find({"thread_id": thread_id, "key": keys}, _NOT_THE_ID)


def _where(wanted: dict[ThreadKey, list[str]]) -> list[Document]:
    """Conditions that find the documents with these keys, up to 2,000 keys of a thread in each."""
    return [
        {"thread_id": thread, "key": {"$in": keys[at : at + _AT_ONCE]}}
        for thread, keys in wanted.items()
        for at in range(0, len(keys), _AT_ONCE)
    ]


# ---------------------------------------------------------------- stages of `list`


def _choice(listing: Listing, count: int) -> list[Document]:
    """Stages that return the next `count` checkpoints that may match, in the order of the list."""
    if listing.thread_id is None:
        match, order = _anywhere(listing), {"checkpoint_id": -1, "thread_id": -1, "key": -1}
    elif listing.ns is None:
        # This order keeps the server from choosing the index over all threads.
        match, order = _anywhere(listing), {"checkpoint_id": -1, "key": -1}
    else:
        match, order = _in_namespace(listing), {"key": -1}
    stages: list[Document] = [{"$match": condition} for condition in match]
    stages += with_terms(prefilter_terms(listing.filter))
    return [*stages, {"$sort": order}, {"$limit": count}, {"$project": _NOT_THE_ID}]


def with_terms(terms: Sequence[str]) -> list[Document]:
    """Stages that drop checkpoints whose metadata lacks one of these substrings."""
    stages: list[Document] = []
    for term in terms:
        # compares bytes of JSON: a value may have characters with a meaning in regular expressions
        index = {"$indexOfBytes": ["$metadata", {"$literal": term}]}
        passes = {"$expr": {"$gte": [index, 0]}}
        hidden = [{"sealed": {"$exists": True}}, {"overflow": {"$exists": True}}]
        stages.append({"$match": {"$or": [*hidden, passes]}})
    return stages


def _in_namespace(listing: Listing) -> list[Document]:
    ns = listing.ns or ""
    keys: dict[str, Any] = under(f"c\0{ns}")
    if listing.checkpoint_id is not None:
        keys = {"$eq": checkpoint_key(ns, listing.checkpoint_id)}
    ends = [checkpoint_key(ns, end) for end in _ends(listing)]
    if ends:
        keys["$lt"] = min([*ends, keys.get("$lt", ends[0])])
    return [{"thread_id": listing.thread_id, "key": keys}]


def _anywhere(listing: Listing) -> list[Document]:
    where: list[Document] = [{"kind": "checkpoint"}]
    if listing.thread_id is not None:
        where.insert(0, {"thread_id": listing.thread_id, "key": under("c")})
    where += _bounds(listing)
    if listing.ns is not None:
        where.append({"key": under(f"c\0{listing.ns}")})
    if listing.position is not None:
        checkpoint_id, thread_id, ns = listing.position
        before = {"key": {"$lt": checkpoint_key(ns, checkpoint_id)}}
        inner = _behind("thread_id", thread_id, before)
        where.append(_behind("checkpoint_id", checkpoint_id, inner))
    return where


def _bounds(listing: Listing) -> list[Document]:
    conditions = {"$eq": listing.checkpoint_id, "$lt": listing.before}
    given = {name: value for name, value in conditions.items() if value is not None}
    return [{"checkpoint_id": given}] if given else []


def _behind(field: str, value: str, ties: Document) -> Document:
    """The condition that a document comes after a value, in descending order."""
    return {"$or": [{field: {"$lt": value}}, {field: value, **ties}]}


def _ends(listing: Listing) -> list[str]:
    """Exclusive upper bounds of checkpoint ids."""
    ends = [] if listing.before is None else [listing.before]
    return ends if listing.position is None else [*ends, listing.position[0]]
