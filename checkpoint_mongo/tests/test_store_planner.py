"""Plans of the store without a server: what they ask for, and what they make of the answers."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import ListNamespacesOp, MatchCondition

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import run
from checkpoint_mongo.requests import (
    Op,
    Write,
)
from checkpoint_mongo.store_documents import (
    EMBEDDING,
    FOREVER,
    RECORD,
    put_op,
)
from checkpoint_mongo.store_keys import ANY_FIELD, MOST, clauses, keys_of
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
    op = put_op(put, 7, NOW, None)
    assert op.where == {"_id": f"{AT}\0$k.ey"}
    assert op.upsert
    assert op.what == {
        "$set": {
            "ns": AT,
            "value": '{"a":{"b":1}}',
            "ttl": 2.0,
            "keys": ['["a"]4', '["a", "b"]1bff0000000000000'],
            "stamp": 7,
            "texts": '[["a.b", "d1"]]',
            "vectors": [f32(1, 0, 0)],
            "updated_at": NOW,
            "expires_at": NOW + 120,
        },
        "$setOnInsert": {"created_at": NOW},
    }


def test_an_item_that_has_expired_is_new_where_it_is_absent() -> None:
    put = Put(AT, "k", "{}")
    op = put_op(put, 7, NOW, NOW)
    assert isinstance(op.what, list)
    fields = op.what[0]["$set"]
    assert fields["created_at"] == {"$cond": [{"$gt": ["$expires_at", NOW]}, "$created_at", NOW]}
    assert fields["value"] == {"$literal": "{}"}
    assert fields["expires_at"] == {"$literal": FOREVER}
    assert fields["stamp"] == fields["vectors"] == fields["ttl"] == "$$REMOVE"


def test_more_than_16_mib_is_refused() -> None:
    text = '{"a":"' + "x" * (1 << 24) + '"}'
    with pytest.raises(InvalidArgumentError, match=r"16 MiB.*16777224 bytes.*'k'"):
        put_op(Put(AT, "k", text), 7, NOW, None)


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
    assert keys_of({f"{n}": n for n in range(MOST + 1)}) == [ANY_FIELD]
    assert len(keys_of({f"{n}": n for n in range(MOST)})) == MOST
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
        (
            {"$gt": 2, "$lte": 1},
            {"$gt": "1c000000000000000", "$lt": "2", "$gte": "1", "$lte": ONE},
        ),
        ({"$gte": 1, "$ne": 2}, {"$gte": ONE, "$lt": "2", "$ne": "1c000000000000000"}),
        ({"$gte": 1, "$lte": 1}, {"$gte": ONE, "$lt": "2", "$lte": ONE}),
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
    found = clauses(Filter(tuple(one._replace(path=("$or", "a.b")) for one in conditions)))
    clause: Any = path + test if isinstance(test, str) else None
    if clause is None:
        clause = {"$elemMatch": {op: path + key for op, key in test.items()}}
    assert found == [{"keys": clause}]


def test_a_path_that_is_too_long_is_judged_here() -> None:
    assert clauses(Filter()) == []
    assert clauses(Filter.of({"k" * 300: 1})) == []


def test_the_most_selective_condition_comes_first() -> None:
    """SecantusDB looks for an index for the first one alone."""
    found = clauses(Filter.of({"a": {"$ne": 1}, "b": {"$gt": 1}, "c": 1}))
    assert [str(one).partition('["')[2][0] for one in found] == ["c", "b", "a"]


# ---------------------------------------------------------------- what is asked


def test_a_batch_of_puts_is_one_transaction() -> None:
    puts = [Put(AT, "gone", None), *(Put(AT, f"{n}", "{}") for n in range(99))]
    run(planner().put(puts, NOW), io := Scripted(WRITTEN))
    transaction, command = io.asked
    assert transaction.write
    assert len(command.ops) == 100
    assert command.ops[-1] == Op({"_id": f"{AT}\0gone"})  # changes of one kind are one command
    run(planner().put(puts[:1], NOW), alone := Scripted(WRITTEN))
    assert [type(one) for one in alone.asked] == [Write]


def test_no_command_of_a_large_batch_takes_long() -> None:
    puts = [Put(AT, f"{n}", "{}") for n in range(250)]
    run(planner().put(puts, NOW), io := Scripted(WRITTEN, WRITTEN, WRITTEN))
    transaction, *commands = io.asked
    assert transaction.write
    assert [len(one.ops) for one in commands] == [100, 100, 50]


def test_namespaces_are_counted_by_the_server_where_that_is_all_to_do() -> None:
    for depth, counted in ((None, [{"$sort": {"_id": 1}}, {"$limit": 6}]), (2, [])):
        query = NamespaceQuery.of(
            ListNamespacesOp((MatchCondition("prefix", ("users",)),), depth, limit=5, offset=1)
        )
        io = Scripted([{"_id": AT}])
        assert run(planner(StoreTTL(omit_expired=True)).namespaces(query, NOW), io) == [AT]
        below, shown, group, *others = io.asked[0].stages
        assert below == {"$match": {"ns": {"$gte": "users\x01", "$lt": "users\x02"}}}
        assert shown == {"$match": {"$and": [{"expires_at": {"$gt": NOW}}]}}
        assert group == {"$group": {"_id": "$ns"}}
        assert others == counted


def test_a_filter_that_selected_too_much_is_asked_for_more() -> None:
    """What cannot be compared in the database is judged here."""
    long = "x" * 300
    some = [document(f"{n}", n + 1, 1, 0, 0, value='{"s":"y"}') for n in range(9)]
    some.append(document("match", 10, 1, 0, 0, value=f'{{"s":"{long}"}}'))
    io = Scripted(some[:1], some)
    plans = planner()
    (found,) = run(plans.search(search_for(filter={"s": long}, limit=1), NOW), io)
    assert found.record.key == "match"
    assert [one.stages[-2] for one in io.asked] == [{"$limit": 1}, {"$limit": 50}]


def test_items_whose_keys_are_not_told_are_looked_at_in_the_same_command() -> None:
    run(planner().search(search_for(filter={"n": {"$gte": 1}}), NOW), io := Scripted([]))
    (union,) = (one["$unionWith"] for one in io.asked[0].stages if "$unionWith" in one)
    assert union["coll"] == "billing_store_items"
    assert union["pipeline"][0] == {"$match": {"keys": ANY_FIELD}}


# ---------------------------------------------------------------- exact search by meaning


def test_vectors_are_read_once() -> None:
    plans = planner(index=settings(engine="exact"))
    one, two = document("one", 1, 1, 0, 0), document("two", 2, 0, 1, 0)
    first = Scripted([{"stamp": 1}, {"stamp": 2}], [one, two], [two, one])
    found = run(plans.search(search_for([0, 1, 0]), NOW), first)
    assert [one.record.key for one in found] == ["two", "one"]
    passing = [{"$match": {"ns": BELOW}}, {"$match": {"$and": [{"stamp": {"$gt": 0}}]}}]
    snapshot, *asked = first.asked
    assert not snapshot.write
    assert [one.stages for one in asked] == [
        [*passing, {"$project": {"_id": 0, "stamp": 1}}],
        [*passing, {"$project": {**EMBEDDING, "stamp": 1}}],
        [{"$match": {"stamp": {"$in": [2, 1]}}}, {"$project": {**RECORD, "stamp": 1}}],
    ]
    again = Scripted([{"stamp": 1}, {"stamp": 2}], [two])
    run(plans.search(search_for([0, 1, 0], limit=1), NOW), again)
    assert again.asked[2].stages[0] == {"$match": {"stamp": {"$in": [2]}}}


def test_an_item_that_is_gone_without_a_snapshot_is_left_out() -> None:
    plans = planner(index=settings(engine="exact"))
    one, two = document("one", 1, 1, 0, 0), document("two", 2, 0, 1, 0)
    io = Scripted([{"stamp": 1}, {"stamp": 2}], [one, two], [two])
    (found,) = run(plans.search(search_for([1, 0, 0]), NOW), io)
    assert found.record.key == "two"


def test_vectors_of_old_stamps_are_forgotten() -> None:
    """An item that was put again takes the place of what it was."""
    plans = planner(index=settings(engine="exact"))
    assert plans.vectors is not None
    for stamp in range(1, 9):
        put = document("k", stamp, 1, 0, 0)
        run(plans.search(search_for([1, 0, 0]), NOW), Scripted([{"stamp": stamp}], [put], [put]))
    assert len(plans.vectors._cache) == len(plans.vectors._names) == 1
