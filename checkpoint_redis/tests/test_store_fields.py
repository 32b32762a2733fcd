"""Declared fields in Redis: listed in steps by setup, used by searches, dropped on request."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from langgraph.store.base import PutOp

from checkpoint_base.errors import (
    BackendUnavailableError,
    CorruptValueError,
    PermissionDeniedError,
)
from checkpoint_redis import RedisStore
from checkpoint_redis.tests.store_harness import RedisStoreHarness
from conformance_tests.stores.base import keys
from store_vector.tests.filtering import (
    AT,
    FIELDS,
    OTHERS,
    SCALARS,
    SURROGATES,
    check_operators,
    check_while_items_change,
)
from tests.servers.process import free_port, temporary_folder
from tests.servers.redis import started_redis


@pytest.fixture
def harness(redis_url: str) -> Iterator[RedisStoreHarness]:
    with closing(RedisStoreHarness(redis_url, f"store-{secrets.token_hex(6)}")) as one:
        yield one


def listed(harness: RedisStoreHarness) -> tuple[int, int, int]:
    """How many paths are listed, how many for all items, and how many fields."""
    found = harness.client.hmget(f"{{{harness.prefix}}}:counters", "paths", "complete")
    paths, complete = (found[0] or b"").splitlines(), int(found[1] or 0)
    return len(paths), complete, harness.client.zcard(f"{{{harness.prefix}}}:fields")


def fill(store: RedisStore, count: int = 3000, **more: Any) -> None:
    ops = [PutOp(AT, f"{n:04}", {"n": n, "in": {"n": f"{n}"}, **more}) for n in range(count)]
    store.batch(ops)


@pytest.mark.parametrize(
    "filter", [{"n": 7}, {"n": {"$gte": 2995}}, {"in": {"n": "2999"}}, {"n": {"$in": [7, 8]}}]
)
def test_a_declared_field_is_found_by_its_list(
    harness: RedisStoreHarness, filter: dict[str, Any]
) -> None:
    with harness.open() as plain:
        fill(plain)
        expected = plain.search(AT, filter=filter)
        assert listed(harness) == (0, 0, 0), "a search writes nothing"
        with harness.open(filter_fields=["n", "in.n"]) as store:
            assert listed(harness) == (2, 2, 6000)
            assert store.search(AT, filter=filter) == expected
            harness.client.config_resetstat()
            assert store.search((), filter=filter) == expected
            asked = harness.client.info("commandstats")["cmdstat_hmget"]["calls"]
            assert asked <= 2, "the counters, and the items that are given"


@pytest.mark.parametrize("fields", [["v"], []])
def test_keys_sort_as_filters_compare(harness: RedisStoreHarness, fields: list[str]) -> None:
    values = SCALARS + SURROGATES + OTHERS
    with harness.open(filter_fields=fields) as store:
        check_operators(store, "v", values)
        assert listed(harness)[2] == len(fields) * len(values)


def test_lists_are_right_whatever_happens(harness: RedisStoreHarness) -> None:
    with harness.open(filter_fields=FIELDS) as store:
        check_while_items_change(store, harness.clock)
        assert listed(harness)[:2] == (4, 4)
        for item in store.search((), limit=1000):
            store.delete(item.namespace, item.key)
        assert listed(harness)[2] == 0


def test_lists_are_made_and_dropped_in_steps(
    harness: RedisStoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ends in between leaves what the next setup goes on with."""
    monkeypatch.setattr("checkpoint_redis.store.filters._AT_ONCE", 100)
    with harness.open() as store, harness.open(filter_fields=["n"]) as declaring:
        fill(store, 1000)
        assert store._drive(store._planner._ask("list", [b"in/n", 100], 0.0)) == 1  # type: ignore[attr-defined]
        assert listed(harness) == (2, 1, 1100)
        assert keys(declaring.search(AT, filter={"in": {"n": "7"}})) == ["0007"]
        with harness.open(filter_fields=["n", "in.n"]) as both:
            assert listed(harness) == (2, 2, 2000)
            assert keys(both.search(AT, filter={"in": {"n": "7"}})) == ["0007"]
        kept = [1, b"in/n", 100]
        assert store._drive(store._planner._ask("unlist", kept, 0.0)) == 1  # type: ignore[attr-defined]
        assert listed(harness) == (2, 1, 1900)
        assert keys(declaring.search(AT, filter={"n": 7})) == ["0007"]
        store.setup(drop_undeclared=True)
        assert listed(harness) == (0, 0, 0)
        assert keys(declaring.search(AT, filter={"n": 7})) == ["0007"]
        declaring.setup()
        assert listed(harness) == (1, 1, 1000)


def test_lists_that_were_evicted_are_an_error(harness: RedisStoreHarness) -> None:
    with harness.open(filter_fields=["n"]) as store:
        fill(store)
        harness.client.unlink(f"{{{harness.prefix}}}:fields")
        with pytest.raises(CorruptValueError, match="gone"):
            store.search(AT, filter={"n": 7})


def test_who_may_not_write_finds_but_lists_nothing() -> None:
    fields: Any = {"filter_fields": ["n"]}
    with temporary_folder() as folder:
        port = free_port()
        with started_redis(folder, port), redis.Redis(port=port) as client:
            url, reader = f"redis://127.0.0.1:{port}/0", f"redis://reader:pw@127.0.0.1:{port}/0"
            with RedisStore.from_conn_string(url) as store:
                store.setup()
                fill(store)
            rules = ["~*", "+@all", "-zadd", "-hset"]
            client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", *rules)
            with RedisStore.from_conn_string(reader, **fields) as store:
                assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
                with pytest.raises(PermissionDeniedError, match=r"zadd|hset"):
                    store.setup()
            with RedisStore.from_conn_string(url, **fields) as store:
                store.setup()
            with RedisStore.from_conn_string(reader, **fields) as store:
                store.setup()
                assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
            with RedisStore.from_conn_string(url) as store:
                client.config_set("maxmemory", "1")
                assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
                with pytest.raises(BackendUnavailableError, match="maxmemory"):
                    store.put(AT, "new", {"n": 1})
