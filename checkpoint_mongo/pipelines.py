"""Pipelines: how a thread's document lets a write in, and how checkpoints are read.

A string that a user chose stands in a pipeline only where MongoDB takes values for values: in
`$match` as the operand of an operator or of equality, and elsewhere under `$literal`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from checkpoint_base.sharing import SEGMENT
from checkpoint_mongo.keys import THREAD, recent_of, ref_of_thread, segment_key
from checkpoint_mongo.requests import Clock, Document, Op, Stages

MAX_RANGES: Final = 32
"""Ranges of the log that one command asks for; what lies between the nearest is read, too."""

_EPOCH: Final = {"$toString": {"$ifNull": ["$epoch", "no thread"]}}
# An error, because it ends the command: the writes that follow are not made. Only at run time,
# because it depends on the document.
REFUSED: Final = {"$toInt": {"$concat": ["refused at ", _EPOCH]}}
_IS_NEW: Final = {"$eq": [{"$type": "$epoch"}, "missing"]}
_IS_QUIET: Final = {"$eq": [{"$type": "$open"}, "missing"]}
_IS_FREE: Final = {"$eq": [{"$type": "$held_at"}, "missing"]}
_NOT_HELD: Final = dict.fromkeys(("held_at", "held_by", "lent"), "$$REMOVE")
_EXPIRY: Final = {"$ifNull": ["$expires_at", "$$REMOVE"]}
NOW: Final = {"$toLong": "$$NOW"}
"""The server's clock, in milliseconds: whether a write is dead is for it to say."""


class Guard(NamedTuple):
    """What a thread's document must be for a write to be let in.

    Attributes:
        thread_id: whose.
        horizon: it must not expire before.
        stale: seconds after which a write that never ended is taken for dead.
    """

    thread_id: str
    horizon: float
    stale: float

    @property
    def where(self) -> Document:
        """Finds the thread's document."""
        return {"thread_id": self.thread_id, "key": THREAD}

    def _long_ago(self) -> dict[str, Any]:
        return {"$subtract": [NOW, int(self.stale * 1000)]}

    def is_live(self) -> dict[str, Any]:
        """Neither deleted nor expired."""
        expires = {"$ifNull": ["$expires_at", None]}
        lasting = {"$or": [{"$eq": [expires, None]}, {"$gt": [expires, self.horizon]}]}
        return {"$and": [{"$ne": ["$dead", True]}, lasting]}

    def is_free(self) -> dict[str, Any]:
        """Nobody removes anything of it."""
        held = {"$gt": [{"$ifNull": ["$held_at", None]}, self._long_ago()]}
        return {"$not": [held]}

    @staticmethod
    def is_mine(mark: int) -> dict[str, Any]:
        """It is held by who has this mark: by this very call, which asks again after an error."""
        return {"$eq": ["$held_by", mark]}

    def is_quiet(self) -> dict[str, Any]:
        """No write without a transaction is under way."""
        busy = {"$gt": [{"$ifNull": ["$open_at", None]}, self._long_ago()]}
        return {"$not": [busy]}


def open_thread(
    guard: Guard,
    clock: Clock,
    log: tuple[int, int, int] | None,
    new_epoch: int | None,
    mark: str,
    *,
    epoch: int | None = None,
) -> Op:
    """The first change of a put: lets it in, and moves log and clock of the thread.

    Args:
        guard: what the thread must be.
        clock: its time to live.
        log: the epoch, the end of the log before, and afterwards; None: whatever they are.
        new_epoch: of the thread, if this makes it; None: it must be there.
        mark: names a write that is no transaction; empty: it is one.
        epoch: that it must have, if something is taken to be there; None: whatever it is.
    """
    fits: list[Any] = [guard.is_live(), guard.is_free()]
    if log is not None:
        # nor past the mark of who died: what is shared may be gone, although the epoch is the same
        fits += [{"$eq": ["$epoch", log[0]]}, {"$eq": ["$log_end", log[1]]}, _IS_FREE]
    if epoch is not None:
        fits += [{"$eq": ["$epoch", epoch]}, _IS_FREE]
    allowed = {"$cond": [_IS_NEW, new_epoch is not None, {"$and": fits}]}
    end: Any = {"$ifNull": ["$log_end", 0]} if log is None else log[2]
    fields: dict[str, Any] = {
        "log_end": {"$cond": [allowed, end, REFUSED]},
        # else a put at the time of the last one changes nothing, and nobody's removal gives way
        "turn": secrets.randbits(63),
        **_NOT_HELD,  # by somebody who died
        **_times(clock),
    }
    if new_epoch is not None:
        fields |= {
            "epoch": {"$ifNull": ["$epoch", new_epoch]},
            "ref": ref_of_thread(guard.thread_id),
            "created_at": {"$ifNull": ["$created_at", clock.now]},
        }
    if mark:
        fields |= {f"open.{mark}": NOW, "open_at": NOW, "tag": clock.now}
    return Op(guard.where, [{"$set": fields}], upsert=True)


