"""Exact vector search over a cache of the store's vectors in this process's memory.

Each reply of the server says whether the cache is up to date, and if not, has the vectors that
changed. So a search is one round trip, unless vectors were written since the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from checkpoint_base.plan import Plan, offload
from checkpoint_redis.connection.requests import Arg
from checkpoint_redis.store.filters import arguments
from checkpoint_redis.store.packing import split_name, unpack_item, unpack_vectors
from store_vector.config import IndexSettings
from store_vector.records import Array, Found, Record, Search
from store_vector.vectors.cache import Embeddings, VectorCache
from store_vector.vectors.exact import fits, matrix
from store_vector.vectors.ranking import Ranking, Vectors

Ask = Callable[[str, Sequence[Arg], float], Plan[Any]]
"""Runs a script of the store, given its name, its arguments, and the time in epoch seconds."""

_AT_ONCE: Final = 2_000
"""Items whose vectors one script reads."""
_LOOKED_AT: Final = 64
_MOST_LOOKED_AT: Final = 4_000
_FILTERED: Final = 1_000
_CHANGES: Final = 2_000
_COSTLY: Final = 1 << 20  # bytes; more vectors than this are ranked off the event loop
_PATIENCE: Final = 8
"""How often a search starts over because another process wrote, before it accepts that."""


class _Look(NamedTuple):
    """A search, its time, and the revision of the cached vectors."""

    search: Search
    now: float
    known: int


class RedisVectorSearch:
    """The cached vectors of a store, and the searches over them.

    Args:
        settings: the vector index.
        ask: runs scripts.
        cache_bytes: limit of the cache in bytes; more vectors are read with each search.
    """

    def __init__(self, settings: IndexSettings, ask: Ask, cache_bytes: int) -> None:
        self._dims, self._distance = settings.dims, settings.distance
        self._ask, self._limit = ask, cache_bytes
        self._cache = VectorCache(settings.dims, settings.distance)
        self._too_large = False

    def search(self, search: Search, query: Array, now: float) -> Plan[list[Found]]:
        """The items nearest to a query, as of one moment unless other processes keep writing."""
        for attempt in range(1000):
            if self._cache.change < 0 and not (yield from self._fill(now)):
                return (yield from self._from_server(search, query, now))
            found = yield from self._from_cache(search, query, now, attempt < _PATIENCE)
            if found is not None:
                return found
        return (yield from self._from_server(search, query, now))

    # ------------------------------------------------------------------ in memory

    def _fill(self, now: float) -> Plan[bool]:
        """Read all vectors into the cache, under the revision of the first reply; False: they
        exceed the limit.
        """
        found: list[Embeddings] = []
        revision, behind = None, b""
        while True:
            told, count, some, behind = yield from self._ask(
                "vectors", [behind, _AT_ONCE, b""], now
            )
            if int(count) * self._dims * 4 > self._limit:
                return False
            revision = told if revision is None else revision
            found += [unpack_vectors(some[n], some[n + 1]) for n in range(0, len(some), 2)]
            if not behind:
                break
        with self._cache.lock:
            if self._cache.change < 0:
                self._cache.fill(revision, found)
        return True

    def _from_cache(
        self, search: Search, query: Array, now: float, strict: bool
    ) -> Plan[list[Found] | None]:
        """Rank the cached vectors, and read the best items, more and more of them until enough
        match; None: the cache was out of date.
        """
        with self._cache.lock:
            known = self._cache.change
            if known < 0:
                return None
            view, size = self._cache.view(search), self._cache.size
        if size > _COSTLY:
            yield from offload()
        leading = view.ranked(query)
        seen, found = 0, list[Found]()
        count = max(search.end, _FILTERED) if search.filter else search.end
        revision: int | None = None
        while True:
            best = leading(count)
            reply = yield from self._look(
                _Look(search, now, known), best[seen:], revision if strict else None
            )
            if reply is None:
                return None
            revision, some = reply
            found += some
            if len(found) >= search.end or len(best) < count:
                return found[search.offset : search.end]
            seen, count = count, count + min(max(4 * count, _LOOKED_AT), _MOST_LOOKED_AT)

    def _look(
        self, look: _Look, best: Sequence[tuple[bytes, float]], revision: int | None
    ) -> Plan[tuple[int, list[Found]] | None]:
        search = look.search
        names = [name for name, _ in best]
        expected = b"" if revision is None else revision
        args = arguments(search.filter)
        args += look.known, expected, len(names), _CHANGES, len(names)
        args += names
        reply = yield from self._ask("look", args, look.now)
        what, told, *more = reply
        if what != b"here":
            self._bring_up_to_date(what, look.known, told, more)
            return None
        found = []
        for place, packed in zip(*more, strict=True):
            name, score = best[place]
            record = unpack_item(*split_name(name), packed)
            if not search.filter or search.filter.matches(record.decoded):
                found.append(Found(record, score))
        return told, found

    def _bring_up_to_date(self, what: bytes, known: int, told: int, more: Sequence[Any]) -> None:
        with self._cache.lock:
            if self._cache.change != known:
                return
            if what == b"all":
                self._cache.change = -1  # the next attempt fills the cache again
            elif what == b"changed":
                names, embeddings = more
                new = [
                    unpack_vectors(name, packed)
                    for name, packed in zip(names, embeddings, strict=True)
                    if packed
                ]
                self._cache.apply(told, names, new)

    # ------------------------------------------------------------------ from the server

    def _from_server(self, search: Search, query: Array, now: float) -> Plan[list[Found]]:
        """Search without the cache: read the vectors of all items that pass the prefilter, 2,000
        items at a time, and keep the best.
        """
        for attempt in range(_PATIENCE):
            best: list[Found] = []
            behind, revision = b"", None
            while True:
                args = arguments(search.filter)
                args += behind, _AT_ONCE, search.ns.encode()
                told, some, behind = yield from self._ask("passing", args, now)
                revision = told if revision is None else revision
                if told != revision and attempt < _PATIENCE - 1:
                    break  # another process wrote meanwhile: start over
                best = sorted([*best, *self._ranked(search, query, some)], key=_place)
                best = best[: search.end]
                if not behind:
                    return best[search.offset :]
        raise AssertionError("the last attempt gives what it finds")

    def _ranked(self, search: Search, query: Array, some: Sequence[bytes]) -> list[Found]:
        """Rank items, given as (name, packed item, packed vectors), that match the filter."""
        fitting: list[tuple[Record, Embeddings]] = []
        for n in range(0, len(some), 3):
            vectors = unpack_vectors(some[n], some[n + 2])
            if not fits(vectors.data, vectors.vectors, self._dims):
                continue
            record = unpack_item(*split_name(some[n]), some[n + 1])
            if not search.filter or search.filter.matches(record.decoded):
                fitting.append((record, vectors))
        if not fitting:
            return []
        counts = [one.vectors for _, one in fitting]
        whole = matrix([one.data for _, one in fitting], self._dims, sum(counts))
        ranking = Ranking(Vectors.of(whole, counts, self._distance), query)
        best = ranking.leading(search.end, lambda at: fitting[at][0].name)
        return [Found(fitting[at][0], score) for at, score in best]


def _place(found: Found) -> tuple[float, str, str]:
    return -(found.score or 0.0), found.record.ns, found.record.key
