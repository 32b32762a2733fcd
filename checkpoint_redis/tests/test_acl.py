"""The rules of an ACL that docs/howto/redis.md gives: what scripts need, and no more."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from checkpoint_base.tests.calls import SAVER_CALLS
from checkpoint_redis import AsyncRedisSaver, RedisSaver
from checkpoint_redis.connection.scripts import commands_of, names, script
from checkpoint_redis.tests.cache_harness import RedisCacheHarness
from checkpoint_redis.tests.harness import RedisHarness
from checkpoint_redis.tests.store_harness import (
    QueryEngineHarness,
    RedisStoreHarness,
    VectorSetHarness,
)
from checkpoint_redis.tests.users import user
from conformance_tests.caches.graphs import CacheGraphConformance
from conformance_tests.caches.ttl import CacheSizeClauses, CacheTTLClauses
from conformance_tests.savers.graphs.interrupts import InterruptClauses
from conformance_tests.savers.stateful import ModelClauses
from conformance_tests.savers.threads.copy_thread import CopyThreadClauses
from conformance_tests.savers.threads.stats import StatsClauses
from conformance_tests.savers.threads.ttl import ExpiryClauses, SweepClauses
from conformance_tests.stores.graphs import StoreGraphConformance
from conformance_tests.stores.items.life import StoreLifeClauses
from conformance_tests.stores.items.ttl import StoreTTLClauses
from conformance_tests.stores.stateful import StoreModelClauses

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "redis.md").read_text(encoding="utf-8")
USER = re.compile(r"^ACL SETUSER (\w+) on >\S+ (.*?)\n(?=ACL|```)", re.MULTILINE | re.DOTALL)
RULES = {name: rules.replace("\\\n", " ").split() for name, rules in USER.findall(PAGE)}
OPTIONAL = {"info", "memory|usage"}
OF_AN_INDEX = (
    {"vadd", "vcard", "vrem", "vsim"},
    {"ft._list", "ft.create", "ft.dropindex", "ft.search"},
)


@pytest.mark.parametrize("kind", ["saver", "store", "cache"])
def test_the_rules_are_what_scripts_need(kind: str) -> None:
    used = {
        command
        for name in names()
        if name == "schema" or kind == (name.split("/")[0] if "/" in name else "saver")
        for command in commands_of(script(name))
    }
    given = {rule.removeprefix("+") for rule in RULES[kind] if rule.startswith("+")}
    assert given == used - OPTIONAL - set().union(*OF_AN_INDEX)


def test_the_page_names_what_is_optional() -> None:
    for names_of in (*OF_AN_INDEX, {"info"}, {"memory|usage"}):
        assert f"`{' '.join(f'+{name}' for name in sorted(names_of))}`" in PAGE.replace("\\|", "|")


def rules_of(kind: str, prefix: str) -> list[str]:
    """The page's rules of a user, for another prefix."""
    own = {"saver": "checkpoint", "store": "store", "cache": "cache"}[kind]
    return [rule.replace(own, prefix) for rule in RULES[kind]]


@contextmanager
def store_of(user_rules: Sequence[str], owner: RedisStoreHarness) -> Iterator[RedisStoreHarness]:
    """The store of the page's user, who has these rights besides."""
    rules = rules_of("store", owner.prefix)
    with user(owner.nodes, owner.url, *rules, *user_rules) as url:
        yield owner.as_user(url)


class TestSaver(
    CopyThreadClauses, InterruptClauses, ModelClauses, StatsClauses, ExpiryClauses, SweepClauses
):
    """Every operation, by itself and by graphs."""

    examples = 5

    @pytest.fixture
    def harness(self, one_server: RedisHarness) -> Iterator[RedisHarness]:
        rules = rules_of("saver", one_server.prefix)
        with user(one_server.nodes, one_server.url, *rules) as url:
            yield one_server.as_user(url)


def test_a_saver_on_a_cluster(cluster: RedisHarness) -> None:
    rules = [*rules_of("saver", cluster.prefix), "+cluster|slots", "+command"]
    with user(cluster.nodes, cluster.url, *rules) as url:
        with RedisSaver.from_conn_string(url, prefix=cluster.prefix) as saver:
            saver.setup()
            for call in SAVER_CALLS.values():
                call(saver)

        async def main() -> None:
            opened = AsyncRedisSaver.from_conn_string(url, prefix=cluster.prefix)
            async with opened as saver:
                await saver.setup()
                for call in SAVER_CALLS.values():
                    await asyncio.to_thread(call, saver)

        asyncio.run(main())


class TestStore(StoreGraphConformance, StoreLifeClauses, StoreModelClauses, StoreTTLClauses):
    """Searches by meaning are exact: the user may keep no index."""

    profile = "suite"

    examples = 5

    @pytest.fixture
    def harness(self, redis_url: str) -> Iterator[RedisStoreHarness]:
        with (
            closing(VectorSetHarness(redis_url, f"acl-{secrets.token_hex(6)}")) as owner,
            store_of(["+memory|usage"], owner) as restricted,
        ):
            yield restricted


class TestCache(CacheTTLClauses, CacheSizeClauses, CacheGraphConformance):
    """Every operation of a cache."""

    profile = "suite"

    @pytest.fixture
    def harness(self, redis_url: str) -> Iterator[RedisCacheHarness]:
        with closing(RedisCacheHarness(redis_url)) as owner:
            rules = rules_of("cache", owner.prefix)
            with user(owner.nodes, owner.url, *rules, "+info") as url:
                restricted = RedisCacheHarness(url, owner.prefix)
                restricted.client = owner.client
                yield restricted


class TestStoreWithAnIndex(StoreGraphConformance):
    """Of each kind: it is made and kept, and not given up."""

    profile = "suite"
    test_graphs_put_and_get_in_a_node = None  # type: ignore[assignment]  # it makes no index

    @pytest.fixture(params=[b"set", b"query"])
    def harness(self, request: pytest.FixtureRequest) -> Iterator[RedisStoreHarness]:
        is_set = request.param == b"set"
        url = request.getfixturevalue("redis_url" if is_set else "redis_query_url")
        kind = VectorSetHarness if is_set else QueryEngineHarness
        more = [f"+{name}" for name in OF_AN_INDEX[not is_set]]
        with (
            closing(kind(url, f"acl-{secrets.token_hex(6)}")) as owner,
            store_of(more, owner) as restricted,
        ):
            yield restricted
            assert owner.client.hget(f"{{{owner.prefix}}}:counters", "kind") == request.param
