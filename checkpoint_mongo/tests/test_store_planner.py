"""Plans of the store without a server: what they ask for, and what they make of the answers."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import ListNamespacesOp, MatchCondition

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import run
from checkpoint_mongo.connection.requests import (
    Op,
    Write,
)
from checkpoint_mongo.store.documents import (
    EMBEDDING,
    FOREVER,
    RECORD,
    put_op,
)
from checkpoint_mongo.store.keys import clauses
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
from store_vector.filters.keys import filter_keys
from store_vector.filters.operators import Filter
from store_vector.namespaces import NamespaceQuery
from store_vector.records import Put, Vector
from store_vector.values import dumps

# ---------------------------------------------------------------- what is stored


def test_a_put_is_one_change_of_one_document() -> None:
    vector, keys = Vector("a.b", "d1", f32(1, 0, 0)), filter_keys({"a": {"b": 1}})
    put = Put(AT, "$k.ey", '{"a":{"b":1}}', 2.0, NOW + 120, [vector], keys)
    op = put_op(put, 7, NOW, None)
    assert op.where == {"_id": f"{AT}\0$k.ey"}
    assert op.upsert
    assert op.what == {
        "$set": {
            "ns": AT,
            "value": '{"a":{"b":1}}',
            "ttl": 2.0,
            "keys": {"a": "7", "a/b": "3bff"},
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


def test_filter_keys_count_as_well() -> None:
    value = {f"field {n}": n for n in range(400_000)}
    with pytest.raises(InvalidArgumentError, match=r"16 MiB of JSON, filter keys and vectors"):
        put_op(Put(AT, "k", dumps(value), keys=filter_keys(value)), 7, NOW, None)


@pytest.mark.parametrize(
    ("wanted", "test"),
    [
        ("$where", "5$where"),
        (1, "3bff"),
        ({"$gt": 1}, {"$gte": "3bff", "$lte": "4"}),
        ({"$lt": "a"}, {"$gte": "5", "$lte": "5a"}),
        ({"$in": [1, None]}, {"$in": ["3bff", "0"]}),
        ({"$exists": True}, {"$gte": "0", "$lte": "8"}),
        ({"$contains": {"$gt": 1}}, "8"),
        ({}, "7"),
        ({"$eq": {"$gt": 1}}, "7"),
    ],
    ids=ascii,
)
def test_a_condition_is_one_on_keys(wanted: Any, test: Any) -> None:
    """A field's name and an operand are never an operator, nor a path."""
    assert clauses(Filter.of({"a.b": wanted}), ()) == [{"keys.a%2Eb": test}]
    assert clauses(Filter.of({"$a": wanted}), ()) == [{"keys.%24a": test}]


def test_groups_are_or() -> None:
    assert clauses(Filter.of({"$or": [{"a": None, "b": True}, {"a": False}]}), ()) == [
        {"$or": [{"$and": [{"keys.a": "0"}, {"keys.b": "2"}]}, {"$and": [{"keys.a": "1"}]}]}
    ]
    assert clauses(Filter.of({"$or": []}), ()) == [{"_id": {"$in": []}}]
    assert clauses(Filter.of({"$not": {"a": 1}}), ()) == []


def test_a_declared_field_comes_first() -> None:
    """SecantusDB looks for an index for the first stage alone."""
    wanted = Filter.of({"a": 1, "b": {"c": 1}})
    assert clauses(wanted, ["b/c"]) == [{"keys.b/c": "3bff"}, {"keys.a": "3bff"}]


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
