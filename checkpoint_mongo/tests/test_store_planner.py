"""Plans of the store without a server: what they ask for, and what they make of the answers."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import ListNamespacesOp, MatchCondition

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import run
from checkpoint_mongo.requests import (
    Op,
    Pause,
    Server,
    Write,
)
from checkpoint_mongo.store_documents import (
    EMBEDDING,
    FOREVER,
    RECORD,
    fields_of,
    put_op,
    within_of,
)
from checkpoint_mongo.store_filters import selection
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
from store_vector.namespaces import NamespaceQuery
from store_vector.records import Put, Vector

# ---------------------------------------------------------------- what is stored


def test_a_put_is_one_change_of_one_document() -> None:
    put = Put(AT, "$k.ey", '{"a":{"b":1}}', 2.0, NOW + 120, [Vector("a.b", f32(1, 0, 0))])
    op = put_op(put, NOW, None, 7, lambda data: data)
    assert op.where == {"_id": f"{AT}\0$k.ey"}
    assert op.upsert
    assert isinstance(op.what, list)
    assert op.what[0] == {
        "$set": {
            "ns": {"$literal": AT},
            "value": {"$literal": '{"a":{"b":1}}'},
            "ttl": {"$literal": 2.0},
            "fields": {"$literal": [{"k": '["a"]', "v": {}}, {"k": '["a", "b"]', "v": 1}]},
            "stamp": {"$literal": 7},
            "count": {"$literal": 1},
            "paths": {"$literal": '["a.b"]'},
            "vector": {"$literal": f32(1, 0, 0)},
            "vectors": "$$REMOVE",
            "aside": "$$REMOVE",
            "within": {"$literal": within_of(AT)},
            "created_at": {"$ifNull": ["$created_at", NOW]},
            "updated_at": NOW,
            "expires_at": NOW + 120,
        }
    }


def test_an_item_that_has_expired_is_new_where_it_is_absent() -> None:
    op = put_op(Put(AT, "k", "{}"), NOW, NOW, 7, bytes)
    assert isinstance(op.what, list)
    fields = op.what[0]["$set"]
    assert fields["created_at"] == {"$cond": [{"$gt": ["$expires_at", NOW]}, "$created_at", NOW]}
    assert fields["expires_at"] == FOREVER
    assert fields["stamp"] == fields["vector"] == fields["ttl"] == "$$REMOVE"


@pytest.mark.parametrize(
    "vectors", [[f32(1, 0, 0), f32(0, 1, 0)], [f32(0, -0.0, 0)]], ids=["several", "zero"]
)
def test_what_a_search_index_cannot_hold_is_kept_aside(vectors: list[bytes]) -> None:
    put = Put(AT, "k", "{}", vectors=[Vector(f"{n}", data) for n, data in enumerate(vectors)])
    op = put_op(put, NOW, None, 7, bytes)
    assert isinstance(op.what, list)
    fields = op.what[0]["$set"]
    assert fields["aside"] == {"$literal": AT}
    assert fields["vectors"] == {"$literal": vectors}
    assert fields["vector"] == "$$REMOVE"


def test_more_than_16_mib_is_refused() -> None:
    text = '{"a":"' + "x" * (1 << 24) + '"}'
    with pytest.raises(InvalidArgumentError, match=r"16 MiB.*16777224 bytes.*'k'"):
        put_op(Put(AT, "k", text), NOW, None, 7, bytes)


def test_fields_are_what_bson_compares_and_marks_for_what_it_does_not() -> None:
    value = {"i": 2**63, "s": "x" * 257, "d": {"": [1]}, "n": None, "\ud800": "\ud800", "t": True}
    assert fields_of(value) == [
        {"k": '["i"]', "x": 1},
        {"k": '["s"]', "x": 1},
        {"k": '["d"]', "v": {}},
        {"k": '["d", ""]', "v": []},
        {"k": '["n"]', "v": None},
        {"k": '["\\ud800"]', "x": 1},
        {"k": '["t"]', "v": True},
    ]
    assert fields_of({f"{n}": n for n in range(501)}) is None
    assert fields_of({"k" * 300: {"deep": 1}, "a": 1}) == [{"k": '["a"]', "v": 1}]


@pytest.mark.parametrize(
    ("wanted", "test"),
    [
        ("$where", {"$eq": "$where"}),
        ({"$gt": 1.5}, {"$gt": 1.5}),
        ({"$ne": True}, {"$ne": True}),
        (None, {"$type": "null"}),
        ({}, {"$type": "object"}),
        ([{"$gt": 1}], {"$type": "array"}),
        ({"$eq": {"$gt": 1}}, {"$type": "object"}),
        ({"$lt": 2**63}, None),
        ({"$gt": float("nan")}, None),
        ("\ud800", None),
        ({"$gt": None}, None),
    ],
    ids=ascii,
)
def test_an_operand_is_bound_or_not_sent(wanted: Any, test: Any) -> None:
    within: dict[str, Any] = {"k": '["$or", "a.b"]'}
    if test is not None:
        within["$or"] = [{"v": test}, {"x": 1}]
    (condition,) = Filter.of({"a.b": wanted}).conditions
    found = selection(Filter((condition._replace(path=("$or", "a.b")),)))
    clause = {"fields": {"$elemMatch": within}}
    assert found == {"$or": [{"fields": {"$exists": False}}, {"$and": [clause]}]}
    assert selection(Filter()) is None


# ---------------------------------------------------------------- what is asked


def test_a_batch_of_puts_is_one_request() -> None:
    puts = [Put(AT, "gone", None), *(Put(AT, f"{n}", "{}") for n in range(100))]
    io = Scripted(Server("", "replica set"), WRITTEN)
    run(planner().put(puts, NOW), io)
    _, write = io.asked
    assert write.whole
    assert len(write.ops) == 101
    assert write.ops[-1] == Op({"_id": f"{AT}\0gone"})  # changes of one kind are one command
    alone = Scripted(WRITTEN)
    run(planner().put(puts[:1], NOW), alone)
    assert not alone.asked[0].whole
    standalone = Scripted(Server("", "standalone"), WRITTEN)
    run(planner().put(puts, NOW), standalone)
    assert not standalone.asked[1].whole


def test_a_put_that_met_another_is_made_again() -> None:
    io = Scripted(None, WRITTEN)
    run(planner().put([Put(AT, "k", "{}")], NOW), io)
    assert [type(one) for one in io.asked] == [Write, Pause, Write]
    assert io.asked[0] == io.asked[2]


def test_namespaces_are_cut_and_counted_by_the_server() -> None:
    query = NamespaceQuery.of(
        ListNamespacesOp((MatchCondition("prefix", ("users",)),), max_depth=2, limit=5, offset=1)
    )
    io = Scripted([{"_id": AT}])
    assert run(planner(StoreTTL(omit_expired=True)).namespaces(query, NOW), io) == [AT]
    (asked,) = io.asked
    below, shown, group, cut, again, order, limit = asked.stages
    assert below == {"$match": {"ns": {"$gte": "users\x01", "$lt": "users\x02"}}}
    assert shown == {"$match": {"expires_at": {"$gt": NOW}}}
    assert group == {"$group": {"_id": "$ns"}}
    assert "$reduce" in cut["$project"]["_id"]
    assert again == {"$group": {"_id": "$_id"}}
    assert (order, limit) == ({"$sort": {"_id": 1}}, {"$limit": 6})


def test_a_filter_that_selected_too_much_is_asked_for_more() -> None:
    """What cannot be compared in the database is judged here."""
    long = "x" * 300
    some = [document(f"{n}", n + 1, 1, 0, 0, value='{"s":"y"}') for n in range(9)]
    some.append(document("match", 10, 1, 0, 0, value=f'{{"s":"{long}"}}'))
    io = Scripted(some[:1], some)
    (found,) = run(planner().search(search_for(filter={"s": long}, limit=1), NOW), io)
    assert found.record.key == "match"
    assert [one.stages[-2] for one in io.asked] == [{"$limit": 1}, {"$limit": 50}]


# ---------------------------------------------------------------- exact search by meaning


def test_vectors_are_read_once() -> None:
    plans = planner(index=settings(engine="exact"))
    one, two = document("one", 1, 1, 0, 0), document("two", 2, 0, 1, 0)
    first = Scripted([{"stamp": 1}, {"stamp": 2}], [one, two], [two, one])
    found = run(plans.search(search_for([0, 1, 0]), NOW), first)
    assert [one.record.key for one in found] == ["two", "one"]
    passing = [{"$match": {"ns": BELOW}}, {"$match": {"$and": [{"stamp": {"$gt": 0}}]}}]
    assert [one.stages for one in first.asked] == [
        [*passing, {"$project": {"_id": 0, "stamp": 1}}],
        [*passing, {"$project": EMBEDDING}],
        [{"$match": {"stamp": {"$in": [2, 1]}}}, {"$project": {**RECORD, "stamp": 1}}],
    ]
    again = Scripted([{"stamp": 1}, {"stamp": 2}], [two])
    run(plans.search(search_for([0, 1, 0], limit=1), NOW), again)
    assert again.asked[1].stages[0] == {"$match": {"stamp": {"$in": [2]}}}


def test_a_search_begins_again_when_what_it_found_has_changed() -> None:
    plans = planner(index=settings(engine="exact"))
    old, new = document("k", 1, 1, 0, 0), document("k", 2, 0, 1, 0)
    io = Scripted([{"stamp": 1}], [old], [], [{"stamp": 2}], [new], [new])
    (found,) = run(plans.search(search_for([0, 1, 0]), NOW), io)
    assert found.score == 1.0
    assert io.replies == []


def test_others_that_write_all_the_time_do_not_hold_it_up() -> None:
    plans = planner(index=settings(engine="exact"))
    busy: list[Any] = []
    for stamp in range(1, 9):
        busy += [[{"stamp": stamp}], [document("k", stamp, 1, 0, 0)], []]
    (found,) = run(
        plans.search(search_for([1, 0, 0]), NOW), Scripted(*busy, [document("k", 9, 1, 0, 0)])
    )
    assert found.record.key == "k"
