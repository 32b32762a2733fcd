"""`$vectorSearch`, which no server here has: the pipeline as it is documented, word for word."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from checkpoint_base.plan import run
from checkpoint_mongo.requests import (
    ITEMS,
    Aggregate,
    CreateIndexes,
    CreateSearchIndex,
    Probe,
    Unsupported,
    Wait,
    Write,
)
from checkpoint_mongo.store_documents import (
    DEEPEST,
    EMBEDDING,
    RECORD,
    space_of,
)
from checkpoint_mongo.store_nearest import LAG, Nearest
from checkpoint_mongo.tests.store_scripts import (
    AT,
    BELOW,
    NOW,
    WRITTEN,
    Scripted,
    document,
    f32,
    planner,
    search_for,
    settings,
)
from store_vector.config import StoreTTL
from store_vector.filters import Filter
from store_vector.namespaces import encode
from store_vector.records import Search

INDEX = "billing_store_items_3_cosine"

SETUP = [[], "name", [{"queryable": False}], [{"queryable": False}], [{"queryable": True}]]
NEAR = {
    "index": INDEX,
    "path": "vector",
    "queryVector": [0.0, 1.0, 0.0],
    "limit": 50,
    "numCandidates": 200,
}
BELOW_IN_INDEX = {"within.2": {"$eq": space_of(AT)}}


def engaged(*, ttl: StoreTTL | None = None, **more: Any) -> Nearest:
    meaning = planner(ttl, settings(**more)).meaning
    assert meaning is not None
    run(meaning.setup(), Scripted([{"queryable": True}], [{"queryable": True}]))
    return meaning


def test_setup_creates_the_index_and_waits_until_it_answers() -> None:
    migrations: list[Any] = [None, WRITTEN, None, [], [], WRITTEN]  # they come first
    io = Scripted([], *migrations, *SETUP)
    run(planner(index=settings()).setup(), io)
    indexes, noted, keys, *_, listed, created = io.asked[1:9]
    waits = io.asked[9:]
    assert isinstance(indexes, CreateIndexes)
    assert isinstance(noted, Write)
    assert isinstance(keys, CreateIndexes)
    assert listed == Probe(Aggregate([{"$listSearchIndexes": {"name": INDEX}}], ITEMS))
    filters = ["expires_at", *(f"within.{n}" for n in range(1, 9))]
    vector = {"type": "vector", "path": "vector", "numDimensions": 3, "similarity": "cosine"}
    fields = [vector, *({"type": "filter", "path": path} for path in filters)]
    assert created == Probe(CreateSearchIndex(INDEX, {"fields": fields}, ITEMS))
    assert [type(one) for one in waits] == [Probe, Probe, Wait, Probe]


def test_the_index_is_as_it_was_configured() -> None:
    index = {"kind": "hnsw", "m": 32, "ef_construction": 200}
    meaning = planner(index=settings(distance_type="l2", ann_index_config=index)).meaning
    assert meaning is not None
    vector = meaning.definition["fields"][0]
    assert vector["similarity"] == "euclidean"
    assert vector["hnswOptions"] == {"maxEdges": 32, "numEdgeCandidates": 200}


@pytest.mark.parametrize(
    "more", [{"engine": "exact"}, {"distance_type": "inner_product"}, {"dims": 9000}], ids=str
)
def test_no_index_is_asked_for(more: dict[str, Any]) -> None:
    meaning = planner(index=settings(**more)).meaning
    assert meaning is not None
    run(meaning.setup(), Scripted())


def test_a_search_is_the_documented_pipeline() -> None:
    newest = {"updated_at": {"$gte": NOW - LAG}}
    embedded = {"$match": {"$and": [{"stamp": {"$gt": 0}}]}}
    assert engaged().pipeline(search_for(), np.array([0, 1, 0], np.float32), 50, NOW) == [
        {"$vectorSearch": {**NEAR, "filter": {"$and": [BELOW_IN_INDEX]}}},
        {"$match": {"ns": BELOW}},
        embedded,
        {"$set": {"near": True}},
        {
            "$unionWith": {
                "coll": "billing_store_items",
                "pipeline": [{"$match": {"aside": BELOW}}, embedded],
            }
        },
        {
            "$unionWith": {
                "coll": "billing_store_items",
                "pipeline": [
                    {"$match": newest},
                    {"$match": {"ns": BELOW}},
                    embedded,
                    {"$sort": {"updated_at": -1}},
                    {"$limit": 1000},
                ],
            }
        },
        {"$project": {**RECORD, **EMBEDDING, "near": 1}},
    ]


@pytest.mark.parametrize(
    ("more", "search", "expected"),
    [
        ({}, {}, NEAR | {"filter": {"$and": [BELOW_IN_INDEX]}}),
        ({"ef_search": 900}, {}, {"numCandidates": 900}),
        ({"ann_index_config": {"kind": "flat"}}, {}, {"exact": True, "numCandidates": None}),
        ({}, {"limit": 30, "offset": 70}, {"limit": 400, "numCandidates": 2000}),
        ({}, {"filter": {"a": 1}}, {"limit": 200, "numCandidates": 200}),
        (
            {"ttl": StoreTTL(omit_expired=True)},
            {},
            {"filter": {"$and": [BELOW_IN_INDEX, {"expires_at": {"$gt": NOW}}]}},
        ),
    ],
    ids=str,
)
def test_how_much_is_looked_at(more: Any, search: Any, expected: Any) -> None:
    meaning = engaged(**more)
    io = Scripted([], [])
    run(meaning.search(search_for(**search), np.array([0, 1, 0], np.float32), NOW), io)
    stage = io.asked[0].request.stages[0]["$vectorSearch"]
    assert {name: stage.get(name) for name in expected} == expected


def test_a_deep_namespace_is_looked_for_above_and_matched_below() -> None:
    labels = tuple("abcdefghij")
    search = Search(encode(labels), Filter(), 10, 0, refresh=False)
    near, match, *_ = engaged().pipeline(search, np.array([0, 1, 0], np.float32), 50, NOW)
    at = {f"within.{DEEPEST}": {"$eq": space_of(encode(labels[:DEEPEST]))}}
    assert near["$vectorSearch"]["filter"] == {"$and": [at]}
    assert match == {"$match": {"ns": {"$gte": search.ns, "$lt": search.ns[:-1] + "\x02"}}}
    everywhere = Search("", Filter(), 10, 0, refresh=False)
    near, *_ = engaged().pipeline(everywhere, np.array([0, 1, 0], np.float32), 50, NOW)
    assert "filter" not in near["$vectorSearch"]


def near(key: str, stamp: int, *numbers: float) -> dict[str, Any]:
    return document(key, stamp, *numbers, near=True)


def test_candidates_are_scored_by_their_vectors_and_count_once() -> None:
    some = [near("far", 1, 1, 1, 0), near("best", 2, 0, 2, 0), near("farther", 4, 2, 1, 0)]
    aside = document("two", 3, value='{"a":1}', vectors=[b"\x27\x00" + f32(1, 4, 0)] * 2)
    io = Scripted([*some, aside, document("far", 1, 1, 1, 0)])
    found = run(engaged().search(search_for(limit=3), np.array([0, 1, 0], np.float32), NOW), io)
    assert [(one.record.key, one.score) for one in found] == [
        ("best", 1.0),
        ("two", pytest.approx(4 / 17**0.5)),
        ("far", pytest.approx(0.5**0.5)),
    ]


def test_a_page_that_the_index_does_not_fill_is_exact() -> None:
    """Also where others would fill it: nearer ones may be deeper in the index."""
    items = [document(f"{n}", n + 1, 1, n, 0) for n in range(4)]
    stamps = [{"stamp": n + 1} for n in range(4)]
    io = Scripted([near("0", 1, 1, 0, 0), items[3]], stamps, items, items)
    found = run(engaged().search(search_for(limit=2), np.array([1, 0, 0], np.float32), NOW), io)
    assert [one.record.key for one in found] == ["0", "1"]
    assert [type(one) for one in io.asked] == [Probe, Aggregate, Aggregate, Aggregate]


def test_a_query_without_direction_is_exact() -> None:
    """An index for cosines refuses it."""
    io = Scripted([], [])
    run(engaged().search(search_for(), np.zeros(3, np.float32), NOW), io)
    assert isinstance(io.asked[0], Aggregate)


@pytest.mark.parametrize(
    "replies",
    [
        [Unsupported("requires additional configuration")],
        [[], Unsupported("not allowed"), []],
        [[{}], [{"status": "FAILED"}]],
        [[{}], *([[{"status": "BUILDING"}]] * 600)],
    ],
    ids=["no search", "no rights", "failed", "never ready"],
)
def test_without_an_index_searches_are_exact_and_it_is_said_once(
    replies: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    meaning = planner(index=settings()).meaning
    assert meaning is not None
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            run(meaning.setup(), Scripted(*replies))
    assert len([one for one in caplog.messages if "exact" in one]) == 1
    io = Scripted([], [])
    assert run(meaning.search(search_for(), np.array([1, 0, 0], np.float32), NOW), io) == []
    assert isinstance(io.asked[0], Aggregate)


def test_an_index_that_somebody_else_creates_meanwhile_will_do() -> None:
    meaning = planner(index=settings()).meaning
    assert meaning is not None
    there = [{"queryable": True}]
    run(meaning.setup(), Scripted([], Unsupported("Duplicate Index"), there, there))
    io = Scripted([], [], [])
    run(meaning.search(search_for(), np.array([1, 0, 0], np.float32), NOW), io)
    assert isinstance(io.asked[0], Probe)


def test_an_index_that_fails_costs_nothing_but_the_index(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meaning, one = engaged(), document("k", 1, 1, 0, 0)
    with caplog.at_level(logging.WARNING):
        for attempt in range(2):
            io = Scripted(Unsupported(f"mongot is away, {attempt}"), [{"stamp": 1}], [one], [one])
            query = np.array([1, 0, 0], np.float32)
            assert len(run(meaning.search(search_for(), query, NOW), io)) == 1
            meaning._forget()
    assert [text.count("mongot is away") for text in caplog.messages] == [1]
