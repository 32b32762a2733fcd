"""Deleting, pruning, copying, listing and counting threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from langgraph.checkpoint.serde.types import INTERRUPT

from checkpoint_base.plan import Plan, read
from checkpoint_base.saver.delta import Lineage, Link, lineage
from checkpoint_base.saver.planner import HeadQuery, ThreadQuery
from checkpoint_base.saver.records.kinds import CheckpointRecord, Stats
from checkpoint_base.saver.records.snapshot import ReadSnapshot, ThreadKey
from checkpoint_base.sql.logs import Thread
from checkpoint_base.sql.rows import ThreadRows, checked_threads
from checkpoint_base.sql.threads import SqlThreads as SharedThreads
from checkpoint_mongo.connection.requests import (
    LEASES,
    Document,
    Find,
    Op,
    documents,
    find,
    server,
    write_all,
)
from checkpoint_mongo.saver.documents import add_part, checkpoint_row, found_in
from checkpoint_mongo.saver.keys import checkpoint_key, document_id, parts_of, under, writes_key
from checkpoint_mongo.saver.reading import MongoReading, with_terms
from checkpoint_mongo.saver.segments import MongoDedupWriter
from checkpoint_mongo.saver.statements import removals


class MongoThreads(MongoReading, SharedThreads):
    """Plans on whole threads, and on the ancestors of a checkpoint."""

    _logs: MongoDedupWriter

    def _delete(self, thread_id: str) -> Plan[None]:
        yield from write_all([Op({"thread_id": thread_id})])

    def _delete_early_writes(self, key: ThreadKey, ns: str, checkpoint_id: str) -> Plan[None]:
        """Delete writes to checkpoints older than this one that do not exist."""
        before = {"$gte": writes_key(ns, ""), "$lt": writes_key(ns, checkpoint_id)}
        writes = yield from find(Find({"thread_id": key, "key": before}, {"_id": 0, "key": 1}))
        if not writes:
            return
        older = {"$gte": checkpoint_key(ns, ""), "$lt": checkpoint_key(ns, checkpoint_id)}
        kept = yield from find(Find({"thread_id": key, "key": older}, {"_id": 0, "key": 1}))
        kept_keys = {writes_key(*parts_of(document["key"])) for document in kept}
        gone = {document["key"] for document in writes} - kept_keys
        yield from write_all(removals(key, sorted(gone)))

    def _copy(self, source: str, target: str) -> Plan[None]:
        logs = self._logs
        original = yield from logs.find(source)
        if original is None:
            return
        previous = yield from logs.find(target)
        if previous is not None:
            yield from logs.expect_nothing_else(original, previous)
        yield from self._delete(target)
        of_original = original.ttl_override, original.log_end, original.salt
        yield from logs.create(target, *of_original)
        yield from logs.copy(original, target)

    def _lease(self, owner: str, seconds: float) -> Plan[bool]:
        """Two commands: a conditional update, by the server's clock, and a read of its outcome."""
        where = {"_id": "retention"}
        now = {"$toLong": "$$NOW"}  # milliseconds
        is_free = {"$lte": [{"$ifNull": ["$expires_at", 0]}, now]}
        takes = {"$or": [{"$eq": ["$owner", {"$literal": owner}]}, is_free]}
        end = {"$add": [now, round(1000 * seconds)]}
        taken = {
            "owner": {"$cond": [takes, {"$literal": owner}, "$owner"]},
            "expires_at": {"$cond": [takes, end, "$expires_at"]},
        }
        yield from write_all([Op(where, [{"$set": taken}], upsert=True)], collection=LEASES)
        found = yield from find(Find({**where, "owner": owner}, {"_id": 1}, LEASES))
        return bool(found)

    # ------------------------------------------------------------------ lineages

    def _record(
        self, checked: ThreadRows, key: ThreadKey, ns: str, checkpoint_id: str
    ) -> Plan[CheckpointRecord]:
        where = {"thread_id": key, "key": checkpoint_key(ns, checkpoint_id)}
        (document,) = yield from find(Find(where))
        return checked.checkpoint(checkpoint_row((yield from self._complete(document))))

    def _row(self, thread: Thread, ns: str, checkpoint_id: str) -> Plan[CheckpointRecord | None]:
        where = {"thread_id": thread.key, "key": checkpoint_key(ns, checkpoint_id)}
        for document in (yield from find(Find(where))):
            return found_in((yield from self._complete(document)), thread).record
        return None

    def _lineage(
        self,
        checked: ThreadRows,
        key: ThreadKey,  # noqa: ARG002
        ns: str,
        checkpoint_id: str,
        channels: Sequence[str],
    ) -> Plan[Lineage]:
        ancestors = partial(self._ancestors, checked, ns)
        return (yield from lineage(checkpoint_id, channels, ancestors))

    @staticmethod
    def _ancestors(checked: ThreadRows, ns: str, first: str, depth: int) -> Plan[Iterable[Link]]:
        """A checkpoint and its ancestors. A parent mostly has the next smaller id, so that one
        range of ids reads many ancestors.
        """
        fields = ("checkpoint_id", "parent_id", "versions", "link_checksum")
        project = {"_id": 0, **dict.fromkeys(fields, 1)}
        read: dict[str, Document] = {}
        chain: list[Document] = []
        name: str | None = first
        while name is not None and len(chain) <= depth:
            if name not in read:
                keys = {"$gte": checkpoint_key(ns, ""), "$lte": checkpoint_key(ns, name)}
                where = {"thread_id": checked.thread_id, "key": keys}
                count = depth + 1 - len(chain)
                result = yield from find(Find(where, project, sort={"key": -1}, limit=count))
                read |= {document["checkpoint_id"]: document for document in result}
            if name not in read:
                break
            chain.append(read[name])
            name = read[name].get("parent_id")
        return (checked.link(ns, [link.get(field) for field in fields]) for link in chain)

    # ------------------------------------------------------------------ list, size

    def _thread_rows(self, query: ThreadQuery) -> Plan[list[Any]]:
        stages = _of_threads(query, self._logs.horizon)
        found = yield from documents([*stages, {"$limit": query.limit + 1}])
        return [_times(document) for document in found]

    def _head_rows(self, query: HeadQuery) -> Plan[list[Any]]:
        stages = _of_threads(query, self._logs.horizon)
        found = yield from documents([*stages, {"$limit": query.limit}])
        keys = yield from self._newest_of([document["thread_id"] for document in found])
        channels = yield from self._channels_of(keys)
        ids = [
            document_id(name, key)
            for name, key in keys.items()
            if query.channel in (None, *(channel for _, channel in channels.get(name, ())))
        ]
        stages = [{"$match": {"_id": {"$in": ids}}}, *with_terms(query.terms)]
        chosen = (yield from documents(stages)) if ids else []
        rows: dict[str, Sequence[Any]] = {}
        for checkpoint in chosen:
            rows[checkpoint["thread_id"]] = checkpoint_row((yield from self._complete(checkpoint)))
        result: list[Any] = []
        for document in found:
            name = document["thread_id"]
            own = *_times(document), name, document["salt"], channels.get(name, ())
            result.append((*own, *rows.get(name, (None,))))
        return result

    @staticmethod
    def _newest_of(names: Sequence[str]) -> Plan[dict[str, str]]:
        """Thread -> key of its newest root checkpoint. The index has all that this needs."""
        if not names:
            return {}
        stages: list[Document] = [
            {"$match": {"thread_id": {"$in": names}, "key": under("c\0")}},
            {"$sort": {"thread_id": -1, "key": -1}},
            {"$group": {"_id": "$thread_id", "key": {"$first": "$key"}}},
        ]
        return {one["_id"]: one["key"] for one in (yield from documents(stages))}

    @staticmethod
    def _channels_of(checkpoints: Mapping[str, str]) -> Plan[dict[str, list[tuple[str, str]]]]:
        """Thread -> (task id, channel) of each write to the checkpoint of this key."""
        found: dict[str, list[tuple[str, str]]] = {}
        if not checkpoints:
            return found
        keys = {name: writes_key(*parts_of(key)) for name, key in checkpoints.items()}
        fields = dict.fromkeys(("thread_id", "key", "task_id", "channel"), 1)
        for write in (yield from find(Find(_written(keys), {"_id": 0, **fields}))):
            if write["key"] == keys[write["thread_id"]]:
                written = found.setdefault(write["thread_id"], [])
                written.append((write["task_id"], write["channel"]))
        return found

    def _load_interrupts(self, snapshot: ReadSnapshot) -> Plan[None]:
        keys = {str(one.thread): writes_key(*one.place[1:]) for one in snapshot.found}
        threads = checked_threads(snapshot.found)
        where = {**_written(keys), "channel": INTERRUPT}
        for write in (yield from find(Find(where, {"_id": 0}))):
            if write["key"] == keys[write["thread_id"]]:
                add_part(snapshot, threads, write)
        yield from self._load_segments(snapshot)

    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count documents and their bytes as BSON, before compression."""
        deployment = yield from server()
        counts = yield from read(self._counts, thread_id)
        numbers = {name: count for name, count, _ in counts}
        return Stats(
            backend=self.backend,
            server=f"{deployment.version}, {deployment.topology}",
            threads=numbers.get("thread", 0),
            checkpoints=numbers.get("checkpoint", 0),
            values=numbers.get("value", 0),
            segments=numbers.get("segment", 0),
            writes=numbers.get("write", 0),
            bytes=sum(size for *_, size in counts),
        )

    def _counts(self, thread_id: str | None) -> Plan[list[tuple[str, int, int]]]:
        stages: list[Document] = []
        if thread_id is not None:
            if (yield from self._logs.find(thread_id)) is None:
                return []
            stages.append({"$match": {"thread_id": thread_id}})
        sums = {"count": {"$sum": 1}, "size": {"$sum": {"$bsonSize": "$$ROOT"}}}
        result = yield from documents([*stages, {"$group": {"_id": "$kind", **sums}}])
        return [(document["_id"], document["count"], document["size"]) for document in result]

    def _thread_counts(self, thread: Thread) -> Plan[Sequence[int] | None]:
        raise NotImplementedError  # not called: `stats` is overridden


def _of_threads(query: ThreadQuery, horizon: float) -> list[Document]:
    """Stages that return threads' documents, the last updated first."""
    conditions: list[Document] = [{"kind": "thread", "updated_at": {"$gte": 0}}]
    conditions.append({"expires_at": {"$not": {"$lte": horizon}}})
    if query.prefix:
        begins = {"$eq": [{"$indexOfBytes": ["$thread_id", {"$literal": query.prefix}]}, 0]}
        conditions += [{"thread_id": {"$gte": query.prefix}}, {"$expr": begins}]
    times = {"$lt": query.updated_before, "$gt": query.updated_after}
    if given := {name: moment for name, moment in times.items() if moment is not None}:
        conditions.append({"updated_at": given})
    if query.position is not None:
        updated_at, thread_id = query.position
        tie = {"updated_at": updated_at, "thread_id": {"$lt": thread_id}}
        conditions.append({"$or": [{"updated_at": {"$lt": updated_at}}, tie]})
    return [
        *({"$match": condition} for condition in conditions),
        {"$sort": {"updated_at": -1, "thread_id": -1}},
    ]


def _written(keys: Mapping[str, str]) -> Document:
    """The condition of writes under these keys, each of a thread. Copies of a thread share keys."""
    return {"thread_id": {"$in": [*keys]}, "key": {"$in": sorted({*keys.values()})}}


def _times(document: Document) -> tuple[Any, ...]:
    """(id, created, updated, expires) of a thread."""
    fields = ("thread_id", "created_at", "updated_at", "expires_at")
    return tuple(document.get(field) for field in fields)
