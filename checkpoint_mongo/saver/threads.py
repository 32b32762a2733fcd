"""Deleting, pruning, copying, listing and counting threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from checkpoint_base.plan import Plan, read
from checkpoint_base.saver.delta import Lineage, Link, lineage
from checkpoint_base.saver.planner import ThreadQuery
from checkpoint_base.saver.records.kinds import CheckpointRecord, Stats
from checkpoint_base.saver.records.snapshot import ThreadKey
from checkpoint_base.sql.logs import Thread
from checkpoint_base.sql.rows import ThreadRows
from checkpoint_base.sql.threads import SqlThreads as SharedThreads
from checkpoint_mongo.connection.requests import (
    Document,
    Find,
    Op,
    documents,
    find,
    server,
    write_all,
)
from checkpoint_mongo.saver.documents import checkpoint_row, found_in
from checkpoint_mongo.saver.keys import checkpoint_key, parts_of, writes_key
from checkpoint_mongo.saver.reading import MongoReading
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
        conditions: list[Document] = [
            {"kind": "thread", "updated_at": {"$gte": 0}},
            {"expires_at": {"$not": {"$lte": self._logs.horizon}}},
        ]
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
        result = yield from documents(
            [
                *({"$match": condition} for condition in conditions),
                {"$sort": {"updated_at": -1, "thread_id": -1}},
                {"$limit": query.limit + 1},
            ]
        )
        fields = ("thread_id", "created_at", "updated_at", "expires_at")
        return [tuple(document.get(field) for field in fields) for document in result]

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
