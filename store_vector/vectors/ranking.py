"""Similarity scores and top-k ranking, with the same scores and order on all backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from store_vector.records import Array, Name

Scores = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

_SELECTIVE: Final = 8
"""If fewer than 1 in 8 items are candidates, copy their vectors instead of scoring all."""
_SLACK: Final = 1e-5
"""Bound on the error of a float32 score, relative to the magnitude of the operands."""


def precise(rows: Array, query: Array, distance: str) -> Scores:
    """The score of each row in float64; higher is better. Equal rows get equal scores at any
    position in the matrix.

    cosine: from -1 to 1, and 0 for a zero vector. inner_product: the product. l2: the negated
    distance. These are the scores of LangGraph's own Postgres store.
    """
    left, right = rows.astype(np.float64), query.astype(np.float64)
    if distance == "l2":
        distances: Scores = np.sqrt(np.square(left - right).sum(axis=1))
        return -distances
    products: Scores = (left * right).sum(axis=1)
    if distance == "inner_product":
        return products
    lengths = np.sqrt(np.square(left).sum(axis=1) * np.square(right).sum())
    np.divide(products, lengths, out=products, where=lengths > 0)
    return products


def measure(rows: Array, distance: str) -> Array | None:
    """Precompute a number per row for `approximate`: the squared length for l2, the inverse length
    for cosine; None for inner_product.
    """
    if distance == "inner_product":
        return None
    squares: Array = np.einsum("ij,ij->i", rows, rows)
    if distance == "l2":
        return squares
    with np.errstate(divide="ignore"):
        inverse: Array = np.where(squares > 0, 1 / np.sqrt(squares), 0).astype(np.float32)
    return inverse


def approximate(
    rows: Array, measures: Array | None, query: Array, distance: str
) -> tuple[Array, float]:
    """Fast float32 scores, and the bound on their error. Beyond that bound, they order rows as
    `precise` does.
    """
    products = rows @ query
    length = float(np.linalg.norm(query.astype(np.float64)))
    if distance == "cosine" and measures is not None:
        return products * measures, _SLACK * length
    if distance == "l2" and measures is not None:
        largest = float(measures.max(initial=0))
        return 2 * products - measures, _SLACK * (largest + length * length)
    scale = float(np.abs(products).max(initial=0))
    return products, _SLACK * max(scale, length)


@dataclass(frozen=True)
class Vectors:
    """A matrix of vectors, grouped by item.

    Attributes:
        rows: the vectors; those of one item are adjacent.
        starts: the first row of each item, ascending; None: each item has one row.
        distance: the index's distance function.
        measures: the result of `measure` for `rows`.
    """

    rows: Array
    starts: Rows | None
    distance: str
    measures: Array | None

    @classmethod
    def of(cls, rows: Array, counts: Sequence[int], distance: str) -> Vectors:
        """Group `rows` by item; `counts` has the number of vectors of each item, at least 1."""
        starts: Rows | None = None
        if any(count != 1 for count in counts):
            ends = np.cumsum(np.asarray(counts, dtype=np.intp))
            starts = np.concatenate((np.zeros(1, np.intp), ends[:-1]))
        return cls(rows, starts, distance, measure(rows, distance))

    @property
    def count(self) -> int:
        """The number of items."""
        return len(self.rows if self.starts is None else self.starts)

    def only(self, items: Rows) -> Vectors:
        """A copy of the vectors of some items."""
        rows, begins = self.rows_of(items)
        measures = None if self.measures is None else self.measures[rows]
        return Vectors(self.rows[rows], begins, self.distance, measures)

    def rows_of(self, items: Rows) -> tuple[Rows, Rows | None]:
        """The row numbers of some items, and the start of each item among them."""
        if self.starts is None:
            return items, None
        ends = np.append(self.starts[1:], len(self.rows))
        counts = ends[items] - self.starts[items]
        begins: Rows = np.cumsum(counts) - counts
        rows: Rows = np.repeat(self.starts[items] - begins, counts) + np.arange(counts.sum())
        return rows, begins


class Ranking:
    """Ranks items by score. An item's score is that of its best vector.

    Args:
        vectors: the vectors of all items.
        query: the vector to compare with.
        items: the numbers of the candidates, ascending; None: all items.
    """

    def __init__(self, vectors: Vectors, query: Array, items: Rows | None = None) -> None:
        self._query = query
        self._items = items
        self._places: Rows | None = None
        if items is not None and len(items) * _SELECTIVE < vectors.count:
            vectors = vectors.only(items)
        else:
            self._places = items
        self._vectors = vectors
        scores, self._slack = approximate(vectors.rows, vectors.measures, query, vectors.distance)
        if vectors.starts is not None:
            scores = np.maximum.reduceat(scores, vectors.starts)
        self._best: Array = scores if self._places is None else scores[self._places]

    def leading(self, count: int, name: Callable[[int], Name]) -> list[tuple[int, float]]:
        """The best `count` items as (item number, score), best first; ties are ordered by name."""
        if not len(self._best) or count <= 0:
            return []
        near = self._candidates(count)
        scores = self._precise(near if self._places is None else self._places[near])
        numbers = (near if self._items is None else self._items[near]).tolist()
        order = sorted(range(len(numbers)), key=lambda at: (-scores[at], name(numbers[at])))
        return [(numbers[at], float(scores[at])) for at in order[:count]]

    def _candidates(self, count: int) -> Rows:
        """A superset of the best `count` candidates by exact score, unordered."""
        best = self._best
        if count >= len(best):
            return np.arange(len(best))
        last = np.partition(best, len(best) - count)[len(best) - count]
        return np.flatnonzero(best >= last - 2 * self._slack)

    def _precise(self, items: Rows) -> Scores:
        rows, begins = self._vectors.rows_of(items)
        scores = precise(self._vectors.rows[rows], self._query, self._vectors.distance)
        return scores if begins is None else np.maximum.reduceat(scores, begins)
