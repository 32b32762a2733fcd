"""Exact vector search over the matching items, with a cache of vectors in this process's memory.

Each put gives an item's vectors a new stamp, under which they are cached. So a cached vector is
never out of date. A search reads, in one snapshot, the stamps of the items that pass namespace,
filter and expiry, then the vectors that are not cached, then the items that rank best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from checkpoint_base.plan import Plan, offload, read
from checkpoint_mongo.connection.requests import ITEMS, Document, documents
from checkpoint_mongo.store.documents import EMBEDDING, RECORD, embeddings_of, record_of
from checkpoint_mongo.store.search import selecting
from store_vector.config import IndexSettings
from store_vector.records import Array, Found, Name, Search
from store_vector.vectors.cache import Embeddings, Places, VectorCache

_AT_ONCE: Final = 200
"""Stamps in one command: SecantusDB compares each item with all of them."""
_MANY: Final = 4
"""If more than one in this many vectors is not cached, those of all matching items are read."""
_LOOKED_AT: Final = 64

Leading = Callable[[int], list[tuple[int, float]]]
"""Returns the best `count`, as (stamp, score)."""


class MongoVectorSearch:
    """The cached vectors of a store, and the searches over them.

    Args:
        settings: the vector index.
        cache_bytes: limit of the cache in bytes.
    """

    def __init__(self, settings: IndexSettings, cache_bytes: int) -> None:
        self._dims, self._distance, self._limit = settings.dims, settings.distance, cache_bytes
        self._cache = VectorCache(settings.dims, settings.distance)
        self._stamps: dict[Name, int] = {}  # of the cached items; `_names` is the reverse
        self._names: dict[int, Name] = {}

    def search(self, search: Search, query: Array, horizon: float | None) -> Plan[list[Found]]:
        """The items nearest to a query: two commands, and one more for vectors not cached."""
        return (yield from read(self._search, search, query, horizon))

    def _search(self, search: Search, query: Array, horizon: float | None) -> Plan[list[Found]]:
        stages = selecting(search, horizon, [{"stamp": {"$gt": 0}}])
        passing = yield from documents([*stages, {"$project": {"_id": 0, "stamp": 1}}], ITEMS)
        stamps = [one["stamp"] for one in passing]
        if len(stamps) * self._dims * 4 > self._limit:
            leading = yield from self._ranked_in_parts(search, query, stamps)
        else:
            leading = yield from self._ranked(search, query, stages, stamps)
        seen, count, found = 0, search.end, list[Found]()
        while True:
            best = leading(count)
            stored = yield from _by_stamp([stamp for stamp, _ in best[seen:]], RECORD)
            records = {one["stamp"]: record_of(one) for one in stored}
            for stamp, score in best[seen:]:
                record = records.get(stamp)  # None: deleted since, on a server without snapshots
                if record and (not search.filter or search.filter.matches(record.decoded)):
                    found.append(Found(record, score))
            if len(found) >= search.end or len(best) < count:
                return found[search.offset : search.end]
            seen, count = count, max(4 * count, _LOOKED_AT)

    def _ranked(
        self, search: Search, query: Array, stages: Sequence[Document], stamps: Sequence[int]
    ) -> Plan[Leading]:
        """Rank by the cached vectors, after reading those that are missing."""
        with self._cache.lock:
            missing = [stamp for stamp in stamps if stamp not in self._names]
            view = self._cache.view(search, stamps)
        if missing:
            if len(missing) * _MANY > len(stamps):
                project = {"$project": {**EMBEDDING, "stamp": 1}}
                some = yield from documents([*stages, project], ITEMS)
            else:
                some = yield from _by_stamp(missing, EMBEDDING)
            found = [embeddings_of(one) for one in some]
            with self._cache.lock:
                self._keep(found)
                view = self._cache.view(search, stamps)
                if self._cache.size > self._limit:
                    self._clear()
        yield from offload(view.vectors.rows.nbytes >> 4)  # ranking is faster than decoding
        return view.ranked(query)

    def _keep(self, found: Iterable[Embeddings]) -> None:
        new = {Name(one.ns, one.key): one for one in found if one.item not in self._names}
        old = [stamp for name in new if (stamp := self._stamps.get(name)) is not None]
        self._cache.apply(0, old, list(new.values()))
        for stamp in old:
            del self._names[stamp]
        for name, one in new.items():
            self._stamps[name] = one.item
            self._names[one.item] = name

    def _clear(self) -> None:
        """Empty the cache: it is too large, or has vectors of deleted items."""
        self._stamps.clear()
        self._names.clear()
        self._cache.take(0, Places(self._dims, self._distance))

    def _ranked_in_parts(
        self, search: Search, query: Array, stamps: Sequence[int]
    ) -> Plan[Leading]:
        """Rank more vectors than the cache may hold, in parts, keeping only their scores."""
        scores: list[tuple[float, Name, int]] = []
        for first in range(0, len(stamps), _AT_ONCE):
            part = stamps[first : first + _AT_ONCE]
            found = [embeddings_of(one) for one in (yield from _by_stamp(part, EMBEDDING))]
            names = {one.item: Name(one.ns, one.key) for one in found}
            places = Places(self._dims, self._distance)
            places.append(found)
            ranked = places.view(search).ranked(query)(len(part))
            scores += [(-score, names[stamp], stamp) for stamp, score in ranked]
        scores.sort()
        return lambda count: [(stamp, -score) for score, _, stamp in scores[:count]]


def _by_stamp(stamps: Sequence[int], fields: Document) -> Plan[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    for first in range(0, len(stamps), _AT_ONCE):
        some = {"stamp": {"$in": list(stamps[first : first + _AT_ONCE])}}
        found += yield from documents(
            [{"$match": some}, {"$project": {**fields, "stamp": 1}}], ITEMS
        )
    return found
