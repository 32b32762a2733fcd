"""Searches by a filter, again and again while items come and go."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from checkpoint_mongo.tests.store_harness import MongoStoreHarness
from conformance_tests.stores.base import keys
from store_vector.filters.operators import Filter

AT = ("users", "ann")
VALUES: list[Any] = [0, 1, -1.5, 2**53, 2**70, "", "a", "a" * 64, "a" * 65, "é", "\ud800", None]
VALUES += [True, {}, {"x": 1}, [], [1]]
OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]
MANY = {f"f{n}": n for n in range(201)}


@pytest.fixture
def harness(mongo_server: str) -> Iterator[MongoStoreHarness]:
    with closing(MongoStoreHarness(mongo_server)) as one:
        yield one


def test_a_page_stays_right_whatever_another_process_does(harness: MongoStoreHarness) -> None:
    ttl = {"omit_expired": True, "refresh_on_read": False}
    with harness.open(ttl=ttl) as reader, harness.open(ttl=ttl) as writer:

        def page(offset: int = 0) -> list[str]:
            by_key, by_range = (
                keys(reader.search(AT, filter=wanted, limit=2, offset=offset))
                for wanted in ({"kind": "x"}, {"n": {"$gte": 0}})
            )
            assert by_key == by_range
            return by_key

        for n, key in enumerate("abcdef"):
            harness.advance(1)
            writer.put(AT, key, {"kind": "x", "n": n}, ttl=1 if key == "c" else None)
        assert (page(), page(), page(2)) == (["f", "e"], ["f", "e"], ["d", "c"])
        writer.delete(AT, "f")
        assert (page(), page(), page(2)) == (["e", "d"], ["e", "d"], ["c", "b"])
        writer.put(AT, "e", {"kind": "y", "n": -1})
        assert (page(), page(2)) == (["d", "c"], ["b", "a"])
        writer.put(AT, "a", {"kind": "x", "n": 9})
        assert (page(), page(2)) == (["a", "d"], ["c", "b"])
        harness.advance(60)
        assert (page(), page(2)) == (["a", "d"], ["b"])
        writer.put(AT, "g", {"kind": "x", "n": 9, **MANY})
        writer.put(AT, "h", {"kind": "x", "n": 9})
        assert (page(), page(2)) == (["g", "h"], ["a", "d"])


@pytest.mark.parametrize("seed", range(2))
def test_random_filters_give_what_a_model_gives(harness: MongoStoreHarness, seed: int) -> None:
    chosen = random.Random(seed)
    model: dict[str, tuple[float, dict[str, Any]]] = {}
    filters = [_filter(chosen) for _ in range(12)]
    with harness.open(filter_fields=["k"]) as one, harness.open() as two:
        for _ in range(150):
            store = chosen.choice([one, two])
            harness.advance(chosen.choice([0, 0, 0.5]))
            for key in chosen.sample("abcdefghijklmno", 2):
                model.pop(key, None)
                if chosen.random() < 0.3:
                    store.delete(AT, key)
                    continue
                more = MANY if chosen.random() < 0.03 else {}
                value = {"k": chosen.choice(VALUES), "$k.l": chosen.choice(VALUES), **more}
                store.put(AT, key, value)
                model[key] = (-harness.clock.now, value)
            wanted, limit = chosen.choice(filters), chosen.choice([1, 3])
            matches = Filter.of(wanted).matches
            expected = sorted((at, key) for key, (at, value) in model.items() if matches(value))
            found = store.search(AT, filter=wanted, limit=limit)
            assert keys(found) == [key for _, key in expected[:limit]]


def _filter(chosen: random.Random) -> dict[str, Any]:
    names = chosen.sample(["k", "$k.l"], chosen.choice([1, 1, 2]))
    return {name: {chosen.choice(OPERATORS): chosen.choice(VALUES)} for name in names}
