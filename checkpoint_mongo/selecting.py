"""Which checkpoints a read begins with, as stages of a pipeline."""

from __future__ import annotations

from typing import Any

from checkpoint_base.listing import fragments
from checkpoint_base.planner import Listing
from checkpoint_mongo.keys import PLACES, checkpoint_key, place_of, under
from checkpoint_mongo.requests import Document, Stages


def newest_of(thread_id: str, ns: str, start: str | None = None) -> Stages:
    """The newest checkpoint of a namespace, if it is not older than `start`."""
    keys = under(f"c\0{ns}")
    if start is not None:
        keys["$gte"] = checkpoint_key(ns, start)
    return [
        {"$match": {"thread_id": thread_id, "key": keys}},
        {"$sort": {"key": -1}},
        {"$limit": 1},
    ]


def exactly(thread_id: str, ns: str, checkpoint_id: str) -> Stages:
    """One checkpoint."""
    return [{"$match": {"thread_id": thread_id, "key": checkpoint_key(ns, checkpoint_id)}}]


def candidates(listing: Listing, count: int, start: str | None = None) -> Stages:
    """The next so many checkpoints that may be wanted, in the order of the list.

    Args:
        listing: what is left of it.
        count: so many.
        start: there are as many from this id on, in the namespace (of a whole thread: in the
            first one, whose name is empty).
    """
    if listing.thread_id is None:
        stages, order = _anywhere(listing), {"seek": -1}
    elif listing.ns is None:
        stages, order = _in_thread(listing, start), {"checkpoint_id": -1, "ns": -1}
    else:
        stages = _in_namespace(listing, listing.thread_id, listing.ns, start)
        order = {"key": -1}
    for fragment in fragments(listing.filter):
        found = {"$gte": [{"$indexOfBytes": ["$metadata", {"$literal": fragment}]}, 0]}
        sealed = {"$ne": [{"$type": "$sealed"}, "missing"]}
        stages.append({"$match": {"$expr": {"$or": [sealed, found]}}})
    return [*stages, {"$sort": order}, {"$limit": count}]


def _in_namespace(listing: Listing, thread_id: str, ns: str, start: str | None) -> list[Document]:
    if listing.checkpoint_id is not None:
        return [*exactly(thread_id, ns, listing.checkpoint_id), *_rest(listing)]
    keys: dict[str, Any] = under(f"c\0{ns}")
    if start is not None:
        keys["$gte"] = checkpoint_key(ns, start)
    ends = [checkpoint_key(ns, end) for end in _ends(listing)]
    keys["$lt"] = min([keys["$lt"], *ends])
    return [{"$match": {"thread_id": thread_id, "key": keys}}]


def beside_root(thread_id: str) -> Stages:
    """Whether a thread has checkpoints in other namespaces than the first: one of them."""
    keys = {"$gte": "c\0\1", "$lt": "c\1"}
    return [
        {"$match": {"thread_id": thread_id, "key": keys}},
        {"$limit": 1},
        {"$project": {"_id": 0, "key": 1}},
    ]


def end_of(listing: Listing) -> str | None:
    """Only checkpoints with lesser ids are wanted, but for some that have this very one."""
    return min(_ends(listing), default=None)


def _ends(listing: Listing) -> list[str]:
    """Checkpoint ids that are less than each of these are wanted."""
    ends = [] if listing.before is None else [listing.before]
    return ends if listing.position is None else [*ends, listing.position[0]]


def _rest(listing: Listing) -> list[Document]:
    """Conditions of a list that names one checkpoint."""
    return [{"$match": {"checkpoint_id": {"$lt": end}}} for end in _ends(listing)]


def _in_thread(listing: Listing, start: str | None) -> list[Document]:
    keys = under("c")
    if start is not None:
        keys["$gte"] = checkpoint_key("", start)  # and all of the other namespaces
    stages: list[Document] = [{"$match": {"thread_id": listing.thread_id, "key": keys}}]
    if listing.checkpoint_id is not None:
        stages.append({"$match": {"checkpoint_id": listing.checkpoint_id}})
    if listing.before is not None:
        stages.append({"$match": {"checkpoint_id": {"$lt": listing.before}}})
    if listing.position is not None:
        checkpoint_id, _, ns = listing.position
        earlier = {"checkpoint_id": {"$lt": checkpoint_id}}
        beside = {"checkpoint_id": checkpoint_id, "ns": {"$lt": ns}}
        stages.append({"$match": {"$or": [earlier, beside]}})
    return stages


def _anywhere(listing: Listing) -> list[Document]:
    of_one = "" if listing.checkpoint_id is None else f"\0{listing.checkpoint_id}"
    places: dict[str, Any] = under(PLACES + of_one)
    ends = [] if listing.before is None else [f"{PLACES}\0{listing.before}"]
    if listing.position is not None:
        checkpoint_id, thread_id, ns = listing.position
        ends.append(place_of(thread_id, ns, checkpoint_id))
    if ends:
        places["$lt"] = min([*ends, places["$lt"]])
    stages: list[Document] = [{"$match": {"seek": places}}]
    return stages if listing.ns is None else [*stages, {"$match": {"ns": listing.ns}}]
