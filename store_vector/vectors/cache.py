"""In-memory cache of a database's vectors: one contiguous float32 matrix, updated in place."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from store_vector.records import Array, Name, Search
from store_vector.vectors.exact import fits, matrix
from store_vector.vectors.ranking import Ranking, Rows, Vectors, measure

Item = Any
"""The database's own id of an item, hashable."""

_LEAST: Final = 256
_SPARSE: Final = 4


class Embeddings(NamedTuple):
    """An item's id and name, and its vectors, concatenated as float32 bytes in `data`."""

    item: Item
    ns: str
    key: str
    vectors: int
    data: bytes


class View(NamedTuple):
    """A snapshot of the cached vectors, restricted to some items.

    Attributes:
        vectors: the vectors of all places.
        places: the places to search, ascending; None: all of them.
        items: the item id at each place.
        names: the item's name at each place.
    """

    vectors: Vectors
    places: Rows | None
    items: Sequence[Any]
    names: Sequence[Name]

    def ranked(self, query: Array) -> Callable[[int], list[tuple[Any, float]]]:
        """Score the items against `query`. The returned function gives the best `count` of them, as
        (item, score), best first.
        """
        ranking = Ranking(self.vectors, query, self.places)

        def leading(count: int) -> list[tuple[Any, float]]:
            best = ranking.leading(count, self.names.__getitem__)
            return [(self.items[place], score) for place, score in best]

        return leading


