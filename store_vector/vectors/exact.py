"""Exact vector search with numpy over rows fetched from a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from checkpoint_base.errors import CorruptValueError
from store_vector.embedding.embed import FLOAT32
from store_vector.records import Array, Name
from store_vector.vectors.ranking import Ranking, Vectors


def fits(data: bytes, count: int, dims: int) -> bool:
    """Whether an item's `count` concatenated vectors have `dims` dimensions. Vectors stored under
    another `index["dims"]` do not, and searches ignore them.

    Raises:
        CorruptValueError: the length of `data` is not that of `count` vectors.
    """
    if len(data) == 4 * dims * count:
        return True
    if not data or len(data) % (4 * count):
        raise CorruptValueError(f"the {len(data)} bytes stored are not those of {count} vectors")
    return False


def matrix(blobs: Sequence[bytes], dims: int, count: int) -> Array:
    """The matrix of `count` stored vectors of `dims` dimensions. A blob may hold several."""
    return np.frombuffer(b"".join(blobs), dtype=FLOAT32).reshape(count, dims)


def search(
    fetched: Iterable[tuple[str, str, bytes]], query: Array, distance: str, count: int
) -> list[tuple[Name, float]]:
    """The `count` best items and their scores, best first; ties are ordered by name.

    Args:
        fetched: (ns, key, vector) of all candidates, which have passed the checks of namespace,
            filter and expiry. The vectors of one item are adjacent.
        query: the search's vector.
        distance: the index's `distance`.
        count: `Search.end`, or more if the caller may still drop results.
    """
    names: list[Name] = []
    counts: list[int] = []
    blobs: list[bytes] = []
    for (ns, key), group in groupby(fetched, key=lambda row: (row[0], row[1])):
        vectors = [row[2] for row in group if fits(row[2], 1, len(query))]
        if not vectors:
            continue
        names.append(Name(ns, key))
        counts.append(len(vectors))
        blobs += vectors
    if not names:
        return []
    rows = matrix(blobs, len(query), len(blobs))
    ranking = Ranking(Vectors.of(rows, counts, distance), query)
    return [(names[at], score) for at, score in ranking.leading(count, names.__getitem__)]
