"""Fields that searches filter by: when they are listed, and that nothing is lost by it."""

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
    OTHERS,
    PATHS,
    SCALARS,
    SURROGATES,
    check_operators,
    check_while_items_change,
)
from tests.servers.process import free_port, temporary_folder
from tests.servers.redis import started_redis

MOST_PATHS = 32


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
    ("filter", "paths"),
    [
        ({"n": 7}, 1),
        ({"n": {"$gte": 2995}}, 1),
        ({"in": {"n": "2999"}}, 1),
        ({"n": {"$gte": 0}}, 0),  # the newest ten are ten of the newest
        ({"n": {"$ne": 7}}, 0),
        ({"in": {}}, 0),
    ],
)
def test_what_is_found_rarely_is_listed(
    harness: RedisStoreHarness, filter: dict[str, Any], paths: int
) -> None:
    with harness.open() as store:
        fill(store)
        first = store.search(AT, filter=filter)
        assert listed(harness) == (paths, paths, 3000 * paths)
        assert store.search(AT, filter=filter) == first
        harness.client.config_resetstat()
        assert store.search((), filter=filter) == first
        if paths:
            asked = harness.client.info("commandstats")["cmdstat_hmget"]["calls"]
            assert asked <= 2, "the counters, and the items that are given"


@pytest.mark.parametrize("values", [SCALARS + OTHERS, SCALARS + SURROGATES + OTHERS])
def test_keys_sort_as_filters_compare(harness: RedisStoreHarness, values: list[Any]) -> None:
    """Also where one value, which Redis cannot read, makes the list useless."""
    with harness.open() as store:
        fill(store, 200)
        store.search(AT, filter={"v": -1})
        assert listed(harness) == (1, 1, 0)
        store.batch([PutOp(AT, f"{n:04}", None) for n in range(200)])
        check_operators(store, "v", values)
        assert listed(harness)[2] >= len(SCALARS)


def test_lists_are_right_whatever_happens(
    harness: RedisStoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While paths are listed, a few items at each search."""
    small = {"LISTED_AT_ONCE": 15, "_MANY": 0, "_RARE": 0, "_PARTS": 1}
    for name, size in small.items():
        monkeypatch.setattr(f"checkpoint_redis.store_planner.{name}", size)
    with harness.open() as store:
        check_while_items_change(store, harness.clock)
        assert listed(harness)[:2] == (PATHS, PATHS)
        for item in store.search((), limit=1000):
            store.delete(item.namespace, item.key)
        assert listed(harness)[2] == 0


def test_lists_that_were_evicted_are_an_error(harness: RedisStoreHarness) -> None:
    with harness.open() as store:
        fill(store)
        assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
        harness.client.unlink(f"{{{harness.prefix}}}:fields")
        with pytest.raises(CorruptValueError, match="gone"):
            store.search(AT, filter={"n": 7})


def test_who_may_not_write_still_finds() -> None:
    with temporary_folder() as folder:
        port = free_port()
        with started_redis(folder, port), redis.Redis(port=port) as client:
            with RedisStore.from_conn_string(f"redis://127.0.0.1:{port}/0") as store:
                store.setup()
                fill(store)
            rules = ["~*", "+@all", "-zadd", "-hset"]
            client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", *rules)
            with RedisStore.from_conn_string(f"redis://reader:pw@127.0.0.1:{port}/0") as store:
                assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
                with pytest.raises(PermissionDeniedError, match="hset"):
                    store.put(AT, "new", {"n": 1})
            with RedisStore.from_conn_string(f"redis://127.0.0.1:{port}/0") as store:
                store.setup()
                client.config_set("maxmemory", "1")
                assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
                with pytest.raises(BackendUnavailableError, match="maxmemory"):
                    store.put(AT, "new", {"n": 1})
            assert client.exists("{store}:fields") == 0


def test_there_are_not_more_and_more_lists(harness: RedisStoreHarness) -> None:
    with harness.open() as store:
        fill(store, 300, **{f"f{n}": n for n in range(MOST_PATHS + 5)})
        for n in range(MOST_PATHS + 5):
            assert store.search(AT, filter={f"f{n}": -1}) == []
        assert listed(harness)[:2] == (MOST_PATHS, MOST_PATHS)
        harness.client.config_resetstat()
        assert store.search(AT, filter={f"f{MOST_PATHS}": -1}) == []
        assert harness.client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
        assert keys(store.search(AT, filter={"n": 7})) == ["0007"]
        store.put(AT, "new", {"f0": -1})
        assert keys(store.search(AT, filter={"f0": -1})) == ["new"]