def _times(clock: Clock) -> dict[str, Any]:
    """The fields of a thread that go with its clock."""
    fields: dict[str, Any] = {
        "updated_at": clock.now,
        "seek": {"$concat": [{"$literal": recent_of(clock.now, "")}, "$thread_id"]},
        "expires_at": clock.expires_at,
        "tag": {"$cond": [_IS_QUIET, clock.expires_at, "$tag"]},
    }
    return fields if clock.ttl is None else {**fields, "ttl_override": clock.ttl}


def move_clocks(thread_ids: Sequence[str], clock: Clock, horizon: float) -> Op:
    """Move the clocks of several threads, of those that are live at the `horizon`."""
    where = {
        "ref": {"$in": [ref_of_thread(name) for name in thread_ids]},
        "thread_id": {"$in": thread_ids},
        "dead": {"$ne": True},
        "held_at": {"$exists": False},
        "expires_at": {"$not": {"$lte": horizon}},
    }
    return Op(where, [{"$set": _times(clock)}], many=True)


def close_thread(guard: Guard, mark: str) -> Op:
    """The last change of a put that is no transaction."""
    is_last = {"$eq": ["$open", {"$literal": {}}]}
    left = {name: {"$cond": [is_last, "$$REMOVE", f"${name}"]} for name in ("open", "open_at")}
    left["tag"] = {"$cond": [is_last, _EXPIRY, "$tag"]}
    return Op(guard.where, [{"$unset": f"open.{mark}"}, {"$set": left}])


def hold_thread(guard: Guard, mark: int, since: float | None) -> Op:
    """The first change of whoever removes or copies: refused while somebody writes, or removes it.

    Args:
        guard: what the thread must be.
        mark: the new epoch: what is known of its log is void from now on.
        since: the time; others are kept out until it is released. None: by a transaction.
    """
    allowed = {"$or": [guard.is_mine(mark), {"$and": [guard.is_free(), guard.is_quiet()]}]}
    held = {} if since is None else {"held_at": NOW, "held_by": mark}
    fields: dict[str, Any] = {
        "epoch": {"$cond": [allowed, mark, REFUSED]},
        "open": "$$REMOVE",
        "open_at": "$$REMOVE",
        "tag": _EXPIRY if since is None else since,  # the sweep finds it, if nobody releases it
        **_NOT_HELD,
        **held,
    }
    return Op(guard.where, [{"$set": fields}])


def keep_thread(guard: Guard, mark: int) -> Op:
    """Before each change of whoever holds a thread: refused if somebody else took it over. Who
    makes changes is not dead, however long it takes.
    """
    kept = {"$cond": [guard.is_mine(mark), NOW, REFUSED]}
    return Op(guard.where, [{"$set": {"held_at": kept}}], upsert=True)


def lasting_thread(guard: Guard) -> Op:
    """Let a thread never expire, which somebody may hold."""
    tag = {"$cond": [_IS_FREE, "$$REMOVE", "$tag"]}
    return Op(guard.where, [{"$unset": "expires_at"}, {"$set": {"tag": tag}}])


