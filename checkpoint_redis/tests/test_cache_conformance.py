"""Both Redis caches under the contract of all caches: sync is one, async the other."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest

from checkpoint_redis import RedisCache
from checkpoint_redis.tests.cache_harness import RedisCacheHarness
from conformance_tests import CacheConformance


class TestRedisCache(CacheConformance):
    profile = "suite"

    @pytest.fixture
    def harness(self, redis_url: str) -> Iterator[RedisCacheHarness]:
        with closing(RedisCacheHarness(redis_url)) as harness:
            yield harness


@pytest.mark.parametrize("max_bytes", [None, 3000])
def test_a_cluster_has_all_of_a_cache_in_one_slot(
    redis_cluster_url: str, max_bytes: int | None
) -> None:
    prefix = f"cache-{secrets.token_hex(6)}"
    with RedisCache.from_conn_string(
        redis_cluster_url, prefix=prefix, max_bytes=max_bytes
    ) as cache:
        cache.setup()
        names = [((f"n{n}",), "k") for n in range(5)]
        for name in names:
            cache.set({name: ("x" * 1000, 60)})
        assert len(cache.get(names)) == (5 if max_bytes is None else 2)
        cache.clear([names[-1][0]])
        assert len(cache.get(names)) == (4 if max_bytes is None else 1)
        cache.clear()
        assert cache.stats()["entries"] == 0


def test_what_a_server_evicts_is_forgotten(redis_url: str) -> None:
    """With a policy for all keys Redis removes any of ours: nothing breaks, nothing stays."""
    with closing(RedisCacheHarness(redis_url)) as harness:
        names = [(("n",), f"{n}") for n in range(4)]
        for kind in ("entries", "names", "stored", "expires"):
            with harness.open(max_bytes=3000) as cache:
                cache.clear()
                for name in names:
                    cache.set({name: ("x" * 600, 60)})
                harness.client.delete(f"{{{harness.prefix}}}:{kind}")
                for name in names:
                    cache.set({name: ("y" * 600, 60)})
                found = cache.get(names)
                assert set(found.values()) <= {"y" * 600}
                assert found.get(names[-1]) == "y" * 600 or kind == "stored"
                assert cache.stats()["bytes"] <= 3000
                harness.advance(61)
                cache.sweep_ttl()
                assert cache.get(names) == {}
