"""Setting up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient

from checkpoint_base.errors import (
    CheckpointError,
    NotSetUpError,
    SchemaVersionError,
    UnsupportedServerError,
)
from checkpoint_base.tests.calls import PUT, SAVER_CALLS, STORE_CALLS
from checkpoint_mongo import AsyncMongoDBSaver, AsyncMongoDBStore, MongoDBSaver, MongoDBStore
from checkpoint_mongo.saver.setup import STANDALONE
from checkpoint_mongo.tests.harness import MongoHarness
from checkpoint_mongo.tests.watching import Commands
from conformance_tests.samples.build import on

WANTED = {
    "_id_",
    "thread_id_1_key_1",
    "run_id_1",
    "expires_at_1",
    "garbage_1",
    "updated_at_1_thread_id_1",
    "checkpoint_id_1_thread_id_1_key_1",
}


def test_the_indexes(database: MongoHarness) -> None:
    with database.open():
        assert set(database.records.index_information()) == WANTED


def test_a_standalone_server_is_warned_of_or_refused(
    alone: MongoHarness, caplog: pytest.LogCaptureFixture
) -> None:
    saver = MongoDBSaver(alone.client, alone.db_name)
    with pytest.raises(UnsupportedServerError, match=r"rs\.initiate"):
        saver.setup(require_transactions=True)
    assert alone.client[alone.db_name].list_collection_names() == []
    saver.setup()
    assert [record.getMessage() for record in caplog.records] == [STANDALONE]
    assert saver.stats()["server"].endswith(", standalone")


def test_a_replica_set_has_transactions(
    database: MongoHarness, caplog: pytest.LogCaptureFixture
) -> None:
    saver = MongoDBSaver(database.client, database.db_name)
    saver.setup(require_transactions=True)
    assert not caplog.records
    assert saver.stats()["server"].endswith(", replica set")


def test_sharding_is_by_thread(database: MongoHarness) -> None:
    """This server is no sharded cluster, and says so; the command is the one that is sent."""
    commands = Commands()
    client: MongoClient[Any] = MongoClient(database.url, event_listeners=[commands])
    with client, pytest.raises(CheckpointError, match="shardCollection"):
        MongoDBSaver(client, database.db_name).setup(shard=True)
    sent = commands.sent[-1]
    assert sent["shardCollection"] == f"{database.db_name}.saver_records"
    assert sent["key"] == {"thread_id": 1}


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
        looks = [one for one in commands.sent if one.get("find") == "saver_migrations"]
        assert len(looks) == 1
        commands.sent.clear()
        saver.get_tuple(on("t"))
        assert not [one for one in commands.sent if one.get("find") == "saver_migrations"]