def lend_thread(guard: Guard) -> Op:
    """Who holds it will remove nothing: it can be read meanwhile."""
    return Op(guard.where, [{"$set": {"lent": True}}])


def is_held(thread: Document) -> bool:
    """Whether something may be removed from a thread that was read, without a transaction."""
    return "held_at" in thread and "lent" not in thread


def release_thread(guard: Guard, new_epoch: int, mark: int | None) -> Op:
    """The last change of whoever held a thread. Its epoch is not the one that it had meanwhile: who
    saw that saw what was not done.

    Args:
        guard: the thread.
        new_epoch: that it has now.
        mark: whose hold it must be. None: of somebody who died.
    """
    died = {"$and": [{"$not": [_IS_FREE]}, guard.is_free()]}
    over = died if mark is None else guard.is_mine(mark)
    fields = {"epoch": new_epoch, "tag": _EXPIRY, **_NOT_HELD}
    freed = {name: {"$cond": [over, some, f"${name}"]} for name, some in fields.items()}
    return Op(guard.where, [{"$set": freed}])


def bury_thread(guard: Guard, mark: int, expired: float | None) -> list[Op]:
    """Make a thread absent, at once and as a whole, and then remove all of it. Its own document
    comes last: until then it keeps a new one out.

    Args:
        guard: what the thread must be.
        mark: the new epoch: what is known of its log is void from now on.
        expired: only if it expires by then; None: in any case.
    """
    allowed: list[Any] = [guard.is_free(), guard.is_quiet()]
    if expired is not None:
        over = {"$lte": [{"$ifNull": ["$expires_at", float("inf")]}, expired]}
        allowed.append(over)
    fields = {
        "epoch": {"$cond": [{"$or": [guard.is_mine(mark), {"$and": allowed}]}, mark, REFUSED]},
        "dead": True,
        "held_at": NOW,
        "held_by": mark,
        "expires_at": 0.0,
        "tag": 0.0,  # the next sweep finishes what a crash interrupts
        "seek": "$$REMOVE",
    }
    return [
        Op(guard.where, [{"$set": fields}], upsert=True),
        Op({"thread_id": guard.thread_id, "key": {"$gt": THREAD}}),
        Op(guard.where),
    ]


def read_clock(guard: Guard, clock: Clock) -> Op:
    """Move a thread's expiry, because it was read."""
    expires = {"$cond": [guard.is_live(), clock.expires_at, "$expires_at"]}
    kept = {"$ifNull": [expires, "$expires_at"]}
    due = {"tag": {"$cond": [{"$and": [_IS_QUIET, _IS_FREE]}, _EXPIRY, "$tag"]}}
    return Op(guard.where, [{"$set": {"expires_at": kept}}, {"$set": due}])


# ---------------------------------------------------------------- reading


def of_thread(thread_id: str) -> Stages:
    """A thread's own document."""
    return [{"$match": {"thread_id": thread_id, "key": THREAD}}]


def union(first: Stages, *others: Stages, collection: str) -> list[Document]:
    """The documents of several pipelines, one after the other, of one command."""
    unions = [{"$unionWith": {"coll": collection, "pipeline": list(each)}} for each in others]
    return [*first, *unions]


def segments(thread_id: str, ranges: Iterable[tuple[int, int]]) -> list[Stages]:
    """The segments that begin in some ranges."""
    return [
        [
            {
                "$match": {
                    "thread_id": thread_id,
                    "key": {"$gte": segment_key(first), "$lt": segment_key(end)},
                }
            }
        ]
        for first, end in _fewer(sorted(ranges))
    ]


def _fewer(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same ranges, the nearest joined: reading over a little costs less than a range more, and
    there should not be too many.
    """
    gaps = sorted(b[0] - a[1] for a, b in pairwise(ranges))
    widest = max(SEGMENT, gaps[-MAX_RANGES + 1] if len(gaps) >= MAX_RANGES else 0)
    joined: list[tuple[int, int]] = []
    for first, end in ranges:
        if joined and first - joined[-1][1] < widest:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined
