"""Threads and their logs in MongoDB. A segment is a document; its key has its offset in the log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from checkpoint_base.dedup.segments import Segment
from checkpoint_base.dedup.writer import EncodedValues
from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan
from checkpoint_base.saver.records.kinds import ChannelRecord
from checkpoint_base.sql.logs import SqlDedupWriter, Thread
from checkpoint_mongo.connection.requests import Find, Op, documents, find, write_all
from checkpoint_mongo.saver.documents import segment_ops, thread_change, thread_in, thread_op
from checkpoint_mongo.saver.keys import document_id, parts_of, segment_key, under, value_key
from checkpoint_mongo.saver.statements import of_kind, of_thread, removals

_COPIED: Final = 64  # documents in a command, of up to 4 MiB, most of them far smaller


class MongoDedupWriter(SqlDedupWriter):
    """Sub-plans on threads and their logs, run inside a transaction."""

    def find(self, thread_id: str) -> Plan[Thread | None]:
        result = yield from find(of_thread(thread_id))
        return self.live(result)

    def seen(self, thread_id: str) -> Plan[Thread | None]:
        return (yield from self.find(thread_id))

    def live(self, result: Sequence[dict[str, Any]]) -> Thread | None:
        """The thread in the result of `of_thread`, unless it has expired."""
        thread = thread_in(result[0]) if result else None
        return None if thread is None or self.is_expired(thread.expires_at) else thread

    def new_thread(self, thread_id: str, ttl: float | None, log_end: int, salt: bytes) -> Thread:
        """A thread that is not stored yet."""
        expires = self.policy.expiry(self.clock(), ttl)
        return Thread(thread_id, self.new_epoch(), log_end, expires, ttl, salt, is_new=True)

    def create(self, thread_id: str, ttl: float | None, log_end: int, salt: bytes) -> Plan[Thread]:
        thread = self.new_thread(thread_id, ttl, log_end, salt)
        yield from write_all([thread_op(thread, self.clock())])
        return thread

    def fit_thread(self, thread: Thread, records: Sequence[ChannelRecord]) -> Plan[EncodedValues]:
        """Prepare the values of records for a thread that was read in this transaction."""
        newest = partial(self._newest, thread.key, thread)
        fitted = self.fit(thread.key, thread.epoch, thread.log_end, None, records, newest=newest)
        return (yield from fitted)

    def purge(self, thread: Thread) -> Plan[None]:
        yield from write_all([Op({"thread_id": thread.key})])

    # ------------------------------------------------------------------ segments

    def newest(self, thread: Thread, count: int) -> Plan[list[tuple[int, bytes]]]:
        fields = ("start", "digests")
        result = yield from documents(
            of_kind(thread.key, "segment", fields, order=-1, limit=count).stages
        )
        return [(segment["start"], segment["digests"]) for segment in result]

    def segment_sizes(self, thread: Thread) -> Plan[list[tuple[int, int]]]:
        size = {"_id": 0, "start": 1, "size": {"$binarySize": "$data"}}
        result = yield from documents(
            [
                {"$match": {"thread_id": thread.key, "key": under("s")}},
                {"$sort": {"key": 1}},
                {"$project": size},
            ]
        )
        return [(segment["start"], segment["size"]) for segment in result]

    def delete_segments(self, thread: Thread, starts: Sequence[int]) -> Plan[None]:
        yield from write_all(removals(thread.key, [segment_key(start) for start in starts]))

    def delete_values(self, thread: Thread, names: Sequence[Any]) -> Plan[None]:
        yield from write_all(removals(thread.key, [value_key(*name) for name in names]))

    def insert_segments(self, thread: Thread, segments: Sequence[Segment]) -> Plan[None]:
        yield from write_all(segment_ops(thread.key, segments))

    def purge_segments(self, thread: Thread) -> Plan[None]:
        yield from write_all([Op({"thread_id": thread.key, "key": under("s")})])

    def copy_segments(self, source: Thread, target: Thread) -> Plan[None]:  # noqa: ARG002
        """Do nothing: `copy` copies all documents of a thread."""
        yield from ()

    # ------------------------------------------------------------------ copies

    def copy(self, source: Thread, target: str) -> Plan[None]:
        """Copy all documents of a thread, 64 at a time. `$merge` and `$out` would copy them in one
        command, but are not allowed inside a transaction.
        """
        fields = {"_id": 1, "kind": 1, "garbage": 1}
        names = yield from find(Find({"thread_id": source.key}, fields))
        ids = [document["_id"] for document in names if document["kind"] != "thread"]
        for at in range(0, len(ids), _COPIED):
            where = {"_id": {"$in": ids[at : at + _COPIED]}, "thread_id": source.key}
            result = yield from find(Find(where, sort={"key": 1}))
            yield from write_all([_copied(document, target) for document in result])
        for thread in names:
            if "garbage" in thread:
                counted = {"$set": {"garbage": thread["garbage"]}}
                yield from write_all([thread_change(target, counted)])

    def expect_nothing_else(self, source: Thread, target: Thread) -> Plan[None]:
        """Refuse to overwrite checkpoints.

        Raises:
            InvalidArgumentError: `target` has a checkpoint, or writes to one, that `source` lacks.
        """
        own = yield from self._keys(target.key)
        given = yield from self._keys(source.key)
        for key in sorted(own - given):
            checkpoint_id = parts_of(key)[1]
            raise InvalidArgumentError(
                f"target_thread_id: wanted a thread with nothing of its own, but {target.key!r} "
                f"has checkpoint {checkpoint_id!r} or writes for it, which {source.key!r} has not"
            )

    @staticmethod
    def _keys(thread_id: str) -> Plan[set[str]]:
        kinds = {"kind": {"$in": ["checkpoint", "write"]}}
        project = {"$project": {"_id": 0, "key": 1}}
        result = yield from documents(
            [{"$match": {"thread_id": thread_id}}, {"$match": kinds}, project]
        )
        # only the first letter differs between a checkpoint's key and that of its writes
        return {f"c{document['key'][1:]}" for document in result}


def _copied(document: dict[str, Any], target: str) -> Op:
    kind, key = document["kind"], document["key"]
    more: tuple[str, ...] = ()
    if kind == "write":
        more = document["task_id"], str(document["idx"])
    elif kind == "overflow":
        more = (str(document["number"]),)
    new_id = document_id(target, key, *more)
    return Op({"_id": new_id}, {**document, "_id": new_id, "thread_id": target}, fresh=True)
