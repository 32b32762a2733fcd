"""Search by meaning: exact, over what has passed, with vectors that need not be read twice.

An item's vectors are called by a stamp, which every put gives anew. The server says which stamps
pass namespace, filter and expiry; those that are not in memory are read; the best are read with
their stamps again. So what is in memory is never out of date: it is the vectors of a stamp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from checkpoint_base.plan import Plan, offload
from checkpoint_mongo.requests import ITEMS, Document, documents
from checkpoint_mongo.store_documents import EMBEDDING, RECORD, embeddings_of, record_of
from checkpoint_mongo.store_reading import passing
from store_vector.cache import Embeddings, Places, VectorCache, View
from store_vector.config import IndexSettings, StoreTTL
from store_vector.exact import fits, matrix
from store_vector.ranking import Ranking, Vectors
from store_vector.records import Array, Found, Name, Record, Search

HAS_VECTORS: Final[Document] = {"stamp": {"$gt": 0}}

_AT_ONCE: Final = 1000
"""Stamps that one command looks up."""
_MANY: Final = 4
"""If one in so many is missing, all that passes is read."""
_LOOKED_AT: Final = 64
_COSTLY: Final = 1 << 20  # bytes of vectors that are ranked off the event loop
_PATIENCE: Final = 8
"""So often a search begins again because somebody wrote meanwhile."""

Leading = Callable[[int], list[tuple[int, float]]]
"""Gives the first so many, as (stamp, score)."""


class Meaning:
    """The vectors of a store, and the searches over them.

    Args:
        settings: the index.
        ttl: how items expire.
        cache_bytes: how large the matrix in memory may be.
    """

    def __init__(self, settings: IndexSettings, ttl: StoreTTL, cache_bytes: int) -> None:
        self._settings, self._ttl, self._limit = settings, ttl, cache_bytes
        self._cache = VectorCache(settings.dims, settings.distance)
        self._stamps: dict[Name, int] = {}  # of what is in the cache, and the reverse
        self._names: dict[int, Name] = {}

    def search(self, search: Search, query: Array, now: float) -> Plan[list[Found]]:
        """What a search gives: two commands, and one more for vectors that are not in memory."""
        for _ in range(_PATIENCE):
            stamps = yield from self._passing(search, now)
            if len(stamps) * self._settings.dims * 4 > self._limit:
                found = yield from self._in_parts(search, query, stamps)
            else:
                found = yield from self._in_memory(search, query, stamps, now)
            if found is not None:
                return found
        # others write all the time: everything at once, then
        stages = [*passing(search, self._ttl.horizon(now), HAS_VECTORS)]
        some = yield from documents([*stages, {"$project": {**RECORD, **EMBEDDING}}], ITEMS)
        return self.best(search, query, some)[search.offset : search.end]

    def _passing(self, search: Search, now: float) -> Plan[list[int]]:
        stages = passing(search, self._ttl.horizon(now), HAS_VECTORS)
        found = yield from documents([*stages, {"$project": {"_id": 0, "stamp": 1}}], ITEMS)
        return [one["stamp"] for one in found]

    # ------------------------------------------------------------------ in memory

    def _in_memory(
        self, search: Search, query: Array, stamps: Sequence[int], now: float
    ) -> Plan[list[Found] | None]:
        view = yield from self._view(search, stamps, now)
        if view is None:
            return None
        return (yield from self._best_of(search, (yield from self._ranked(view, query))))

    def _view(self, search: Search, stamps: Sequence[int], now: float) -> Plan[View | None]:
        """The vectors of these stamps; None: some are not there any more."""
        with self._cache.lock:
            missing = [stamp for stamp in stamps if stamp not in self._names]
            if not missing:
                return self._cache.view(search, stamps)
        if len(missing) * _MANY > len(stamps):
            stages = passing(search, self._ttl.horizon(now), HAS_VECTORS)
            some = yield from documents([*stages, {"$project": EMBEDDING}], ITEMS)
        else:
            some = yield from self._by_stamp(missing, EMBEDDING)
        found = [embeddings_of(one) for one in some]
        with self._cache.lock:
            self._keep(found)
            if any(stamp not in self._names for stamp in stamps):
                return None
            view = self._cache.view(search, stamps)
            if self._cache.size > self._limit:
                self._forget()
            return view

    def _keep(self, found: Iterable[Embeddings]) -> None:
        new = {Name(one.ns, one.key): one for one in found if one.item not in self._names}
        old = [stamp for name in new if (stamp := self._stamps.get(name)) is not None]
        self._cache.apply(0, old, list(new.values()))
        for stamp in old:
            del self._names[stamp]
        for name, one in new.items():
            self._stamps[name] = one.item
            self._names[one.item] = name

    def _forget(self) -> None:
        """Too much is in memory, or of items that are gone: begin anew."""
        self._stamps.clear()
        self._names.clear()
        self._cache.take(0, Places(self._settings.dims, self._settings.distance))

    @staticmethod
    def _ranked(view: View, query: Array) -> Plan[Leading]:
        if view.vectors.rows.nbytes > _COSTLY:
            yield from offload()
        return view.ranked(query)

    def _best_of(self, search: Search, leading: Leading) -> Plan[list[Found] | None]:
        """The best are read; None: one of them has changed."""
        seen, count, found = 0, search.end, list[Found]()
        while True:
            best = leading(count)
            records = yield from self._records([stamp for stamp, _ in best[seen:]])
            for stamp, score in best[seen:]:
                record = records.get(stamp)
                if record is None:
                    return None
                if not search.filter or search.filter.matches(record.decoded):
                    found.append(Found(record, score))
            if len(found) >= search.end or len(best) < count:
                return found[search.offset : search.end]
            seen, count = count, max(4 * count, _LOOKED_AT)

    def _records(self, stamps: Sequence[int]) -> Plan[Mapping[int, Record]]:
        some = yield from self._by_stamp(stamps, {**RECORD, "stamp": 1})
        return {one["stamp"]: record_of(one) for one in some}

    @staticmethod
    def _by_stamp(stamps: Sequence[int], wanted: Document) -> Plan[list[dict[str, Any]]]:
        found: list[dict[str, Any]] = []
        for first in range(0, len(stamps), _AT_ONCE):
            some = {"stamp": {"$in": list(stamps[first : first + _AT_ONCE])}}
            found += yield from documents([{"$match": some}, {"$project": wanted}], ITEMS)
        return found

    # ------------------------------------------------------------------ without memory

    def _in_parts(
        self, search: Search, query: Array, stamps: Sequence[int]
    ) -> Plan[list[Found] | None]:
        """The same without a cache: a thousand items at a time, the best of them kept."""
        best: list[Found] = []
        for first in range(0, len(stamps), _AT_ONCE):
            part = stamps[first : first + _AT_ONCE]
            some = yield from self._by_stamp(part, {**RECORD, **EMBEDDING})
            if len(some) < len(part):
                return None
            best = sorted([*best, *self.best(search, query, some)], key=_place)[: search.end]
        return best[search.offset :]

    def best(self, search: Search, query: Array, some: Iterable[Document]) -> list[Found]:
        """The best of some documents that match, each once, with exact scores."""
        pairs = list(self.fitting(search, some).values())
        if not pairs:
            return []
        counts = [one.vectors for _, one in pairs]
        whole = matrix([one.data for _, one in pairs], self._settings.dims, sum(counts))
        ranking = Ranking(Vectors.of(whole, counts, self._settings.distance), query)
        leading = ranking.leading(search.end, lambda at: pairs[at][0].name)
        return [Found(pairs[at][0], score) for at, score in leading]

    def fitting(
        self, search: Search, some: Iterable[Document]
    ) -> Mapping[str, tuple[Record, Embeddings]]:
        """Those of some documents that match and have vectors of this length, by `_id`."""
        found = {}
        for one in some:
            record, vectors = record_of(one), embeddings_of(one)
            if not fits(vectors.data, vectors.vectors, self._settings.dims):
                continue
            if not search.filter or search.filter.matches(record.decoded):
                found[one["_id"]] = record, vectors
        return found


def _place(found: Found) -> tuple[float, Name]:
    return -(found.score or 0.0), found.record.name
