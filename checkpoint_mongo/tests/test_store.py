"""What each operation of a store asks of the server, by command monitoring, and what fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from langgraph.store.base import GetOp, PutOp
from pymongo import MongoClient

from checkpoint_base.backends import open_store
from checkpoint_base.errors import (
    InvalidArgumentError,
    SchemaVersionError,
)
from checkpoint_base.plan import Plan
from checkpoint_mongo import MongoDBSaver, MongoDBStore
from checkpoint_mongo.connection.requests import ITEMS, DropIndex
from checkpoint_mongo.store.search import _newest
from checkpoint_mongo.tests.store_harness import MongoStoreHarness
from checkpoint_mongo.tests.store_scripts import search_for
from checkpoint_mongo.tests.watching import Commands, filters_of, scans
from conformance_tests.samples.build import checkpoint, metadata, new_versions, on
from conformance_tests.stores.base import Numbers, index_of, keys
from store_vector.filters.keys import index_name

AT = ("users", "ann")


@pytest.fixture
def harness(mongo_server: str) -> Iterator[MongoStoreHarness]:
    with closing(MongoStoreHarness(mongo_server)) as one:
        yield one


class Watched:
    """A store, and the commands that it sends."""

    def __init__(self, harness: MongoStoreHarness, **options: Any) -> None:
        self.commands = Commands()
        self.client: MongoClient[Any] = MongoClient(harness.url, event_listeners=[self.commands])
        index = index_of(harness, Numbers())
        self.store = MongoDBStore(
            self.client, harness.db_name, index=index, clock=harness.clock, **options
        )
        self.store.setup()
        self.store.stats()  # asks once what the server is


@pytest.fixture
def watched(harness: MongoStoreHarness) -> Iterator[Watched]:
    one = Watched(harness, ttl={"default_ttl": 60, "omit_expired": True})
    yield one
    one.client.close()


GOT, READ, WRITE = {"find": 1}, {"aggregate": 1}, {"update": 1}
BATCH = {"update": 1, "commitTransaction": 1}
ABORT = {"abortTransaction": 1}
"""The end of a snapshot. A server that pins snapshot sessions is not sent one."""


def test_round_trips(harness: MongoStoreHarness, watched: Watched) -> None:
    store = watched.store
    many = [PutOp(("n", f"{n % 7}"), f"{n}", {"text": f"{n} 1 0"}, ttl=60) for n in range(100)]
    quiet: dict[str, Any] = {"refresh_ttl": False}
    for work, expected in (
        (store.setup, GOT),
        (lambda: store.put(AT, "a", {"text": "1 0 0"}), WRITE),
        (lambda: store.get(AT, "a", **quiet), GOT),
        (lambda: store.get(AT, "a"), GOT | WRITE),
        (lambda: store.batch(many), BATCH),
        (lambda: store.batch([GetOp(op.namespace, op.key, False) for op in many]), GOT),
        (lambda: store.batch([GetOp(op.namespace, op.key) for op in many]), GOT | WRITE),
        (lambda: store.search(("n",), **quiet), READ),
        (lambda: store.search(("n",), filter={"text": "7 1 0"}, **quiet), READ),
        (lambda: store.search(("n",), filter={"text": "7 1 0"}), READ | WRITE),
        (lambda: store.search(("n",), query="1 0 0", **quiet), {"aggregate": 3, **ABORT}),
        (lambda: store.search(("n",), query="0 1 0", **quiet), {"aggregate": 2, **ABORT}),
        (lambda: store.list_namespaces(max_depth=1), READ),
        (lambda: store.delete(AT, "a"), {"delete": 1}),
        (lambda: store.batch([many[0], PutOp(AT, "b", None)]), BATCH | {"delete": 1}),
        (store.sweep_ttl, {"delete": 1}),
        (store.stats, READ),
    ):
        harness.advance(100)  # a read moves an expiry only if it moves far
        with watched.commands.only() as commands:
            work()
        assert commands.names == expected


def test_a_deserializer_makes_the_values(harness: MongoStoreHarness) -> None:
    with harness.open(deserializer=lambda text: {"loaded": text.decode()}) as store:
        store.put(AT, "a", {"text": "1"})
        (found,) = store.search(AT, filter={"text": "1"})
        got = store.get(AT, "a")
    assert got is not None
    assert got.value == found.value == {"loaded": '{"text":"1"}'}


def test_no_command_looks_at_all_documents(harness: MongoStoreHarness, watched: Watched) -> None:
    """Every filter that is sent but that of `stats`, explained by the server."""
    store = watched.store
    with watched.commands.only() as commands:
        store.batch([PutOp(AT, f"{n}", {"text": f"{n} 1 0"}) for n in range(20)])
        store.put(AT, "aside", {"list": ["1 0 0", "0 1 0"]}, index=["list[*]"])
        store.batch([GetOp(AT, "1"), GetOp(AT, "2"), PutOp(AT, "3", None)])
        for prefix in ((), ("users",), AT):
            for query in (None, "1 0 0"):
                store.search(prefix, query=query)
                store.search(prefix, query=query, filter={"text": {"$gt": "1"}}, offset=1)
            store.list_namespaces(prefix=prefix or None)
        store.put(AT, "many", {f"{n}": n for n in range(201)})
        assert keys(store.search(AT, filter={"7": 7})) == ["many"]
        store.list_namespaces(suffix=("ann",), max_depth=1)
        store.sweep_ttl()
    sent = [one for one in commands.sent if "store_items" in one.values()]
    assert {"update", "delete", "aggregate", "find"} <= set(commands.names)
    seen = set()
    for command in sent:
        for wanted in _filters_of(command):
            if (shape := repr({name: sorted(one) for name, one in wanted.items() if one})) in seen:
                continue
            seen.add(shape)
            assert not scans(harness.client, harness.db_name, "store_items", wanted), wanted
    assert len(seen) >= 5


def _filters_of(command: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (command["filter"],) if "filter" in command else filters_of(command)


def test_by_url_beside_a_saver(harness: MongoStoreHarness) -> None:
    """In one database, under one prefix."""
    server, _, options = harness.url.partition("/?")
    url = f"{server}/{harness.db_name}?{options}"
    shared: dict[str, Any] = {"collection_prefix": "billing_"}
    with open_store(url, **shared) as store, MongoDBSaver.from_conn_string(url, **shared) as saver:
        saver.setup()
        stored = checkpoint({"a": 1})
        saver.put(on("t"), stored, metadata(), new_versions(stored))
        store.put(AT, "a", {"n": 1})
        assert keys(store.search(())) == ["a"]
        assert store.stats().items == 1
        saver.delete_thread("t")
        assert keys(store.search(())) == ["a"]
    names = set(harness.client[harness.db_name].list_collection_names())
    assert {"billing_store_items", "billing_store_migrations"} <= names
    with open_store(url) as other:
        assert other.search(()) == []


def test_an_item_of_16_mib_is_refused_and_nothing_of_its_batch_is_written(
    harness: MongoStoreHarness,
) -> None:
    with harness.open() as store:
        with pytest.raises(InvalidArgumentError, match="16 MiB"):
            store.batch([PutOp(AT, "a", {"n": 1}), PutOp(AT, "b", {"text": "é" * (1 << 23)})])
        assert store.search(()) == []
        store.put(AT, "b", {"text": "x" * ((1 << 24) - (1 << 17))})
        found = store.get(AT, "b")
        assert found is not None
        assert len(found.value["text"]) == (1 << 24) - (1 << 17)


def test_an_item_of_very_many_fields_is_still_found(harness: MongoStoreHarness) -> None:
    with harness.open() as store:
        store.put(AT, "many", {f"{n}": n for n in range(1000)})
        store.put(AT, "long", {"text": "x" * 5000, "n": 2**70})
        assert keys(store.search(AT, filter={"999": {"$gte": 999}})) == ["many"]
        assert keys(store.search(AT, filter={"text": "x" * 5000})) == ["long"]
        assert keys(store.search(AT, filter={"text": {"$gt": "x"}})) == ["long"]
        assert keys(store.search(AT, filter={"n": {"$gt": 2**69}})) == ["long"]
        assert store.search(AT, filter={"n": {"$lt": 2**69}}) == []


def test_a_search_by_a_filter_does_not_look_at_all_items(harness: MongoStoreHarness) -> None:
    """As many as there are matches, of a namespace of many."""
    declared = ["kind", "n"]
    with harness.open(filter_fields=declared) as store:
        puts = [
            PutOp(AT, f"{n}", {"n": n, "kind": "rare" if n % 90 == 0 else "x"}) for n in range(180)
        ]
        store.batch(puts)
        for wanted in ({"kind": "rare"}, {"n": {"$gte": 178}}):
            (first, *_) = _newest(search_for(filter=wanted), None, 10, declared)
            assert harness.items.count_documents(first["$match"]) == 2
            assert len(store.search(AT, filter=wanted)) == 2


def test_indexes_of_declared_fields(harness: MongoStoreHarness) -> None:
    """`setup` creates the indexes, and drops them on request; a missing index is no error."""
    with harness.open(filter_fields=["status"]), harness.open() as other:
        names = set(harness.items.index_information())
        assert index_name("status") in names
        other.setup(drop_undeclared=True)
        assert names - set(harness.items.index_information()) == {index_name("status")}
        other._drive(dropping("no_such_index"))


def dropping(name: str) -> Plan[None]:
    yield DropIndex(name, ITEMS)


def test_a_newer_schema_is_refused(harness: MongoStoreHarness) -> None:
    harness.client[harness.db_name]["store_migrations"].insert_one({"_id": 9999})
    with pytest.raises(SchemaVersionError, match="9999"), harness.open():
        pass


def test_arguments_that_are_none(mongo_server: str) -> None:
    with pytest.raises(InvalidArgumentError, match="MongoClient or Database"):
        MongoDBStore("mongodb://nowhere")  # type: ignore[arg-type]  # on purpose
    for url in ("mongodb://", "http://nowhere"):
        with (
            pytest.raises(InvalidArgumentError, match="conn_string"),
            MongoDBStore.from_conn_string(url),
        ):
            pass
    bad = pytest.raises(InvalidArgumentError, match="collection_prefix")
    with bad, MongoDBStore.from_conn_string(mongo_server, collection_prefix="$"):
        pass
