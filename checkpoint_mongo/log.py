"""The threads' logs in MongoDB: documents of a thread, by where in its log they begin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_base.sharing import Segment
from checkpoint_base.statements.logs import StatementLogs, Thread
from checkpoint_base.statements.requests import rows
from checkpoint_mongo.documents import segment_document
from checkpoint_mongo.keys import THREAD, segment_key, under
from checkpoint_mongo.pipelines import of_thread
from checkpoint_mongo.requests import Document, Op, documents, write_all

_DELETED_AT_ONCE: Final = 1000
_COPIED_AT_ONCE: Final = 32  # segments, of up to 256 KiB


class Logs(StatementLogs):
    """Sub-plans on threads and their logs, for whoever holds the thread."""

    def find(self, thread_id: str) -> Plan[Thread | None]:
        return self.live((yield from documents(of_thread(thread_id))))

    def live(self, found: Sequence[Document]) -> Thread | None:
        """The thread whose document was read, unless it is dead or has expired."""
        if not found or found[0].get("dead"):
            return None
        one = found[0]
        thread = Thread(
            one["thread_id"],
            one["epoch"],
            one["log_end"],
            one.get("expires_at"),
            one.get("ttl_override"),
        )
        return None if self.is_expired(thread.expires_at) else thread

    def purge(self, thread: Thread) -> Plan[None]:
        """Remove all of a thread that is held: its own document last."""
        rest = Op({"thread_id": thread.key, "key": {"$gt": THREAD}})
        yield from write_all([rest, Op({"thread_id": thread.key, "key": THREAD})])

    def collect(self, key: Any) -> Plan[None]:
        """Remove what nothing refers to. The document of an empty thread stays: in a transaction
        nobody sees it being removed (see `Removing._remove_if_empty`).
        """
        ((is_empty,),) = yield from rows(self.queries["is_empty"], (key,))
        if is_empty:
            yield from write_all([Op({"thread_id": key, "key": {"$gt": THREAD}})])
        else:
            yield from super().collect(key)

    def clear_garbage(self, key: Any) -> Plan[None]:  # noqa: ARG002
        """Nothing: every removal collects at once, and nothing is counted."""
        yield from ()

    def newest(self, thread: Thread, count: int) -> Plan[list[tuple[int, bytes]]]:
        found = yield from documents(
            [
                {"$match": {"thread_id": thread.key, "key": under("s")}},
                {"$sort": {"key": -1}},
                {"$limit": count},
                {"$project": {"_id": 0, "start": 1, "digests": 1}},
            ]
        )
        return [(one["start"], one["digests"]) for one in found]

    def segment_sizes(self, thread: Thread) -> Plan[list[tuple[int, int]]]:
        found = yield from documents(
            [
                {"$match": {"thread_id": thread.key, "key": under("s")}},
                {"$sort": {"key": 1}},
                {"$project": {"_id": 0, "start": 1, "size": {"$binarySize": "$data"}}},
            ]
        )
        return [(one["start"], one["size"]) for one in found]

    def delete_segments(self, thread: Thread, starts: Sequence[int]) -> Plan[None]:
        yield from self._delete(thread, [segment_key(start) for start in starts])

    def delete_values(self, thread: Thread, names: Sequence[Any]) -> Plan[None]:
        by_key: dict[str, list[bytes]] = defaultdict(list)
        for key, ref in names:
            by_key[key].append(ref)
        own = {"thread_id": thread.key}
        yield from write_all(
            [Op({**own, "key": key}, _without(refs)) for key, refs in by_key.items()]
        )
        found = yield from documents(
            [
                {"$match": {**own, "key": under("b")}},
                {"$match": {"values": {"$size": 0}}},
                {"$project": {"_id": 0, "key": 1}},
            ]
        )
        yield from self._delete(thread, [one["key"] for one in found])

    def _delete(self, thread: Thread, keys: Sequence[str]) -> Plan[None]:
        some = [keys[at : at + _DELETED_AT_ONCE] for at in range(0, len(keys), _DELETED_AT_ONCE)]
        ops = [Op({"thread_id": thread.key, "key": {"$in": list(each)}}) for each in some]
        yield from write_all(ops)

    def insert_segments(self, thread: Thread, segments: Sequence[Segment]) -> Plan[None]:
        yield from write_all([segment_document(thread.key, each) for each in segments])

    def purge_segments(self, thread: Thread) -> Plan[None]:
        yield from write_all([Op({"thread_id": thread.key, "key": under("s")})])

    def copy_segments(self, source: Thread, target: Thread) -> Plan[None]:
        last = "s\0"
        while True:
            found = yield from documents(
                [
                    {"$match": {"thread_id": source.key, "key": {"$gt": last, "$lt": "s\1"}}},
                    {"$sort": {"key": 1}},
                    {"$limit": _COPIED_AT_ONCE},
                ]
            )
            if not found:
                return
            last = found[-1]["key"]
            some = [Segment(one["start"], one["digests"], one["data"]) for one in found]
            yield from self.insert_segments(target, some)


def _without(refs: Sequence[bytes]) -> list[dict[str, Any]]:
    """The change that takes these values out of a document."""
    kept = {"$filter": {"input": "$values", "cond": {"$not": [{"$in": ["$$this.ref", refs]}]}}}
    names = {"$filter": {"input": "$ref", "cond": {"$not": [{"$in": ["$$this", refs]}]}}}
    return [{"$set": {"values": kept, "ref": names}}]
