"""Exact search over vectors that were fetched: numpy over only the rows that may be found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from checkpoint_base.errors import CorruptValueError
from store_vector.embedding.embed import FLOAT32
from store_vector.records import Array, Name
from store_vector.vectors.ranking import Ranking, Vectors


def fits(data: bytes, count: int, dims: int) -> bool:
    """Whether the vectors of an item, so many one after the other, have so many dimensions. Those
    that were put with another `index["dims"]` have not; to a search they are no vectors.

    Raises:
        CorruptValueError: the bytes are not those of so many vectors.
    """
    if len(data) == 4 * dims * count:
        return True
    if not data or len(data) % (4 * count):
        raise CorruptValueError(f"the {len(data)} bytes stored are not those of {count} vectors")
    return False


def matrix(blobs: Sequence[bytes], dims: int, count: int) -> Array:
    """Stored vectors that fit, as rows. A blob may hold several; `count` is of all."""
    return np.frombuffer(b"".join(blobs), dtype=FLOAT32).reshape(count, dims)


def search(
    fetched: Iterable[tuple[str, str, bytes]], query: Array, distance: str, count: int
) -> list[tuple[Name, float]]:
    """The first `count` items and their scores, best first; equal scores by name.

    Args:
        fetched: (ns, key, vector) of all items that may be found, the vectors of an item one after
            the other: what has passed namespace, filter and expiry.
        query: the search's vector.
        distance: the index's `distance`.
        count: `Search.end`, or more where some may still be left out.
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
