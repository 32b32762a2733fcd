"""Stores on servers that die, that step down, that have no transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest
from langgraph.store.base import PutOp
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from checkpoint_base.errors import BackendUnavailableError
from checkpoint_mongo import MongoDBStore
from checkpoint_mongo.connection import errors as failures
from checkpoint_mongo.tests.store_harness import MongoStoreHarness
from checkpoint_mongo.tests.test_robustness import ATTENTIVE, STEPPED_DOWN, fail
from conformance_tests.stores.base import Numbers, index_of, keys
from tests.servers.mongo import mongo, running_mongo
from tests.servers.process import free_port, temporary_folder

AT = ("users", "ann")


@pytest.fixture
def harness(mongo_server: str) -> Iterator[MongoStoreHarness]:
    with closing(MongoStoreHarness(mongo_server)) as one:
        yield one


def test_a_server_killed_while_batches_are_put_has_each_whole_or_not_at_all() -> None:
    told: list[int] = []
    enough, dead = threading.Event(), threading.Event()

    def work(store: MongoDBStore) -> None:
        for step in range(10_000):
            try:
                store.batch([PutOp(AT, f"{n}", {"text": f"{step} {n} 1"}) for n in range(5)])
            except BackendUnavailableError:
                assert dead.is_set()
                return
            told.append(step)
            if step == 20:
                enough.set()

    index = {"dims": 3, "embed": Numbers(), "fields": ["text"]}
    with temporary_folder() as folder:
        port = free_port()
        with running_mongo(folder, port) as (plain, server):
            url = f"{plain}&serverSelectionTimeoutMS=300&retryWrites=false"
            with MongoDBStore.from_conn_string(url, index=index) as store:
                store.setup()
                writer = threading.Thread(target=work, args=(store,))
                writer.start()
                assert enough.wait(120)
                dead.set()
                server.kill()
                writer.join(60)
        with (
            running_mongo(folder, port),
            MongoDBStore.from_conn_string(url, index=index) as store,
        ):
            found = store.search(AT, query="0 0 1")
            steps = {item.value["text"].split()[0] for item in found}
            assert len(found) == 5
            # one more may be stored than was acknowledged
            assert steps in ({f"{told[-1]}"}, {f"{told[-1] + 1}"})


@pytest.mark.parametrize("code", [STEPPED_DOWN, 11602, 91, 112], ids=str)
def test_a_primary_that_steps_down_costs_nothing(harness: MongoStoreHarness, code: int) -> None:
    index = index_of(harness, Numbers())
    harness.url += ATTENTIVE
    with harness.open(index=index, ttl={"default_ttl": 60}) as store:
        for command in ["update", "commitTransaction", "aggregate", "find", "delete"]:
            fail(harness.client, 1, [command], code)
            store.batch([PutOp(AT, f"{n}", {"text": f"{n} 1 0"}) for n in range(3)])
            assert keys(store.search(AT, query="1 0 0", limit=2)) == ["2", "1"]
            store.delete(AT, "0")
            assert store.get(AT, "0") is None


def test_a_primary_that_never_comes_back_is_an_error(harness: MongoStoreHarness) -> None:
    harness.url += ATTENTIVE
    with harness.open() as store:
        store.put(AT, "a", {"n": 1})
        fail(harness.client, 40, ["find", "update"], STEPPED_DOWN)
        with pytest.raises(BackendUnavailableError):
            store.get(AT, "a")
        with pytest.raises(BackendUnavailableError):
            store.put(AT, "b", {"n": 1})
        harness.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        assert keys(store.search(AT)) == ["a"]


def test_a_standalone_server() -> None:
    index = {"dims": 3, "embed": Numbers(), "fields": ["text"]}
    with (
        mongo("--standalone") as url,
        MongoDBStore.from_conn_string(url, index=index) as store,
    ):
        store.setup()
        store.batch([PutOp(AT, f"{n}", {"text": f"{n} 1 0"}) for n in range(20)])
        store.batch([PutOp(AT, "0", {"text": "9 9 0"}), PutOp(AT, "1", None)])
        assert keys(store.search(AT, query="1 0 0", limit=1)) == ["19"]
        assert "standalone" in store.stats().server
        assert store.stats().items == 19


def test_a_connection_that_is_lost_late_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a frozen server PyMongo gives up new connections after 13 seconds."""
    now = [100.0]
    monkeypatch.setattr(failures, "time", SimpleNamespace(monotonic=lambda: now[0]))
    client: MongoClient[dict[str, object]]
    with MongoClient(connect=False) as client:
        attempts = failures.MongoRetryPolicy(client, None, None)
    assert attempts.after(AutoReconnect("reset")) < 1
    now[0] += 13
    with pytest.raises(BackendUnavailableError, match="cancelled"):
        attempts.after(AutoReconnect("cancelled"))
