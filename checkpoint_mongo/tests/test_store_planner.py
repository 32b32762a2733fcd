"""Plans of the store without a server: what they ask for, and what they make of the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langgraph.store.base import ListNamespacesOp, MatchCondition

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import run
from checkpoint_mongo.requests import (
    ITEMS,
    Op,
    Pause,
    Server,
    Write,
    Written,
)
from checkpoint_mongo.store_browsing import NOTES, WITHOUT
from checkpoint_mongo.store_documents import (
    EMBEDDING,
    FOREVER,
    RECORD,
    new_op,
    put_op,
    stored,
)
from checkpoint_mongo.store_filters import selection
from checkpoint_mongo.store_keys import MOST, keys_of
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
    put = Put(AT, "$k.ey", '{"a":{"b":1}}', 2.0, NOW + 120, [Vector("a.b", "d1", f32(1, 0, 0))])
    op = put_op(put, stored(put, 7), NOW, None)
    assert op.where == {"_id": f"{AT}\0$k.ey"}
    assert op.upsert
    assert op.what == {
        "$set": {
            "ns": AT,
            "value": '{"a":{"b":1}}',
            "ttl": 2.0,
            "keys": ['["a"]4', '["a", "b"]1bff0000000000000'],
            "stamp": 7,
            "count": 1,
            "texts": '[["a.b", "d1"]]',
            "vectors": [f32(1, 0, 0)],
            "updated_at": NOW,
            "expires_at": NOW + 120,
        },
        "$setOnInsert": {"created_at": NOW},
    }


def test_an_item_that_has_expired_is_new_where_it_is_absent() -> None:
    put = Put(AT, "k", "{}")
    op = put_op(put, stored(put, 7), NOW, NOW)
    assert isinstance(op.what, list)
    fields = op.what[0]["$set"]
    assert fields["created_at"] == {"$cond": [{"$gt": ["$expires_at", NOW]}, "$created_at", NOW]}
    assert fields["value"] == {"$literal": "{}"}
    assert fields["expires_at"] == FOREVER
    assert fields["stamp"] == fields["vectors"] == fields["ttl"] == "$$REMOVE"


def test_more_than_16_mib_is_refused() -> None:
    text = '{"a":"' + "x" * (1 << 24) + '"}'
    with pytest.raises(InvalidArgumentError, match=r"16 MiB.*16777224 bytes.*'k'"):
        stored(Put(AT, "k", text), 7)


def test_a_new_item_is_the_same_without_what_it_does_not_have() -> None:
    put = Put(AT, "k", '{"a":1}', expires_at=NOW + 1)
    op = new_op(put, stored(put, 7), NOW)
    assert op.fresh
    assert op.what == {
        "ns": AT,
        "value": '{"a":1}',
        "keys": ['["a"]1bff0000000000000'],
        "created_at": NOW,
        "updated_at": NOW,
        "expires_at": NOW + 1,
    }


def test_keys_are_of_all_fields_and_say_little_of_what_is_large() -> None:
    value = {"s": "x" * 257, "d": {"": [1]}, "n": None, "\ud800": "a\ud800", "t": True}
    assert keys_of(value) == [
        '["s"]2' + "x" * 64,
        '["d"]4',
        '["d", ""]5',
        '["n"]3n',
        '["\\ud800"]2a\ue000',
        '["t"]3t',
    ]
    assert keys_of({f"{n}": n for n in range(MOST + 1)}) is None
    assert keys_of({"k" * 300: {"deep": 1}, "a": {}}) == ['["a"]4']


def test_keys_sort_as_filters_compare() -> None:
    numbers = [-(2**1100), -(2**70), -1.5, -1, 0, 5e-324, 1, 1.5, 2**53, 2**70, 2**1100]
    keys = [keys_of({"a": one}) for one in (*numbers, "", "\0", "a", "é", "\U0001f600", False)]
    assert keys == sorted(keys, key=str)
    assert keys_of({"a": -0.0}) == keys_of({"a": 0})
    assert keys_of({"a": 1.0}) == keys_of({"a": 1})


ONE = "1bff0000000000000"


@pytest.mark.parametrize(
    ("wanted", "test"),
    [
        ("$where", "2$where"),
        (1, ONE),
        ({"$gt": 1}, {"$gt": ONE, "$lt": "2"}),
        ({"$gte": 1, "$lt": 2}, {"$gte": ONE, "$lt": "1c000000000000000"}),
        ({"$gt": 2, "$lte": 1}, {"$gt": "1c000000000000000", "$lte": ONE}),
        ({"$gte": "a"}, {"$gte": "2a", "$lt": "3"}),
        ({"$gt": "a" * 65}, {"$gte": "2" + "a" * 64, "$lt": "3"}),
        ({"$lt": "a"}, {"$gte": "2", "$lt": "2a"}),
        ({"$lt": 1}, {"$gte": "1", "$lt": ONE}),
        (None, "3n"),
        (True, "3t"),
        ({}, "4"),
        ({"$eq": {"$gt": 1}}, "4"),
        ([{"$gt": 1}], "5"),
        ({"$ne": True}, {"$gte": "1", "$lt": "6", "$ne": "3t"}),
        ({"$ne": 2**53}, {"$gte": "1", "$lt": "6"}),
        ({"$ne": "é"}, {"$gte": "1", "$lt": "6"}),
        ("\ud800", "2\ue000"),
        ({"$gt": None}, {"$gte": "18000000000000000", "$lt": "18000000000000000"}),
    ],
    ids=ascii,
)
def test_a_condition_is_one_on_keys(wanted: Any, test: Any) -> None:
    path = '["$or", "a.b"]'
    conditions = Filter.of({"a.b": wanted}).conditions
    found = selection(Filter(tuple(one._replace(path=("$or", "a.b")) for one in conditions)))
    clause: Any = path + test if isinstance(test, str) else None
    if clause is None:
        clause = {"$elemMatch": {op: path + key for op, key in test.items()}}
    assert found == {"$or": [{"keys": None}, {"$and": [{"keys": clause}]}]}


def test_a_path_that_is_too_long_is_judged_here() -> None:
    assert selection(Filter()) is None
    assert selection(Filter.of({"k" * 300: 1})) is None


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


def test_after_batches_of_new_items_others_are_expected_to_be_new() -> None:
    plans = planner()
    puts = [Put(AT, "gone", None), *(Put(AT, f"{n}", "{}") for n in range(2))]
    replica_set, new = Server("", "replica set"), Written(frozenset({0, 1}), 0, 0)
    for _ in range(3):
        io = Scripted(replica_set, new)
        run(plans.put(puts, NOW), io)
        assert io.asked[1].ops[0].upsert
    run(plans.put(puts[:2], NOW), Scripted(replica_set, WRITTEN))  # one item tells nothing
    inserted = Scripted(replica_set, new)
    run(plans.put(puts, NOW), inserted)
    assert [op.fresh for op in inserted.asked[1].ops] == [True, True, False]
    assert inserted.asked[1].whole
    refused = Scripted(replica_set, None, WRITTEN, replica_set, WRITTEN)
    run(plans.put(puts, NOW), refused)
    run(plans.put(puts, NOW), refused)
    assert [one.ops[0].upsert for one in refused.asked if type(one) is Write] == [False, True, True]


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
    plans = planner()
    (found,) = run(plans.search(search_for(filter={"s": long}, limit=1), NOW), io)
    assert found.record.key == "match"
    assert [one.stages[-1] for one in io.asked] == [{"$limit": 1}, {"$limit": 50}]
    run(plans.search(search_for(filter={"s": long}, limit=1), NOW), io := Scripted(some[9:]))
    assert "updated_at" not in io.asked[0].stages[0]["$match"]


def test_a_page_is_looked_for_where_the_last_one_was() -> None:
    plans = planner()
    wanted = search_for(filter={"n": 1, "m": {"$gt": 0}}, limit=1, offset=1)
    at = {n: document(f"{n}", n, 1, value='{"n":1,"m":1}', updated_at=NOW + n) for n in range(4)}

    def since(io: Scripted) -> list[Any]:
        return [one.stages[0]["$match"].get("updated_at") for one in io.asked]

    first = Scripted([at[2], at[1]])
    (found,) = run(plans.search(wanted, NOW), first)
    assert found.record.key == "1"
    again = Scripted([at[3], at[2], at[1]])
    (found,) = run(plans.search(wanted, NOW), again)
    assert found.record.key == "2"
    gone = Scripted([at[3]], [at[3], at[0]])
    (found,) = run(plans.search(wanted, NOW), gone)
    assert found.record.key == "0"
    assert [since(io) for io in (first, again, gone)] == [
        [None],
        [{"$gte": NOW + 1}],
        [{"$gte": NOW + 2}, None],
    ]
    few = Scripted([at[0]], [at[0]], [at[0]])  # not a page
    for _ in range(2):
        assert run(plans.search(wanted, NOW), few) == []
    assert since(few) == [{"$gte": NOW}, None, None]


def test_items_without_keys_are_looked_at_where_there_may_be_some() -> None:
    plans = planner()
    wanted = search_for(filter={"n": {"$gte": 1}}, limit=1)
    item, note = document("k", 1, 1, value='{"n":1}'), {"_id": WITHOUT}
    run(plans.search(wanted, NOW), before := Scripted([item]))
    run(plans.setup(), Scripted([{"_id": 1}]))
    run(plans.search(wanted, NOW), after := Scripted([item]))
    assert run(plans.search(search_for(filter={"n": 1}), NOW), noted := Scripted([note], [item]))
    run(plans.search(wanted, NOW), later := Scripted([item]))

    def beside(io: Scripted) -> list[str]:
        (found,) = {one["$unionWith"]["coll"] for one in io.asked[-1].stages if "$unionWith" in one}
        return [found]

    assert beside(before) == beside(noted) == beside(later) == ["billing_store_items"]
    assert beside(after) == ["billing_store_notes"]
    assert len(noted.asked) == 2


def test_that_items_have_no_keys_is_noted_once_before_they_are_put() -> None:
    plans = planner()
    large = Put(AT, "k", json.dumps({f"{n}": n for n in range(MOST + 1)}))
    io = Scripted(WRITTEN, WRITTEN, WRITTEN)
    run(plans.put([large], NOW), io)
    run(plans.put([large], NOW), io)
    assert [one.collection for one in io.asked] == [NOTES, ITEMS, ITEMS]
    assert io.asked[0].ops == [Op({"_id": WITHOUT}, {"noted": True}, upsert=True, new=True)]


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
