"""Threads as such: their list, their expiry, their size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from checkpoint_base.codec import Codec
from checkpoint_base.plan import Plan
from checkpoint_base.planner import ThreadQuery
from checkpoint_base.records import Stats, ThreadPage
from checkpoint_base.statements.requests import rows
from checkpoint_base.sweeper import UNREADABLE, log_unreadable
from checkpoint_mongo.keys import RECENT, recent_of, under
from checkpoint_mongo.log import Logs
from checkpoint_mongo.pipelines import lasting_thread
from checkpoint_mongo.removing import Removing
from checkpoint_mongo.requests import Document, documents, server, write_all

_SWEPT_AT_ONCE: Final = 200
_RECORDS: Final = {
    "": "threads",
    "c\0": "checkpoints",
    "b\0": "values",
    "s\0": "segments",
    "cw": "writes",
}


class Threads(Removing):
    """Plans on threads."""

    backend: str
    _logs: Logs
    _stale: float

    def list_threads(self, query: ThreadQuery) -> Plan[ThreadPage]:
        """A page of threads: one command."""
        recent = under(RECENT)
        if query.position is not None:
            recent["$lt"] = recent_of(*query.position)
        conditions: dict[str, Any] = {"thread_id": {"$gte": query.prefix}}
        times = {"$lt": query.updated_before, "$gt": query.updated_after}
        if wanted := {name: moment for name, moment in times.items() if moment is not None}:
            conditions["updated_at"] = wanted
        expires = {"$ifNull": ["$expires_at", float("inf")]}
        tests = [{"$gt": [expires, self._logs.horizon]}]
        if query.prefix:
            tests.append(
                {"$eq": [{"$indexOfBytes": ["$thread_id", {"$literal": query.prefix}]}, 0]}
            )
        found = yield from documents(
            [
                {"$match": {"seek": recent}},
                {"$match": {**conditions, "$expr": {"$and": tests}}},
                {"$sort": {"seek": -1}},
                {"$limit": query.limit + 1},
            ]
        )
        return query.page([_row(one) for one in found])

    # ------------------------------------------------------------------ expiry

    def sweep(self, codec: Codec) -> Plan[int]:
        """Apply the policy to the threads that expired; remove what crashes left behind."""
        logs = self._logs
        now, swept, limit = logs.clock(), 0, logs.policy.sweep_limit
        unreadable: set[str] = set()
        while limit is None or swept < limit:
            count = _SWEPT_AT_ONCE if limit is None else min(_SWEPT_AT_ONCE, limit - swept)
            wanted = now, self._stale, count + len(unreadable)
            found = yield from rows(logs.queries["due_threads"], wanted)
            due = [one for one in found if one[0] not in unreadable]
            done = False
            for thread_id, expires_at, is_left in due[:count]:
                if is_left:  # of what never ended: a standalone server, or its client, died
                    yield from self._collect(thread_id)
                    yield from self._remove_if_empty(thread_id)
                    done = True
                if expires_at is not None and expires_at <= now:
                    try:
                        gone = yield from self._sweep(codec, thread_id, now)
                    except UNREADABLE as error:
                        log_unreadable(thread_id, error)
                        unreadable.add(thread_id)
                        gone, done = 0, True
                    swept, done = swept + gone, done or bool(gone)
            if not done:
                break  # nothing, or only threads that are being written to
        return swept

    def _sweep(self, codec: Codec, thread_id: str, now: float) -> Plan[int]:
        if self._logs.policy.expires_whole:
            return int((yield from self._bury(thread_id, now)))
        found = yield from self._logs.find(thread_id)
        if found is None:  # dead
            return int((yield from self._bury(thread_id, now)))
        return (yield from self._exclusively([thread_id], self._thin, codec, thread_id, now))

    def _thin(self, codec: Codec, thread_id: str, now: float) -> Plan[int]:
        thread = yield from self._logs.find(thread_id)
        if thread is None or thread.expires_at is None or thread.expires_at > now:
            return 0  # touched since it was listed
        yield from self._keep_latest(codec, thread_id)
        yield from write_all([lasting_thread(self._guard(thread_id))])
        return 1

    # ------------------------------------------------------------------ size

    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count documents and their bytes, as BSON, before compression."""
        found = yield from server()
        counts: list[dict[str, Any]] = []
        if thread_id is None:
            counts = yield from documents(_counts([]))
        elif (yield from self._logs.find(thread_id)) is not None:
            counts = yield from documents(_counts([{"$match": {"thread_id": thread_id}}]))
        numbers = dict.fromkeys(_RECORDS.values(), 0)
        for one in counts:
            numbers[_RECORDS[one["_id"]]] = one["n"]
        numbers["values"] = sum(one["values"] for one in counts)
        return Stats(
            backend=self.backend,
            server=f"{found.version}, {found.topology}",
            threads=numbers["threads"],
            checkpoints=numbers["checkpoints"],
            values=numbers["values"],
            segments=numbers["segments"],
            writes=numbers["writes"],
            bytes=sum(one["bytes"] for one in counts),
        )


def _counts(selected: Sequence[Document]) -> list[Document]:
    entries = {"$size": {"$objectToArray": {"$ifNull": ["$writes", {"$literal": {"": 0}}]}}}
    group = {
        "_id": {"$substrBytes": ["$key", 0, 2]},
        "n": {"$sum": entries},
        "values": {"$sum": {"$size": {"$ifNull": ["$values", []]}}},
        "bytes": {"$sum": {"$bsonSize": "$$ROOT"}},
    }
    return [*selected, {"$group": group}]


def _row(thread: Document) -> tuple[str, float, float, float | None]:
    times = thread["created_at"], thread["updated_at"], thread.get("expires_at")
    return (thread["thread_id"], *times)
