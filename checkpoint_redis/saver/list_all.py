"""`list(None)`: the checkpoints of all threads, newest first, as a merge of the threads' lists.

The registry sorts threads by the id of their newest checkpoint. A page reads checkpoint ids of
threads in that order, merges them, and stops at a thread whose newest id is less than the last one
on the page. So it asks few threads, however many there are. Then it reads the checkpoints.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import nlargest
from typing import Final, NamedTuple

from checkpoint_base.plan import Plan
from checkpoint_base.saver.planner import Listing
from checkpoint_base.saver.records.snapshot import CheckpointRow, SnapshotSet
from checkpoint_redis.connection.requests import Arg, calls
from checkpoint_redis.saver.keys import PARTS
from checkpoint_redis.saver.reading import found_in, wanted
from checkpoint_redis.saver.threads import RedisThreads

_MOST_NAMES: Final = 1_000
"""Names that one merge returns at most. Each merge of a list returns four times the one before."""
_ASKED_AT_ONCE: Final = 500
_BEHIND_ALL: Final = b"\xff"  # sorts after all namespaces: UTF-8 does not have this byte

Name = tuple[str, str, str]
"""(checkpoint id, thread, namespace): names sort as the list does"""


class _Place(NamedTuple):
    """The position of a list: its last checkpoint, and the merged names of which some are used."""

    last: Name
    names: list[Name]
    used: int
    is_complete: bool
    """whether no names follow these"""


class ListAll(RedisThreads):
    """Sub-plans of `list(None)`."""

    def _page_of_all(
        self, replies: SnapshotSet, rest: Listing, count: int
    ) -> Plan[list[CheckpointRow]]:
        place: _Place | None = rest.position
        found: list[CheckpointRow] = []
        while len(found) < count:
            if place is None or place.used == len(place.names):
                if place is not None and place.is_complete:
                    break
                most = min(_MOST_NAMES, count if place is None else 4 * len(place.names))
                names = yield from self._newest_names(rest, place and place.last, most)
                if not names:
                    break
                place = _Place(names[0], names, 0, len(names) < most)
            begin = place.used
            end = min(begin + count - len(found), len(place.names))
            some = yield from self._named(replies, place.names[begin:end])
            for used in range(begin, end):
                name = place.names[used]
                if name in some:
                    position = place._replace(last=name, used=used + 1)
                    found.append(some[name]._replace(position=position))
            place = place._replace(last=place.names[end - 1], used=end)
        return found

    def _named(self, replies: SnapshotSet, names: list[Name]) -> Plan[dict[Name, CheckpointRow]]:
        """Read the checkpoints of these names, except those deleted since."""
        places: dict[str, list[Arg]] = {}
        for checkpoint_id, thread_id, ns in names:
            places.setdefault(thread_id, []).extend((ns.encode(), checkpoint_id.encode()))
        asked = [
            self._call("get_many", each, [*self._touch(), 0, 1, len(some), *some])
            for each, some in places.items()
        ]
        told = yield from calls(asked)
        part = replies.add()  # one reply of each thread
        for thread_id, reply in zip(places, told, strict=True):
            part.found += found_in(part, thread_id, reply)
        return {
            (one.record.checkpoint_id, one.record.thread_id, one.record.ns): one
            for one in part.found
        }

    def _newest_names(self, listing: Listing, last: Name | None, most: int) -> Plan[list[Name]]:
        """The newest names after `last`, at most `most`."""
        newest: list[Name] = []
        places, batch = dict.fromkeys(range(PARTS), b""), max(4, most // 8)
        while places:
            replies = yield from self._registry.heads(places, batch)
            heads = [_split(member) for members in replies.values() for member in members]
            floor = _floor(newest, most)
            threads = [thread_id for head, thread_id in heads if head >= floor]
            for first in range(0, len(threads), _ASKED_AT_ONCE):
                some = threads[first : first + _ASKED_AT_ONCE]
                floor = _floor(newest, most)
                names = yield from self._names_of(listing, some, last, most, floor)
                newest = nlargest(most, [*newest, *names])
            floor = _floor(newest, most)
            places = {
                part: members[-1]
                for part, members in replies.items()
                if len(members) == batch and _split(members[-1])[0] >= floor
            }
        return newest

    def _names_of(
        self, listing: Listing, threads: list[str], last: Name | None, most: int, floor: str
    ) -> Plan[list[Name]]:
        asked, named = [], []
        for thread_id in threads:
            bounds = wanted(replace(listing, position=_within(thread_id, last)))
            if bounds is not None:
                args = [*bounds, most, floor.encode()]
                asked.append(self._call("list_ids", thread_id, args))
                named.append(thread_id)
        names, gone = list[Name](), []
        for thread_id, reply in zip(named, (yield from calls(asked)), strict=True):
            if reply is None:
                gone.append(thread_id.encode())
                continue
            told = [piece.decode() for piece in reply]
            names += [(told[n], thread_id, told[n + 1]) for n in range(0, len(told), 2)]
        yield from self._unregister(gone)
        return names


def _split(member: bytes) -> tuple[str, str]:
    """The newest checkpoint id and the thread, from a member of the registry's labels."""
    head, _, thread_id = member[1:].decode().partition("\0")
    return head, thread_id


def _floor(newest: list[Name], most: int) -> str:
    """The least checkpoint id that can still be among the newest `most` names."""
    return newest[-1][0] if len(newest) == most else ""


def _within(thread_id: str, last: Name | None) -> tuple[str, str, str | bytes | None] | None:
    """Translate a position in the list of all threads to one in a thread's list."""
    if last is None:
        return None
    checkpoint_id, thread, ns = last
    if thread_id == thread:
        return checkpoint_id, thread_id, ns
    # of equal ids, greater threads come first: all namespaces of a lesser one are still to come
    return checkpoint_id, thread_id, _BEHIND_ALL if thread_id < thread else None
