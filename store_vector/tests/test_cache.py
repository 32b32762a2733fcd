"""Vectors in memory: what was put, replaced and removed, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

from store_vector.filters.operators import Filter
from store_vector.namespaces import encode
from store_vector.records import Search
from store_vector.vectors.cache import Embeddings, Places, VectorCache


def embeddings(item: int, *rows: tuple[float, ...], ns: str = "n") -> Embeddings:
    data = np.array(rows, "<f4").tobytes()
    return Embeddings(item, encode((ns,)), f"{item}", len(rows), data)


def ranked(places: Places, *query: float, ns: str = "", among: Any = None) -> list[int]:
    vector = np.array(query, np.float32)
    at = encode((ns,)) if ns else ""
    search = Search(at, Filter(), 100, 0, refresh=False, text="?", vector=vector)
    return [item for item, _ in places.view(search, among).ranked(vector)(100)]


def test_places_follow_any_changes() -> None:
    """Against a dict that holds the same, through updates, deletes and moves."""
    random = np.random.default_rng(5)
    places, held = Places(2, "cosine"), dict[Any, Embeddings]()
    assert ranked(places, 1, 0) == []
    for _ in range(200):
        touched: set[Any] = {int(item) for item in random.integers(0, 40, 3)}
        now = [
            embeddings(item, *random.standard_normal((random.integers(1, 4), 2)), ns=f"n{item % 3}")
            for item in touched
            if random.random() < 0.7
        ]
        places.replace(touched, now)
        held = {name: one for name, one in held.items() if name not in touched}
        held |= {one.item: one for one in now}
        assert len(places) == len(held)
        fresh = Places(2, "cosine", 10)
        fresh.append(list(held.values()))
        for space in ("", "n1", "none"):
            assert ranked(places, 1, 0.3, ns=space) == ranked(fresh, 1, 0.3, ns=space)
        assert sorted(ranked(places, 0, 1, among=[3, 5, 99])) == sorted({3, 5} & held.keys())
    assert places.size <= 4 * 2 * 3 * 3 * 40 + 4 * 2 * 256, "what is left behind must go"


def test_namespaces_go_with_their_last_item() -> None:
    """One for each session, say, in a process that runs for months."""
    places = Places(2, "cosine")
    places.append([embeddings(item, (1.0, item), ns=f"kept {item % 2}") for item in (3, 2, 1, 0)])
    for session in range(4, 400):
        places.replace([session], [embeddings(session, (1.0, 0.0), ns=f"session {session}")])
        assert ranked(places, 1, 0, ns=f"session {session}") == [session]
        places.replace([session], [])
        assert ranked(places, 1, 0, ns=f"session {session}") == []
        assert ranked(places, 1, 0, ns="kept 1") == [1, 3]
        assert ranked(places, 1, 0) == [0, 1, 2, 3]
    assert len(places._number_of) < 10


def test_a_view_stays_as_it_was() -> None:
    places = Places(2, "cosine")
    places.append([embeddings(item, (1.0, item)) for item in range(9)])
    vector = np.array([1, 0], np.float32)
    search = Search("", Filter(), 100, 0, refresh=False, text="?", vector=vector)
    view = places.view(search)
    places.replace(range(9), [embeddings(item, (0.0, 1.0)) for item in range(9, 400)])
    assert [item for item, _ in view.ranked(vector)(100)] == list(range(9))


def test_a_cache_is_filled_and_forgotten() -> None:
    cache = VectorCache(2, "cosine")
    assert (cache.change, len(cache), cache.size) == (-1, 0, 0)
    cache.fill(7, [embeddings(1, (1.0, 0.0), (0.0, 1.0)), embeddings(2, (1.0, 1.0))])
    assert (cache.change, len(cache), cache.size) == (7, 2, 4 * 2 * 3)
    cache.apply(8, [1], [])
    assert (cache.change, len(cache)) == (8, 1)
    cache.forget()
    assert cache.change == -1
