"""What each operation of a store asks of the server, which engine answers, and what fails."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest
import redis
from langgraph.store.base import GetOp, PutOp

from checkpoint_base.backends import open_store
from checkpoint_base.errors import BackendUnavailableError, CorruptValueError, SchemaVersionError
from checkpoint_redis import RedisStore
from checkpoint_redis.connection.requests import ScriptCalls
from checkpoint_redis.store import planner as store_planner
from checkpoint_redis.tests.store_harness import (
    QueryEngineHarness,
    RedisStoreHarness,
    VectorSetHarness,
)
from conformance_tests.stores.base import Numbers, index_of, keys
from tests.servers.process import free_port, temporary_folder
from tests.servers.redis import started_redis

AT = ("users", "ann")
ENGINES = {"exact": None, "set": b"set", "query": b"query"}


@pytest.fixture
def exact(redis_url: str) -> Iterator[RedisStoreHarness]:
    with closing(RedisStoreHarness(redis_url, f"store-{secrets.token_hex(6)}")) as harness:
        yield harness


@pytest.fixture(params=ENGINES)
def any_engine(request: pytest.FixtureRequest) -> Iterator[RedisStoreHarness]:
    kind: type[RedisStoreHarness] = {
        "exact": RedisStoreHarness,
        "set": VectorSetHarness,
        "query": QueryEngineHarness,
    }[request.param]
    url = request.getfixturevalue("redis_query_url" if request.param == "query" else "redis_url")
    with closing(kind(url, f"store-{secrets.token_hex(6)}")) as harness:
        yield harness


@contextmanager
def asked(store: RedisStore) -> Iterator[list[str]]:
    """The scripts that run meanwhile: each is a round trip."""
    names: list[str] = []
    driver, perform = store._driver, store._driver.perform

    def noting(request: Any) -> Any:
        if isinstance(request, ScriptCalls):
            names.extend(call.script.name.removeprefix("store/") for call in request.calls)
        return perform(request)

    driver.perform = noting  # type: ignore[method-assign]
    try:
        yield names
    finally:
        del driver.perform


def test_round_trips(exact: RedisStoreHarness) -> None:
    index = index_of(exact, Numbers())
    with exact.open(index=index, ttl={"default_ttl": 60}) as store:
        for work, expected in (
            (lambda: store.put(AT, "a", {"text": "1 0 0"}), ["put"]),
            (lambda: store.get(AT, "a"), ["get"]),
            (
                lambda: store.batch([GetOp(AT, "a"), GetOp(AT, "b"), PutOp(AT, "b", {})]),
                ["get", "put"],
            ),
            (lambda: store.search(AT), ["browse"]),
            (lambda: store.search((), filter={"text": "1 0 0"}), ["browse"]),
            (lambda: exact.advance(100), []),  # then the search moves the expiry far enough
            (lambda: store.search((), filter={"text": "1 0 0"}), ["browse", "refresh"]),
            (lambda: store.search(AT, query="1 0 0", refresh_ttl=False), ["vectors", "look"]),
            (lambda: store.search(AT, query="0 1 0", refresh_ttl=False), ["look"]),
            (store.list_namespaces, ["namespaces"]),
            (lambda: store.delete(AT, "a"), ["put"]),
            (lambda: store.search(AT, query="0 1 0"), ["look", "look"]),
            (store.sweep_ttl, ["sweep"]),
        ):
            with asked(store) as names:
                work()
            assert names == expected


def test_a_deserializer_makes_the_values(exact: RedisStoreHarness) -> None:
    with exact.open(deserializer=lambda text: {"loaded": text.decode()}) as store:
        store.put(AT, "a", {"text": "1"})
        (found,) = store.search(AT, filter={"text": "1"})
        got = store.get(AT, "a")
    assert got is not None
    assert got.value == found.value == {"loaded": '{"text":"1"}'}


@pytest.mark.parametrize("patience", [1, 30, 20_000])
def test_searches_go_on_where_a_script_stopped(
    exact: RedisStoreHarness, monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    """By time, by name, in the midst of items of one moment; none is repeated or lost."""
    monkeypatch.setattr(store_planner, "_LOOKED_AT", patience)
    with exact.open() as store:
        for first in range(0, 700, 70):
            items = range(first, first + 70)
            store.batch([PutOp(("a", f"{n % 20}"), f"{n:03}", {"n": n % 50}) for n in items])
            exact.advance(1)
        for at in ((), ("a",), ("a", "7")):
            there = [n for n in range(700) if len(at) < 2 or n % 20 == 7]
            there.sort(key=lambda n: (-(n // 70), f"{n % 20}", n))
            for wanted, fits in (
                (None, there),
                ({"n": {"$lt": 2}}, [n for n in there if n % 50 < 2]),
                ({"n": 7}, [n for n in there if n % 50 == 7]),
                ({"n": 99}, []),
            ):
                found = keys(store.search(at, filter=wanted, limit=1000))
                assert found == [f"{n:03}" for n in fits]
                found = keys(store.search(at, filter=wanted, limit=5, offset=3))
                assert found == [f"{n:03}" for n in fits[3:8]]


def test_the_engine_that_answers(any_engine: RedisStoreHarness) -> None:
    """Recall against numpy; with a filter that one in a hundred passes, the limit is filled."""
    dice = np.random.default_rng(1)
    rows = dice.standard_normal((1500, 16))
    queries = dice.standard_normal((10, 16))
    every = {f"{n}": row for n, row in enumerate([*rows, *queries])}
    index = {"dims": 16, "embed": lambda texts: [every[text].tolist() for text in texts]}
    index |= {"fields": ["text"], **any_engine.engine}
    with any_engine.open(index=index) as store:
        for first in range(0, 1500, 100):
            store.batch(
                [
                    PutOp(AT, f"{n}", {"text": f"{n}", "c": n % 100})
                    for n in range(first, first + 100)
                ]
            )
        kind = any_engine.client.hget(f"{{{any_engine.prefix}}}:counters", "kind")
        assert kind == ENGINES[_engine_of(any_engine)]
        lengths = np.linalg.norm(rows, axis=1)
        hits = filtered = 0
        for n, query in enumerate(queries):
            scores = rows @ query / lengths
            best = [f"{at}" for at in np.argsort(-scores)[:10]]
            with asked(store) as names:
                found = store.search(("users",), query=f"{1500 + n}")
            assert names == (["near"] if kind else names)
            hits += len(set(keys(found)) & set(best))
            found = store.search(AT, query=f"{1500 + n}", filter={"c": 7})
            few = [f"{at}" for at in np.argsort(-scores) if at % 100 == 7][:10]
            filtered += len(set(keys(found)) & set(few))
            assert len(found) == 10
        assert hits >= 95
        assert filtered >= 95


def _engine_of(harness: RedisStoreHarness) -> str:
    kinds = {VectorSetHarness: "set", QueryEngineHarness: "query"}
    return kinds.get(type(harness), "exact")


def test_an_index_is_built_of_what_is_there_and_kept_by_everybody(
    redis_url: str, redis_query_url: str
) -> None:
    for kind, url in ((VectorSetHarness, redis_url), (QueryEngineHarness, redis_query_url)):
        with closing(kind(url, f"store-{secrets.token_hex(6)}")) as harness:
            exact = index_of(harness, Numbers(), engine="exact")
            approximate = index_of(harness, Numbers())
            with harness.open(index=exact) as one:
                one.batch([PutOp(AT, f"{n}", {"text": f"{n} 1 0"}) for n in range(250)])
                with harness.open(index=approximate) as other, asked(other) as names:
                    assert keys(other.search(AT, query="1 0 0", limit=1)) == ["249"]
                    one.put(AT, "new", {"text": "1 0 0"})
                    assert keys(other.search(AT, query="1 0 0", limit=1)) == ["new"]
                    one.delete(AT, "new")
                    assert keys(other.search(AT, query="1 0 0", limit=1)) == ["249"]
                    assert set(names) == {"near"}


def test_without_its_index_a_store_is_exact(any_engine: RedisStoreHarness) -> None:
    """Somebody removed it behind our back."""
    with any_engine.open(index=index_of(any_engine, Numbers())) as store:
        store.batch([PutOp(AT, f"{n}", {"text": f"{n} 1 0"}) for n in range(60)])
        name = f"{{{any_engine.prefix}}}:graph"
        if isinstance(any_engine, QueryEngineHarness):
            any_engine.client.execute_command("FT.DROPINDEX", name, "DD")
        any_engine.client.unlink(name)
        assert keys(store.search(AT, query="1 0 0", limit=2)) == ["59", "58"]
        store.put(AT, "new", {"text": "1 0 0"})
        assert keys(store.search(AT, query="1 0 0", limit=2)) == ["new", "59"]


def test_an_index_is_of_one_length(any_engine: RedisStoreHarness) -> None:
    """Others put beside it and search without it, until nothing is left in it."""
    three, two = index_of(any_engine, Numbers()), index_of(any_engine, Numbers(2), 2)
    puts = [PutOp(AT, f"{n}", {"text": f"{n} 1 0"}) for n in range(60)]
    has_index = _engine_of(any_engine) != "exact"
    with any_engine.open(index=three) as store:
        store.batch(puts)
        with any_engine.open(index=two) as other:
            with asked(store) as names, asked(other) as names_of_other:
                other.put(AT, "other", {"text": "1 0"})
                assert keys(store.search(AT, query="1 0 0", limit=2)) == ["59", "58"]
                assert keys(other.search(AT, query="1 0")) == ["other"]
                other.put(AT, "59", {"text": "0 1"})
                assert keys(store.search(AT, query="1 0 0", limit=2)) == ["58", "57"]
                assert keys(other.search(AT, query="1 0")) == ["other", "59"]
            assert (set(names) == {"near"}) == has_index
            assert "look" in names_of_other
            store.batch([one._replace(value=None) for one in puts[:59]])
            other.setup()
            other.batch([one._replace(value={"text": f"1 {n + 1}"}) for n, one in enumerate(puts)])
            with asked(other) as names:
                assert keys(other.search(AT, query="1 0", limit=2)) == ["other", "0"]
            assert (names == ["near"]) == has_index
            assert store.search(AT, query="1 0 0") == []


def test_an_index_is_of_one_metric(any_engine: RedisStoreHarness) -> None:
    index = index_of(any_engine, Numbers())
    with any_engine.open(index=index) as store:
        store.batch([PutOp(AT, f"{n:03}", {"text": f"{n} 0.1 0"}) for n in range(1, 300)])
        with any_engine.open(index={**index, "distance_type": "l2"}) as other:
            assert keys(other.search(AT, query="3 0 0", limit=3)) == ["003", "002", "004"]
        with asked(store) as names:
            assert len(store.search(AT, query="3 0 0")) == 10
        assert (names == ["near"]) == (_engine_of(any_engine) != "exact")


@pytest.mark.parametrize("key", ["items", "names", "updated", "vectors", "counters"])
def test_a_key_that_was_evicted_is_an_error(exact: RedisStoreHarness, key: str) -> None:
    with exact.open(index=index_of(exact, Numbers())) as store:
        store.put(AT, "a", {"text": "1 0 0"})
        exact.client.unlink(f"{{{exact.prefix}}}:{key}")
        for call in (
            lambda: store.get(AT, "a"),
            lambda: store.search(AT),
            lambda: store.search(AT, query="1 0 0"),
            lambda: store.put(AT, "b", {}),
        ):
            with pytest.raises(CorruptValueError, match="gone"):
                call()


def test_a_stopped_server_is_an_error() -> None:
    with temporary_folder() as folder:
        port = free_port()
        with started_redis(folder, port), open_store(f"redis://127.0.0.1:{port}/0") as store:
            store.put(AT, "a", {})
        with RedisStore.from_conn_string(f"redis://127.0.0.1:{port}/0") as store:
            for call in (
                lambda: store.get(AT, "a"),
                lambda: store.search(AT),
                lambda: store.put(AT, "b", {}),
                store.list_namespaces,
                store.sweep_ttl,
                store.stats,
                store.setup,
            ):
                with pytest.raises(BackendUnavailableError) as caught:
                    call()
                assert isinstance(caught.value.__cause__, redis.ConnectionError)


def test_on_a_cluster_a_store_lies_in_one_slot(redis_cluster_url: str) -> None:
    index = {"dims": 3, "embed": Numbers(), "fields": ["text"]}
    prefix = f"store-{secrets.token_hex(6)}"
    with open_store(redis_cluster_url, prefix=prefix, index=index) as store:
        store.batch([PutOp((f"user {n}",), "k", {"text": f"{n} 1 0"}) for n in range(30)])
        assert [item.namespace for item in store.search((), query="1 0 0", limit=2)] == [
            ("user 29",),
            ("user 28",),
        ]
        assert len(store.list_namespaces()) == 30
        assert store.stats().items == 30


def test_a_newer_schema_is_refused(exact: RedisStoreHarness) -> None:
    exact.client.set(f"{{{exact.prefix}}}:schema", 7)
    with pytest.raises(SchemaVersionError, match="7"), exact.open():
        pass
