"""Setting up, also where an earlier version did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient

from checkpoint_base.errors import NotSetUpError, SchemaVersionError
from checkpoint_base.tests.calls import PUT, SAVER_CALLS, STORE_CALLS
from checkpoint_mongo import AsyncMongoDBSaver, AsyncMongoDBStore, MongoDBSaver, MongoDBStore
from checkpoint_mongo.documents import refs_of
from checkpoint_mongo.keys import ref_of
from checkpoint_mongo.setup import OBSOLETE
from checkpoint_mongo.tests.harness import MongoHarness
from checkpoint_mongo.tests.watching import Commands
from conformance_tests.build import checkpoint, ids, large, metadata, new_versions, on, values

WANTED = {"_id_", "thread_id_1_key_1", "ref_1", "seek_1", "tag_1"}


def put(saver: Any, thread: str, step: int, **more: Any) -> None:
    stored = checkpoint({"n": step, "log": large(step)}, id=f"{step:08}")
    saver.put(on(thread), stored, metadata(step=step, **more), new_versions(stored))


def back_to_version_2(database: MongoHarness) -> None:
    """What it was before: each document has a ref of its own, of one size, and checkpoints a list
    of those that they are read with.
    """
    records = database.records
    for one in list(records.find({"key": ""})):
        records.update_one({"_id": one["_id"]}, {"$set": {"ref": one["ref"][:16]}})
    for one in list(records.find({"key": {"$gt": "c\0", "$lt": "c\1"}})):
        ref = [ref_of(one["thread_id"], one["key"]), *one.get("ref", ())]
        changed = {"$set": {"ref": ref, "refs": refs_of(one)}, "$unset": {"epoch": 1}}
        records.update_one({"_id": one["_id"]}, changed)
    database.client[database.db_name]["saver_migrations"].delete_many({"_id": 3})


def back_to_version_1(database: MongoHarness) -> None:
    """What it was before that: an index for each field that is sought over all threads."""
    back_to_version_2(database)
    records = database.records
    rest = {"$substrCP": ["$seek", 2, 1000]}
    records.update_many({"key": ""}, [{"$set": {"recent": rest}}])
    records.update_many(
        {"key": {"$gt": "c\0", "$lt": "c\1"}},
        [{"$set": {"place": rest, "run_id": {"$ifNull": ["$tag", "$$REMOVE"]}}}],
    )
    records.update_many({}, {"$unset": {"seek": 1, "tag": 1}})
    for name in ("seek_1", "tag_1"):
        records.drop_index(name)
    for name in OBSOLETE:
        records.create_index(name.removesuffix("_1"), sparse=True)
    database.client[database.db_name]["saver_migrations"].delete_many({"_id": 2})


def test_there_are_four_indexes(database: MongoHarness) -> None:
    with database.open():
        assert set(database.records.index_information()) == WANTED


def test_version_1_is_migrated(database: MongoHarness) -> None:
    ttl = {"default_ttl": 10}
    with database.open() as saver, database.open(ttl=ttl) as short:
        for step in range(3):
            put(saver, "lasting", step, run_id="old" if step < 2 else "new")
            database.advance(1)
            put(short, "short", step)
    back_to_version_1(database)
    for _ in range(2):  # the second time there is nothing to do
        with database.open() as saver:
            assert set(database.records.index_information()) == WANTED
            assert [one.thread_id for one in saver.list_threads().threads] == ["short", "lasting"]
            assert ids(saver.list(None)) == sorted(ids(saver.list(None)), reverse=True)
            assert len(ids(saver.list(None))) == 6
    with database.open(ttl=ttl) as saver:
        saver.delete_for_runs(["old"])
        assert [values(one)["n"] for one in saver.list(on("lasting"))] == [2]
        database.advance(601)
        assert saver.sweep_ttl() == 1
        assert [one.thread_id for one in saver.list_threads().threads] == ["lasting"]
    old = {"place": {"$exists": True}}, {"recent": {"$exists": True}}, {"run_id": {"$exists": True}}
    assert database.records.count_documents({"$or": list(old)}) == 0


def test_version_2_is_migrated(database: MongoHarness) -> None:
    with database.open() as saver:
        for thread in ("a", "b"):
            for step in range(3):
                put(saver, thread, step, run_id=f"run {step}")
    back_to_version_2(database)
    for _ in range(2):  # the second time there is nothing to do
        with database.open() as saver:
            for thread in ("a", "b"):
                found = saver.get_tuple(on(thread))
                assert values(found) == {"n": 2, "log": large(2)}
            assert [values(one)["n"] for one in saver.list(None)] == [2, 2, 1, 1, 0, 0]
    with database.open() as saver:
        saver.delete_for_runs(["run 2"])
        assert values(saver.get_tuple(on("a"))) == {"n": 1, "log": large(1)}
        put(saver, "a", 4)
    assert database.records.count_documents({"refs": {"$exists": True}}) == 0


def test_a_newer_version_says_so(database: MongoHarness) -> None:
    with database.open():
        pass
    database.client[database.db_name]["saver_migrations"].insert_one({"_id": 99})
    with pytest.raises(SchemaVersionError, match="99"), database.open():
        pass


# ---------------------------------------------------------------- databases that nobody has set up

NEVER = r"was never set up, call setup\(\) once"


@pytest.mark.parametrize("call", SAVER_CALLS.values(), ids=list(SAVER_CALLS))
def test_a_saver_says_to_call_setup(database: MongoHarness, call: Callable[[Any], Any]) -> None:
    saver = MongoDBSaver(database.client, database.db_name)
    with pytest.raises(NotSetUpError, match=NEVER):
        call(saver)
    assert database.client[database.db_name].list_collection_names() == []
    with database.open():
        call(saver)


@pytest.mark.parametrize("call", STORE_CALLS.values(), ids=list(STORE_CALLS))
def test_a_store_says_to_call_setup(database: MongoHarness, call: Callable[[Any], Any]) -> None:
    store = MongoDBStore(database.client, database.db_name)
    with pytest.raises(NotSetUpError, match=NEVER):
        call(store)
    assert database.client[database.db_name].list_collection_names() == []
    MongoDBStore(database.client, database.db_name).setup()
    call(store)


def test_on_an_event_loop(database: MongoHarness) -> None:
    async def main() -> None:
        url, name = database.url, database.db_name
        async with (
            AsyncMongoDBSaver.from_conn_string(url, db_name=name) as saver,
            AsyncMongoDBStore.from_conn_string(url, db_name=name) as store,
        ):
            with pytest.raises(NotSetUpError, match=NEVER):
                await saver.aput(*PUT)
            with pytest.raises(NotSetUpError, match=NEVER):
                await store.aput(("a",), "k", {"n": 1})
            await saver.setup()
            await store.setup()
            await asyncio.gather(saver.aput(*PUT), store.aput(("a",), "k", {"n": 1}))

    asyncio.run(main())


def test_who_did_not_call_setup_looks_once(database: MongoHarness) -> None:
    commands = Commands()
    client: MongoClient[Any] = MongoClient(database.url, event_listeners=[commands])
    with database.open(), client:
        saver = MongoDBSaver(client, database.db_name)
        assert saver.get_tuple(on("t")) is None
        looks = [one for one in commands.sent if one.get("aggregate") == "saver_migrations"]
        assert len(looks) == 1
        commands.sent.clear()
        saver.get_tuple(on("t"))
        assert not [one for one in commands.sent if one.get("aggregate") == "saver_migrations"]
