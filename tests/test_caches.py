"""Tests of our caches on servers that go beyond the conformance suite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from langgraph.cache.base import FullKey
from langgraph.func import entrypoint, task
from langgraph.types import CachePolicy

from checkpoint_base import NotSetUpError, aopen_cache, open_cache
from checkpoint_postgres.tests.harness import drop_database, new_database
from conformance_tests import Proxy

NAMES: list[FullKey] = [((f"node {n % 5}",), f"{n}") for n in range(300)]
FIXTURES = {"postgres": "postgres_server", "redis": "redis_url", "mongo": "mongo_server"}


@pytest.fixture(params=FIXTURES)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server; on Postgres, of a new database."""
    found: str = request.getfixturevalue(FIXTURES[request.param])
    if request.param != "postgres":
        yield found
        return
    found = new_database(found)
    yield found
    drop_database(found)


def options(url: str, name: str) -> dict[str, Any]:
    """Options of a cache that shares no data with other tests."""
    scheme = urlsplit(url).scheme
    found: dict[str, dict[str, Any]] = {
        "redis": {"prefix": name},
        "mongodb": {"db_name": f"saver_{name}"},
        # a single connection, so that all statements are prepared before round trips are counted
        "postgresql": {"schema": name, "pool": None},
    }
    return found[scheme]


def test_a_cache_that_was_not_set_up_says_so_before_anything_runs(server: str) -> None:
    """A deployment without `setup()` must fail at once, also in a graph run, where a cache that
    silently misses would only be slow.
    """
    ran: list[int] = []

    def double(n: int) -> int:
        ran.append(n)
        return 2 * n

    policy: CachePolicy[Any] = CachePolicy(ttl=60)
    decorate: Any = task(cache_policy=policy)
    cached = decorate(double)

    with open_cache(server, setup=False, **options(server, "never")) as cache:
        calls: list[Callable[[], object]] = [
            lambda: cache.get(NAMES),
            lambda: cache.set({NAMES[0]: (1, None)}),
            cache.clear,
            lambda: asyncio.run(cache.aget(NAMES)),
        ]
        for call in calls:
            with pytest.raises(NotSetUpError, match="setup"):
                call()

        @entrypoint(cache=cache)
        def main(inputs: dict[str, int]) -> int:
            return int(cached(inputs["n"]).result())

        with pytest.raises(NotSetUpError):
            main.invoke({"n": 1})
    assert ran == []


def test_many_keys_are_one_round_trip(server: str) -> None:
    at = urlsplit(server)
    with Proxy(str(at.hostname), int(at.port or 0), delay=0.005) as proxy:
        far = server.replace(f"{at.hostname}:{at.port}", f"{proxy.host}:{proxy.port}")
        if at.scheme == "mongodb" and "directConnection" not in far:
            far += ("&" if "?" in far else "/?") + "directConnection=true"
        with open_cache(far, **options(server, "counted")) as cache:
            pairs: dict[FullKey, tuple[int, int | None]] = {
                name: (n, 60) for n, name in enumerate(NAMES)
            }
            for _ in range(2):  # warm up, so that all statements are prepared
                cache.set(pairs)
                cache.get(NAMES)
            with proxy.counting() as counted:
                assert cache.get(NAMES) == {name: n for n, name in enumerate(NAMES)}
            assert counted.round_trips == 1
            with proxy.counting() as counted:
                cache.set(pairs)
            assert counted.round_trips == 1
            cache.clear()


def test_by_url_on_an_event_loop(server: str) -> None:
    async def main() -> None:
        async with aopen_cache(server, **options(server, "awaited")) as cache:
            await cache.aset({NAMES[0]: ("value", 60)})
            assert await cache.aget(NAMES) == {NAMES[0]: "value"}
            assert (await cache.astats())["entries"] == 1
            await cache.aclear()

    asyncio.run(main())
