"""Exact vector search on SQLite, over a copy of the file's vectors in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from checkpoint_base.plan import Plan, in_callers_transaction, read
from checkpoint_base.sql.requests import Row, row, rows
from checkpoint_sqlite.saver.reading import wanted
from checkpoint_sqlite.store.filters import clauses, indexed_clauses
from checkpoint_sqlite.store.reading import COLUMNS, where
from store_vector.config import IndexSettings, StoreTTL
from store_vector.records import Array, Found, Name, Record, Search
from store_vector.values import loads
from store_vector.vectors.cache import Embeddings, Places, VectorCache
from store_vector.vectors.exact import fits, matrix
from store_vector.vectors.ranking import Ranking, Vectors

_BY_ITEM: Final = (
    f"SELECT i.id, {COLUMNS} FROM want "  # noqa: S608 (a constant)
    "CROSS JOIN store_items AS i ON i.id = want.a"
)
_EMBEDDED: Final = (
    "SELECT e.item, i.ns, i.key, e.count, e.data FROM want "
    "CROSS JOIN store_embeddings AS e ON e.item = want.a "
    "CROSS JOIN store_items AS i ON i.id = e.item"
)
_JOINED: Final = "store_embeddings AS e CROSS JOIN store_items AS i ON i.id = e.item"
_AT_ONCE: Final = 4096
_ATTEMPTS: Final = 20
_LOOKED_AT: Final = 64
_SELECTIVE: Final = 16
"""The best items are checked against the filter one by one: up to _LOOKED_AT, or one in _SELECTIVE
of all. If too few match, the filter is evaluated first, and only matching items are ranked."""


class SqliteVectorSearch:
    """Vector searches of a store, and the cache of its vectors.

    Args:
        settings: of vector search.
        queries: named statements.
        ttl: how items expire.
        cache_bytes: limit of the matrix in memory; if it would be larger, searches read the file.
        fields: the paths of declared fields.
    """

    def __init__(
        self,
        settings: IndexSettings,
        queries: Mapping[str, str],
        ttl: StoreTTL,
        cache_bytes: int,
        fields: Sequence[str],
    ) -> None:
        self._fields = fields
        self._dims, self._distance = settings.dims, settings.distance
        self._queries, self._ttl, self._limit = queries, ttl, cache_bytes
        self._cache = VectorCache(settings.dims, settings.distance)

    def search(self, search: Search, now: float) -> Plan[list[Found]]:
        """Search by a vector: one read transaction, and another one if the cache has changed."""
        attempts = 0
        while (found := (yield from read(self._search, search, now))) is None:
            # another thread's newer transaction has updated the cached vectors: try again
            attempts += 1
            if attempts % _ATTEMPTS == 0:
                self._cache.forget()  # perhaps a backup of the file was restored
        return found

    def _search(self, search: Search, now: float) -> Plan[list[Found] | None]:
        if search.vector is None:
            return []
        if (yield from in_callers_transaction()):  # which may be rolled back: do not cache
            return (yield from self._from_file(search, search.vector, now))
        ((last,),) = yield from rows(self._queries["last_change"])
        change = last or 0
        fits = yield from self._bring_to(change)
        if fits is None:
            return None
        if not fits:
            return (yield from self._from_file(search, search.vector, now))
        return (yield from self._from_cache(search, search.vector, change, now))

    # ------------------------------------------------------------------ in memory

    def _bring_to(self, change: int) -> Plan[bool | None]:
        """Update the cache to this transaction's state. False: it is too large. None: another
        thread has made it newer.
        """
        cache = self._cache
        known = cache.change
        if known >= change:
            return True if known == change else None
        touched = yield from self._touched(known)
        if touched is None:
            return (yield from self._fill(known, change))
        wants = [(item,) for item in touched]
        found = [Embeddings(*one) for one in (yield from wanted(_EMBEDDED, wants))]
        with cache.lock:
            if cache.change != known:
                return None
            cache.apply(change, touched, found)
            if cache.size <= self._limit:
                return True
            cache.take(-1, Places(self._dims, self._distance))  # it has grown too large
            return False

    def _touched(self, known: int) -> Plan[list[int] | None]:
        """The items that changed after change `known`. None: their record was deleted, or they are
        so many that reading all items is faster.
        """
        if known < 0:
            return None
        first = yield from row(self._queries["first_change"])
        if first is None or first[0] > known + 1:
            return None
        most = len(self._cache) // 4 + _AT_ONCE
        touched = yield from rows(self._queries["changed_items"], (known, most + 1))
        return [item for (item,) in touched] if len(touched) <= most else None

    def _fill(self, known: int, change: int) -> Plan[bool | None]:
        ((count,),) = yield from rows(self._queries["count_embeddings"])
        if count * self._dims * 4 > self._limit:
            return False
        places = yield from self._all(count)
        with self._cache.lock:
            if self._cache.change != known:
                return None
            self._cache.take(change, places)
        return True

    def _all(self, count: int) -> Plan[Places]:
        """All vectors of the file, which are `count`, read in batches."""
        places = Places(self._dims, self._distance, count)
        after: int | None = -(1 << 62)
        while after is not None:
            some = yield from rows(self._queries["all_embeddings"], (after, _AT_ONCE))
            places.append([Embeddings(*one) for one in some])
            after = some[-1][0] if len(some) == _AT_ONCE else None
        return places

    def _from_cache(
        self, search: Search, query: Array, change: int, now: float
    ) -> Plan[list[Found] | None]:
        """Rank all cached vectors, then check the best items against the filter. If few of them
        match, evaluate the filter first, and rank only what matches. None: the cache has changed.
        """
        leading = self._ranked(search, query, change, None)
        most = max(_LOOKED_AT, len(self._cache) // _SELECTIVE, 2 * search.end)
        seen, count, found = 0, search.end, list[Found]()
        while leading is not None:
            best = leading(count)
            found += yield from self._look(search, best[seen:], now)
            if len(found) >= search.end or len(best) < count:
                return found[search.offset : search.end]
            seen, count = count, max(4 * count, _LOOKED_AT)
            if seen < most <= count:
                items = yield from self._matching(search, now)
                leading = self._ranked(search, query, change, items)
                seen, found = 0, []
        return None

    def _ranked(
        self, search: Search, query: Array, change: int, items: Iterable[int] | None
    ) -> Callable[[int], list[tuple[int, float]]] | None:
        """A function that gives the n best items. None: the cache is not at `change` any more."""
        with self._cache.lock:
            if self._cache.change != change:
                return None
            view = self._cache.view(search, items)
        return view.ranked(query)

    def _look(
        self, search: Search, best: Sequence[tuple[int, float]], now: float
    ) -> Plan[list[Found]]:
        found = clauses(search.filter)
        sql = " AND ".join([f"{_BY_ITEM} WHERE 1", *(clause.sql for clause in found)])
        values = [value for clause in found for value in clause.values]
        some = yield from wanted(sql, [(item,) for item, _ in best], values)
        records = {item: Record(*columns) for item, *columns in some}
        there = ((records.get(item), score) for item, score in best)
        return [
            Found(record, score)
            for record, score in there
            if record is not None and self._is_wanted(record, search, now)
        ]

    def _is_wanted(self, record: Record, search: Search, now: float) -> bool:
        if self._ttl.is_absent(record.expires_at, now):
            return False
        return not search.filter or search.filter.matches(record.decoded)

    def _matching(self, search: Search, now: float) -> Plan[list[int]]:
        """The items that match the filter: SQL selects, `Filter.matches` decides."""
        conditions, values = where(search, self._ttl.horizon(now))
        for clause in indexed_clauses(search.filter, self._fields):
            conditions.append(clause.sql)
            values += clause.values
        # no join with store_embeddings, whose vectors take many pages: the cache knows its items
        sql = f"SELECT i.id, i.value FROM store_items AS i WHERE {' AND '.join(conditions)}"  # noqa: S608
        some = yield from rows(sql, values)
        wanted_ones = search.filter.matches
        return [item for item, value in some if wanted_ones(loads(value))]

    # ------------------------------------------------------------------ from the file

    def _from_file(self, search: Search, query: Array, now: float) -> Plan[list[Found]]:
        """Search without the cache: read items in batches, and keep the best so far."""
        conditions, values = where(search, self._ttl.horizon(now))
        sql = (
            f"SELECT e.item, e.count, e.data, {COLUMNS} FROM {_JOINED} "  # noqa: S608 (constants)
            f"WHERE e.item > ? AND {' AND '.join(conditions)} ORDER BY e.item LIMIT ?"
        )
        best: list[Found] = []
        after: int | None = -(1 << 62)
        while after is not None:
            some = yield from rows(sql, (after, *values, _AT_ONCE))
            best += self._best_of(search, query, some, now)
            best = sorted(best, key=_place)[: search.end]
            after = some[-1][0] if len(some) == _AT_ONCE else None
        return best[search.offset :]

    def _best_of(
        self, search: Search, query: Array, some: Sequence[Row], now: float
    ) -> list[Found]:
        fitting = [
            (record, count, data)
            for _, count, data, *columns in some
            if fits(data, count, self._dims)
            and self._is_wanted(record := Record(*columns), search, now)
        ]
        if not fitting:
            return []
        counts = [count for _, count, _ in fitting]
        whole = matrix([data for _, _, data in fitting], self._dims, sum(counts))
        vectors = Vectors.of(whole, counts, self._distance)
        names: list[Name] = [record.name for record, _, _ in fitting]
        leading = Ranking(vectors, query).leading(search.end, names.__getitem__)
        return [Found(fitting[at][0], score) for at, score in leading]


def _place(found: Found) -> tuple[float, Name]:
    return -(found.score or 0.0), found.record.name