class Places:
    """The vectors of items in an append-only matrix. Each item has a place, the position of its
    vectors; items whose vectors do not have `dims` dimensions are left out.

    An update marks the item's old place as dead, and appends a new one. When more than a quarter of
    the places are dead, the matrix is compacted.

    Args:
        dims: number of dimensions.
        distance: the index's distance function.
        capacity: number of vectors to allocate memory for.
    """

    def __init__(self, dims: int, distance: str, capacity: int = 0) -> None:
        self._dims, self._distance = dims, distance
        self._rows: Array = np.empty((capacity, dims), np.float32)
        self._measures: Array = np.empty(capacity, np.float32)
        self._end = 0  # number of rows in use
        self._names: list[Name] = []  # this and the next five are indexed by place
        self._items: list[Any] = []
        self._counts: list[int] = []
        self._starts = np.empty(0, np.intp)
        self._alive = np.empty(0, np.bool_)
        self._spaces = np.empty(0, np.intp)  # number of the item's namespace
        self._dead = 0
        self._place_of: dict[Any, int] = {}
        self._number_of: dict[str, int] = {}
        self._sorted: list[str] = []  # namespaces, when `_ranks` was last computed
        self._ranks = np.empty(0, np.intp)  # by namespace number: its position in `_sorted`

    @property
    def size(self) -> int:
        """Bytes of the vectors, dead places included."""
        return self._end * self._dims * 4

    def __len__(self) -> int:
        return len(self._place_of)

    def replace(self, touched: Iterable[Item], embeddings: Sequence[Embeddings]) -> None:
        """Replace the vectors of the `touched` items by `embeddings`. An item that is not in
        `embeddings` has none any more.
        """
        for item in touched:
            if (place := self._place_of.pop(item, None)) is not None:
                self._alive[place] = False
                self._dead += 1
        if self._dead * _SPARSE > len(self._items):
            self._compact()
        self.append(embeddings)

    def append(self, embeddings: Sequence[Embeddings]) -> None:
        """Add items that have no place yet. Skips items whose vectors have other dimensions."""
        embeddings = [one for one in embeddings if fits(one.data, one.vectors, self._dims)]
        if not embeddings:
            return
        counts = [one.vectors for one in embeddings]
        rows = matrix([one.data for one in embeddings], self._dims, sum(counts))
        first, end = len(self._items), self._end + len(rows)
        self._reserve(end)
        self._rows[self._end : end] = rows
        if (measures := measure(rows, self._distance)) is not None:
            self._measures[self._end : end] = measures
        begins = np.cumsum(np.array([self._end, *counts[:-1]], np.intp))
        self._starts = np.concatenate((self._starts, begins))
        self._alive = np.concatenate((self._alive, np.ones(len(counts), np.bool_)))
        numbers = [self._number_of.setdefault(one.ns, len(self._number_of)) for one in embeddings]
        self._spaces = np.concatenate((self._spaces, np.array(numbers, np.intp)))
        self._names += [Name(one.ns, one.key) for one in embeddings]
        self._items += [one.item for one in embeddings]
        self._counts += counts
        self._place_of.update((one.item, first + at) for at, one in enumerate(embeddings))
        self._end = end

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._rows):
            return
        capacity = max(rows, len(self._rows) * 3 // 2, _LEAST)
        whole = np.empty((capacity, self._dims), np.float32)
        whole[: self._end] = self._rows[: self._end]
        measures = np.empty(capacity, np.float32)
        measures[: self._end] = self._measures[: self._end]
        self._rows, self._measures = whole, measures

    def _compact(self) -> None:
        places = np.flatnonzero(self._alive)
        kept = places.tolist()
        counts = np.array([self._counts[place] for place in kept], np.intp)
        moved = np.repeat(self._alive, self._counts)  # one flag for each row
        self._rows = self._rows[: self._end][moved]
        self._measures = self._measures[: self._end][moved]
        self._end = len(self._rows)
        self._starts = np.cumsum(counts) - counts
        used, self._spaces = np.unique(self._spaces[places], return_inverse=True)
        known = list(self._number_of)  # dicts keep insertion order, so position is number
        self._number_of = {known[number]: at for at, number in enumerate(used.tolist())}
        self._sorted = []
        self._alive = np.ones(len(kept), np.bool_)
        self._names = [self._names[place] for place in kept]
        self._items = [self._items[place] for place in kept]
        self._counts = [self._counts[place] for place in kept]
        self._place_of = {item: place for place, item in enumerate(self._items)}
        self._dead = 0

    # ------------------------------------------------------------------ search

    def view(self, search: Search, items: Iterable[Item] | None = None) -> View:
        """A snapshot for a search: all items in its namespaces, or only `items`. Later changes do
        not affect the snapshot, because rows in use are never overwritten.
        """
        starts = None if self._end == len(self._items) else self._starts
        measures = self._measures[: self._end]
        vectors = Vectors(self._rows[: self._end], starts, self._distance, measures)
        return View(vectors, self._places(search, items), self._items, self._names)

    def _places(self, search: Search, items: Iterable[Item] | None) -> Rows | None:
        if items is not None:
            places = (self._place_of.get(item, -1) for item in items)
            return np.array(sorted(place for place in places if place >= 0), np.intp)
        inside = self._inside(search.bounds)
        if inside is None:
            return np.flatnonzero(self._alive) if self._dead else None
        return np.flatnonzero(inside & self._alive)

    def _inside(self, bounds: tuple[str, str] | None) -> npt.NDArray[np.bool_] | None:
        if bounds is None:
            return None
        if len(self._sorted) != len(self._number_of):
            self._sorted = sorted(self._number_of)
            self._ranks = np.empty(len(self._sorted), np.intp)
            numbers = [self._number_of[ns] for ns in self._sorted]
            self._ranks[numbers] = np.arange(len(numbers))
        first, end = (bisect_left(self._sorted, bound) for bound in bounds)
        if end - first == len(self._sorted):
            return None
        ranks = self._ranks[self._spaces]
        inside: npt.NDArray[np.bool_] = (ranks >= first) & (ranks < end)
        return inside


class VectorCache:
    """The vectors of a database as of its change counter `change`. Callers that read or update the
    cache must hold `lock`.

    Args:
        dims: number of dimensions.
        distance: the index's distance function.
    """

    def __init__(self, dims: int, distance: str) -> None:
        self.lock = Lock()
        self.change = -1
        self._dims, self._distance = dims, distance
        self._places = Places(dims, distance)

    @property
    def size(self) -> int:
        """Bytes of the vectors, dead places included."""
        return self._places.size

    def __len__(self) -> int:
        return len(self._places)

    def forget(self) -> None:
        """Invalidate the cache: the next search reloads all vectors. Acquires `lock`."""
        with self.lock:
            self.change = -1

    def take(self, change: int, places: Places) -> None:
        """Replace the cache's content by these places."""
        self._places, self.change = places, change

    def fill(self, change: int, embeddings: Sequence[Embeddings]) -> None:
        """Replace the cache's content by these embeddings. `take` needs less memory."""
        places = Places(self._dims, self._distance, sum(one.vectors for one in embeddings))
        places.append(embeddings)
        self.take(change, places)

    def apply(self, change: int, touched: Iterable[Item], embeddings: Sequence[Embeddings]) -> None:
        """Replace the vectors of the `touched` items by `embeddings`. An item that is not in
        `embeddings` has none any more.
        """
        self._places.replace(touched, embeddings)
        self.change = change

    def view(self, search: Search, items: Iterable[Item] | None = None) -> View:
        """See `Places.view`."""
        return self._places.view(search, items)
