"""The named statements of the plans that remove, prune and sweep, as pipelines and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from checkpoint_base.statements.requests import ExecuteMany
from checkpoint_mongo.documents import REFS_OF_VALUES
from checkpoint_mongo.keys import THREAD, checkpoint_key, left_key, under
from checkpoint_mongo.pipelines import NOW
from checkpoint_mongo.requests import Aggregate, Document, Op, Stages, Write

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Reading:
    """A statement that reads: its pipeline, and a row of each document."""

    stages: Callable[..., Stages]
    row: Callable[[Document], Row]
    is_empty: bool = False
    """the one row is whether there is none"""

    def request(self, asked: Any) -> Aggregate:
        """What the driver performs."""
        return Aggregate(self.stages(*asked.values))

    def reply(self, found: Sequence[Document]) -> list[Row]:
        """What the plan gets."""
        return [(not found,)] if self.is_empty else [self.row(document) for document in found]


@dataclass(frozen=True)
class Change:
    """A statement that changes documents: one or some for each row of values."""

    op: Callable[..., Op]

    def request(self, asked: Any) -> Write:
        """What the driver performs."""
        rows = asked.rows if type(asked) is ExecuteMany else [asked.values]
        return Write([self.op(*row) for row in rows])

    def reply(self, written: Any) -> int:
        """What the plan gets: how many documents it was."""
        count: int = len(written.made) + written.matched + written.deleted
        return count


def fields(*names: str) -> Callable[[Document], Row]:
    """A row of these fields."""
    return lambda document: tuple(document.get(name) for name in names)


def _match(thread_id: str, kind: str, *wanted: str) -> Stages:
    """Documents of a kind, with a few fields."""
    project = {"_id": 0, **dict.fromkeys(wanted, 1)}
    return [{"$match": {"thread_id": thread_id, "key": under(kind)}}, {"$project": project}]


def _any(thread_id: str) -> Stages:
    kept = {"$gte": "c\0", "$lt": "cx"}  # checkpoints and writes
    return [
        {"$match": {"thread_id": thread_id, "key": kept}},
        {"$limit": 1},
        {"$project": {"_id": 1}},
    ]


def _newest(thread_id: str) -> Stages:
    group = {"_id": "$ns", "newest": {"$max": "$checkpoint_id"}}
    return [*_match(thread_id, "c", "ns", "checkpoint_id"), {"$group": group}]


def writes_of(thread_id: str, ns: str, checkpoint_id: str) -> Document:
    """Finds the writes of a checkpoint."""
    return {"thread_id": thread_id, "key": under(f"cw\0{ns}\0{checkpoint_id}")}


def _layouts(thread_id: str) -> Stages:
    entry = {"$objectToArray": "$writes"}
    return [
        {"$match": {"thread_id": thread_id, "key": under("cw")}},
        {"$project": {"_id": 0, "entry": entry}},
        {"$unwind": "$entry"},
        {"$match": {"entry.v.layout": {"$exists": True}}},
        {"$project": {"layout": "$entry.v.layout"}},
    ]


def _values(thread_id: str) -> Stages:
    """What checkpoints carry, what those carried that are gone, and values of their own."""
    parts = ("ref", "channel", "version", "layout")
    return [
        {"$match": {"thread_id": thread_id, "key": {"$gte": "b\0", "$lt": "c\1"}}},
        {"$project": {"_id": 0, "key": 1, "ns": 1, **{f"values.{part}": 1 for part in parts}}},
        {"$unwind": "$values"},
    ]


def _value_row(document: Document) -> Row:
    one = document["values"]
    name = document["key"], one["ref"]
    return name, document["ns"], one["channel"], one["version"], one.get("layout")


def _has_write(thread_id: str, ns: str, checkpoint_id: str, channel: str) -> Stages:
    return [
        {"$match": writes_of(thread_id, ns, checkpoint_id)},
        {"$project": {"entry": {"$objectToArray": "$writes"}}},
        {"$match": {"entry.v.channel": channel}},
        {"$limit": 1},
        {"$project": {"_id": 1}},
    ]


def _due(now: float, stale: float, count: int) -> Stages:
    """Threads that the sweep should look at: expired, dead, or marked, without a transaction, by
    somebody who writes to them or removes something.
    """
    long_ago = {"$subtract": [NOW, int(stale * 1000)]}
    marks = ("$open_at", "$held_at")
    old = [{"$and": [{"$gt": [mark, 0]}, {"$lte": [mark, long_ago]}]} for mark in marks]
    is_left = {"$and": [{"$ne": ["$dead", True]}, {"$or": old}]}
    return [
        {"$match": {"tag": {"$lte": now}}},
        {"$sort": {"tag": 1}},
        {"$limit": count},
        {"$project": {"_id": 0, "thread_id": 1, "expires_at": 1, "is_left": is_left}},
    ]


STATEMENTS: Final[Mapping[str, Reading | Change]] = {
    "thread_versions": Reading(
        lambda thread: _match(thread, "c", "ns", "versions"), fields("ns", "versions")
    ),
    "thread_values": Reading(_values, _value_row),
    "write_layouts": Reading(_layouts, fields("layout")),
    "checkpoints_of_run": Reading(
        lambda run_id: [
            {"$match": {"tag": run_id}},
            {"$project": {"_id": 0, "thread_id": 1, "ns": 1, "checkpoint_id": 1}},
        ],
        fields("thread_id", "ns", "checkpoint_id"),
    ),
    "thread_checkpoints_of_runs": Reading(
        lambda thread, run_ids: [
            {"$match": {"tag": {"$in": list(run_ids)}}},
            {"$match": {"thread_id": thread}},
            {"$project": {"_id": 0, "thread_id": 1, "ns": 1, "checkpoint_id": 1}},
        ],
        fields("thread_id", "ns", "checkpoint_id"),
    ),
    "newest_of_namespaces": Reading(_newest, fields("_id", "newest")),
    "checkpoint_keys": Reading(
        lambda thread: _match(thread, "c", "ns", "checkpoint_id"), fields("ns", "checkpoint_id")
    ),
    "new_epoch": Change(
        lambda epoch, thread: Op({"thread_id": thread, "key": THREAD}, [{"$set": {"epoch": epoch}}])
    ),
    "is_empty": Reading(_any, fields(), is_empty=True),
    "has_write": Reading(_has_write, fields("_id")),
    "due_threads": Reading(_due, fields("thread_id", "expires_at", "is_left")),
}


def carriers(thread_id: str) -> Stages:
    """The checkpoints that carry values."""
    return [
        {"$match": {"thread_id": thread_id, "key": under("c")}},
        {"$match": {"values.0": {"$exists": True}}},
        {"$project": {"_id": 0, "key": 1}},
    ]


def removal(thread_id: str, ns: str, checkpoint_id: str) -> Op:
    """Remove a checkpoint that carries nothing."""
    return Op({"thread_id": thread_id, "key": checkpoint_key(ns, checkpoint_id)})


def reduction(thread_id: str, ns: str, checkpoint_id: str, number: int) -> Op:
    """Remove a checkpoint, but for the values that it carries: others may need them."""
    key = checkpoint_key(ns, checkpoint_id)
    left = {
        "thread_id": {"$literal": thread_id},
        "key": {"$literal": left_key(ns, checkpoint_id, number)},
        "ns": {"$literal": ns},
        "ref": REFS_OF_VALUES,
        "values": "$values",
    }
    what = [{"$replaceWith": {"_id": "$_id", **left}}]
    return Op({"thread_id": thread_id, "key": key}, what)


def early_writes(thread_id: str, ns: str, checkpoint_id: str) -> Stages:
    """Writes to checkpoints older than this one, of which there may be none."""
    before = {"$gte": f"cw\0{ns}\0", "$lt": f"cw\0{ns}\0{checkpoint_id}\0"}
    return [
        {"$match": {"thread_id": thread_id, "key": before}},
        {"$project": {"_id": 0, "key": 1, "of": 1}},
    ]
