"""The named statements of the plans shared with the SQL backends, as commands of MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from checkpoint_base.saver.records.snapshot import ThreadKey
from checkpoint_base.sql.requests import ExecuteMany
from checkpoint_mongo.connection.requests import Aggregate, Document, Find, Op, Write
from checkpoint_mongo.saver.documents import thread_change
from checkpoint_mongo.saver.keys import (
    THREAD,
    checkpoint_key,
    document_id,
    overflow_key,
    parts_of,
    under,
    writes_key,
)

_AT_ONCE: Final = 1000  # keys in a condition

Row = tuple[Any, ...]


@dataclass(frozen=True)
class StatementQuery:
    """A statement that reads: its command, and how a document becomes a row."""

    command: Callable[..., Find | Aggregate]
    row: Callable[[Document], Row]
    tells_emptiness: bool = False
    """the result is one row: whether the command found no document"""

    def request(self, asked: Any) -> Find | Aggregate:
        """The request that the driver performs."""
        return self.command(*asked.values)

    def reply(self, asked: Any, result: Sequence[Document]) -> list[Row]:  # noqa: ARG002
        """The rows that the plan gets."""
        if self.tells_emptiness:
            return [(not result,)]
        return [self.row(document) for document in result]


@dataclass(frozen=True)
class Change:
    """A statement that writes: the changes for each row of values."""

    ops: Callable[..., list[Op]]

    def request(self, asked: Any) -> Write:
        """The request that the driver performs."""
        rows = asked.rows if type(asked) is ExecuteMany else [asked.values]
        return Write([op for row in rows for op in self.ops(*row)])

    def reply(self, asked: Any, written: Any) -> int:  # noqa: ARG002
        """The number of documents inserted, updated and deleted."""
        count: int = len(written.made) + written.matched + written.deleted
        return count


def columns(*names: str) -> Callable[[Document], Row]:
    """A function from a document to the row of these fields."""
    return lambda document: tuple(document.get(name) for name in names)


def of_kind(
    thread_id: str,
    kind: str,
    fields: Sequence[str],
    more: Document | None = None,
    *,
    order: int = 1,
    limit: int = 0,
) -> Aggregate:
    """Fields of a thread's documents of one kind, in the order of their keys.

    The conditions on indexed fields are a `$match` of their own, which MongoDB merges with the
    next one. SecantusDB, its stand-in in tests, would not use the index for a `$match` of both.
    """
    own: Document = {"thread_id": thread_id, "key": under(kind[0])}
    stages: list[Document] = [{"$match": own}, {"$match": {"kind": kind, **(more or {})}}]
    stages.append({"$sort": {"key": order}})
    if limit:
        stages.append({"$limit": limit})
    return Aggregate([*stages, {"$project": {"_id": 0, **dict.fromkeys(fields, 1)}}])


def of_thread(thread_id: str) -> Find:
    """Find a thread's own document."""
    return Find({"_id": document_id(thread_id, THREAD), "thread_id": thread_id})


def _space(document: Document, *names: str) -> Row:
    """The parts of a document's key, and these fields."""
    return (*parts_of(document["key"]), *(document.get(name) for name in names))


def removals(thread_id: ThreadKey, keys: Sequence[str]) -> list[Op]:
    """Remove a thread's documents with these keys."""
    return [
        Op({"thread_id": thread_id, "key": {"$in": keys[at : at + _AT_ONCE]}})
        for at in range(0, len(keys), _AT_ONCE)
    ]


def _removal(thread_id: str, ns: str, checkpoint_id: str) -> list[Op]:
    place = ns, checkpoint_id
    return removals(thread_id, [checkpoint_key(*place), overflow_key(*place), writes_key(*place)])


_VALUE: Final = ("key", "layout")

STATEMENTS: Final[Mapping[str, StatementQuery | Change]] = {
    "thread": StatementQuery(
        of_thread,
        columns("thread_id", "generation", "log_size", "expires_at", "ttl_override", "salt"),
    ),
    "refresh_thread": Change(
        lambda expires_at, thread: [
            thread_change(
                thread,
                {"$unset": {"expires_at": ""}}
                if expires_at is None
                else {"$set": {"expires_at": expires_at}},
            )
        ]
    ),
    "new_epoch": Change(
        lambda generation, thread: [
            thread_change(thread, {"$set": {"generation": generation}, "$unset": {"garbage": ""}})
        ]
    ),
    "clear_garbage": Change(
        lambda thread: [thread_change(thread, {"$unset": {"garbage": ""}}, {"garbage": {"$gt": 0}})]
    ),
    "add_garbage": Change(
        lambda size, thread: [thread_change(thread, {"$inc": {"garbage": size}})]
    ),
    "thread_state": StatementQuery(of_thread, columns("updated_at", "revision")),
    "garbage_threads": StatementQuery(
        lambda least, count: Find(
            {"garbage": {"$gte": least}},
            {"_id": 0, "thread_id": 1},
            sort={"garbage": -1},
            limit=count,
        ),
        columns("thread_id"),
    ),
    "is_empty": StatementQuery(
        lambda thread: Aggregate(
            [
                {"$match": {"thread_id": thread}},
                {"$match": {"kind": {"$in": ["checkpoint", "write"]}}},
                {"$limit": 1},
                {"$project": {"_id": 1}},
            ]
        ),
        columns(),
        tells_emptiness=True,
    ),
    "thread_versions": StatementQuery(
        lambda thread: of_kind(thread, "checkpoint", ("key", "versions")),
        lambda document: (parts_of(document["key"])[0], document["versions"]),
    ),
    "thread_values": StatementQuery(
        lambda thread: of_kind(thread, "value", _VALUE),
        lambda document: (parts_of(document["key"]), *_space(document, "layout")),
    ),
    "write_layouts": StatementQuery(
        lambda thread: of_kind(thread, "write", ("layout",), {"layout": {"$exists": True}}),
        columns("layout"),
    ),
    "checkpoints_of_run": StatementQuery(
        lambda run_id: Find({"run_id": run_id}, {"_id": 0, "thread_id": 1, "key": 1}),
        lambda document: (document["thread_id"], *parts_of(document["key"])),
    ),
    "checkpoint_keys": StatementQuery(
        lambda thread: of_kind(thread, "checkpoint", ("key",)), _space
    ),
    "delete_checkpoint": Change(_removal),  # also deletes its writes
    "delete_writes": Change(lambda *_: []),
    "has_write": StatementQuery(
        lambda thread, ns, checkpoint_id, channel: Aggregate(
            [
                {"$match": {"thread_id": thread, "key": writes_key(ns, checkpoint_id)}},
                {"$match": {"channel": channel}},
                {"$limit": 1},
                {"$project": {"_id": 1}},
            ]
        ),
        columns("_id"),
    ),
    "expired_threads": StatementQuery(
        lambda now, count: Find(
            {"expires_at": {"$lte": now}},
            {"_id": 0, "thread_id": 1},
            sort={"expires_at": 1},
            limit=count,
        ),
        columns("thread_id"),
    ),
}
