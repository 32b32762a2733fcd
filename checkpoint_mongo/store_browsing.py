"""Searches without a query: the newest that pass, by their keys where there is a filter."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_mongo.requests import ITEMS, Find, Op, documents, find, write_all
from checkpoint_mongo.store_documents import RECORD, record_of
from checkpoint_mongo.store_filters import WITHOUT_KEYS, clauses_of, narrowest
from checkpoint_mongo.store_reading import Stage, passing, spaces
from store_vector.records import Record, Search

_NEWEST: Final = {"updated_at": -1, "_id": 1}
_RECORDS: Final[Stage] = {"$project": RECORD}
_LEAST: Final = 50
_PAGES: Final = 1000
_LONGEST: Final = 1000  # characters of a page's name


NOTES: Final = "store_notes"
"""The collection that has what is to be known of all items."""
WITHOUT: Final = "items without keys"
"""The `_id` of the note that some items have no keys: it is there before the first of them, and
stays. So one who has looked at items, and then finds no such note, has missed none of them.
"""


class Browsing:
    """Searches for the newest items.

    Args:
        prefix: what the names of collections begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._items, self._notes = prefix + ITEMS, prefix + NOTES
        self._pages = Pages()
        self._all_have_keys = self._is_noted = False

    def expect_keys(self) -> None:
        """`setup()` has come by: without a note, all items have keys."""
        self._all_have_keys = True

    def note(self) -> Plan[None]:
        """Before an item is put that has no keys: one command, once."""
        if not self._is_noted:
            yield from write_all(
                [Op({"_id": WITHOUT}, {"noted": True}, upsert=True, new=True)], collection=NOTES
            )
            self._is_noted = True

    def search(self, search: Search, horizon: float | None) -> Plan[list[Record]]:
        """The items that a search gives: one command. More, where the filter selected too much, or
        items of the last such page are gone; and one more, once, where items have no keys.
        """
        if not search.filter:
            return (yield from _newest(search, horizon))
        name = page_name(search)
        if (since := self._pages.end(name)) is not None:
            records, _ = yield from self._some(search, horizon, search.end, since)
            if len(records) >= search.end:
                self._pages.note(name, records[search.end - 1].updated_at)
                return records[search.offset : search.end]
        count = search.end
        while True:
            records, is_all = yield from self._some(search, horizon, count)
            if len(records) >= search.end or is_all:
                break
            count = max(8 * count, _LEAST)
        # a filter that selects too much would never fill a page with what was put since
        is_full = len(records) >= search.end == count
        self._pages.note(name, records[search.end - 1].updated_at if is_full else None)
        return records[search.offset : search.end]

    def _some(
        self, search: Search, horizon: float | None, count: int, since: float | None = None
    ) -> Plan[tuple[list[Record], bool]]:
        """Of so many that the filter selects, those that match; and whether there are no more."""
        found = yield from documents(self.stages(search, horizon, count, since), ITEMS)
        if found and found[-1]["_id"] == WITHOUT:
            self._all_have_keys = False
            found = yield from documents(self.stages(search, horizon, count, since), ITEMS)
        # one that has lost its keys between two looks is there twice
        records = [record_of(one) for one in {one["_id"]: one for one in found}.values()]
        matching = [one for one in records if search.filter.matches(one.decoded)]
        return matching, len(found) < count

    def stages(
        self, search: Search, horizon: float | None, count: int, since: float | None = None
    ) -> list[Stage]:
        """Stages that give the newest that a filter selects: those by their keys, and all that have
        none, if there are such.

        To MongoDB the conditions on an item are one, and it chooses the index: that of keys, of
        names (which begin with the namespace), or of times. The first of them alone should do for a
        server that looks no further, or does not know `$elemMatch` as a range.
        """
        newest: list[Stage] = [{"$sort": _NEWEST}, {"$limit": count}]
        bounds = narrowest(search.filter)
        if bounds is None:
            return [*passing(search, horizon), *newest, _RECORDS]
        first: dict[str, Any] = {"keys": bounds.low if bounds.is_key else bounds.test}
        within: list[Stage] = []
        if since is not None and bounds.is_key:
            first["updated_at"] = {"$gte": since}
        elif since is not None:
            within.append({"updated_at": {"$gte": since}})
        if search.bounds is not None:
            within.append({"_id": spaces(search.bounds)})
        if horizon is not None:
            within.append({"expires_at": {"$gt": horizon}})
        others = [one for one in clauses_of(search.filter) if one["keys"] != first["keys"]]
        selected = [*_matching(first, [*within, *others]), *newest, _RECORDS]
        if self._all_have_keys:
            noted = [{"$match": {"_id": WITHOUT}}]
            return [*selected, {"$unionWith": {"coll": self._notes, "pipeline": noted}}]
        without = [*_matching(WITHOUT_KEYS, within), *newest, _RECORDS]
        return [*selected, {"$unionWith": {"coll": self._items, "pipeline": without}}, *newest]


def _matching(first: Stage, others: Sequence[Stage]) -> list[Stage]:
    return [{"$match": first}, *([{"$match": {"$and": others}}] if others else ())]


def _newest(search: Search, horizon: float | None) -> Plan[list[Record]]:
    if horizon is None:
        where = {"ns": spaces(search.bounds)}
        wanted = Find(where, RECORD, ITEMS, _NEWEST, search.offset, search.limit)
        found = yield from find(wanted)
    else:
        stages = [*passing(search, horizon), {"$sort": _NEWEST}, {"$limit": search.end}]
        skipped = [{"$skip": search.offset}] if search.offset else []
        found = yield from documents([*stages, *skipped, _RECORDS], ITEMS)
    return [record_of(one) for one in found]


class Pages:
    """When the last item of a page was put, for the searches that were made last. The next such
    search asks for what was put since: where that fills a page, it is the newest, whatever has
    happened meanwhile.
    """

    def __init__(self) -> None:
        self._ends: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def end(self, name: str) -> float | None:
        """When the last item was put; None: that is not known, or there was no full page."""
        with self._lock:
            return self._ends.get(name)

    def note(self, name: str, end: float | None) -> None:
        """Keep when the last item was put."""
        with self._lock:
            self._ends.pop(name, None)
            if end is not None and len(name) <= _LONGEST:
                self._ends[name] = end
            if len(self._ends) > _PAGES:
                self._ends.popitem(last=False)


def page_name(search: Search) -> str:
    """What searches for one page have in common."""
    return repr((search.ns, search.filter.conditions, search.end))
