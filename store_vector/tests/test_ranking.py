"""Rankings: as brute force in float64 orders them, whatever is selected and however it is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint_base.errors import CorruptValueError
from store_vector.records import Array, Name
from store_vector.vectors.exact import fits, matrix, search
from store_vector.vectors.ranking import Ranking, Vectors, precise

SMALL = st.integers(-3, 3)
DISTANCES = ("cosine", "l2", "inner_product")


def brute(rows: Array, counts: list[int], query: Array, distance: str) -> list[tuple[int, float]]:
    """(item, score) of all items, best first, ties by number."""
    scores = precise(rows, query, distance)
    ends = np.cumsum(counts)
    best = [float(scores[end - count : end].max()) for end, count in zip(ends, counts, strict=True)]
    return sorted(enumerate(best), key=lambda one: (-one[1], one[0]))


def name(item: int) -> Name:
    return Name("n", f"{item:05}")


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, max_size=3), min_size=1),
    st.tuples(SMALL, SMALL, SMALL),
    st.sampled_from(DISTANCES),
    st.integers(1, 12),
    st.data(),
)
def test_small_whole_numbers(
    items: list[list[tuple[int, ...]]],
    query: tuple[int, ...],
    distance: str,
    count: int,
    data: st.DataObject,
) -> None:
    """Many ties, zero vectors, several vectors for an item, some of the items."""
    rows = np.array([row for item in items for row in item], np.float32)
    counts, asked = [len(item) for item in items], np.array(query, np.float32)
    vectors = Vectors.of(rows, counts, distance)
    expected = brute(rows, counts, asked, distance)
    assert Ranking(vectors, asked).leading(count, name) == expected[:count]
    some = data.draw(st.lists(st.integers(0, len(items) - 1), unique=True).map(sorted))
    places = np.array(some, np.intp)
    ranking = Ranking(vectors, asked, places)
    assert ranking.leading(count, name) == [one for one in expected if one[0] in some][:count]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("dims", [3, 384])
def test_many_items_in_any_pages(distance: str, scale: float, dims: int) -> None:
    """Close scores too: duplicates, and rows that differ in the last bits."""
    random = np.random.default_rng(7)
    rows = (random.standard_normal((3000, dims)) * scale).astype(np.float32)
    rows[1000:1500] = rows[:500]
    rows[2000:2200] = np.nextafter(rows[:200], np.float32(0))
    query = (random.standard_normal(dims) * scale).astype(np.float32)
    counts = [1] * len(rows)
    expected = brute(rows, counts, query, distance)
    ranking = Ranking(Vectors.of(rows, counts, distance), query)
    for count in (1, 10, 500, 2999, 3000, 4000):
        assert ranking.leading(count, name) == expected[:count]
    few = np.arange(5, 3000, 100)  # so few that only their rows are multiplied
    chosen = set(few.tolist())
    leading = Ranking(Vectors.of(rows, counts, distance), query, few).leading(9, name)
    assert leading == [one for one in expected if one[0] in chosen][:9]


def test_equal_rows_have_equal_scores_wherever_they_stand() -> None:
    """BLAS treats the last rows of a matrix differently; the score must not tell."""
    row = np.random.default_rng(3).standard_normal(384).astype(np.float32)
    rows = np.tile(row, (37, 1))
    for distance in DISTANCES:
        vectors = Vectors.of(rows, [1] * 37, distance)
        leading = Ranking(vectors, row[::-1].copy()).leading(37, name)
        assert [item for item, _ in leading] == list(range(37))
        assert len({score for _, score in leading}) == 1


def test_nothing_to_rank() -> None:
    assert search([], np.zeros(3, np.float32), "cosine", 5) == []
    empty = Vectors.of(np.empty((0, 3), np.float32), [], "cosine")
    assert Ranking(empty, np.ones(3, np.float32)).leading(5, name) == []


def test_exact_search_groups_an_items_vectors() -> None:
    vectors = {"a": [(0, 1), (3, 4)], "b": [(1, 0)], "c": [(1, 1), (0, 2)]}
    fetched = [
        ("n", key, np.array(row, "<f4").tobytes()) for key, rows in vectors.items() for row in rows
    ]
    found = search(fetched, np.array([1, 0], np.float32), "cosine", 2)
    assert [one.key for one, _ in found] == ["b", "c"]
    assert [score for _, score in found] == pytest.approx([1, 0.5**0.5])


def test_vectors_of_another_length_are_none() -> None:
    blob = np.arange(4, dtype="<f4").tobytes()
    assert matrix([blob, blob], 2, 4).shape == (4, 2)
    assert fits(blob, 2, 2)
    for dims, count in ((2, 1), (3, 1), (4, 2)):
        assert not fits(blob, count, dims)
    with pytest.raises(CorruptValueError, match="16 bytes stored are not those of 3 vectors"):
        fits(blob, 3, 2)
    lengths = {"a": 1, "b": 3, "c": 2}  # two each, were they taken together
    fetched = [("n", key, blob[: 4 * n]) for key, n in lengths.items()]
    found = search(fetched, np.array([0, 1], np.float32), "cosine", 9)
    assert found == [(Name("n", "c"), 1.0)]
