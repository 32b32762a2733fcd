"""How the conformance suite opens the Redis savers, and looks into their database."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import redis

from checkpoint_redis import AsyncRedisSaver, RedisSaver
from conformance_tests import SaverHarness

KINDS = {"n": "checkpoints", "v": "values", "s": "segments", "w": "writes"}


class MovableClock:
    """Epoch seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class RedisHarness(SaverHarness):
    """The keys below a prefix; sync and async savers open them side by side."""

    name = "redis (one server)"

    def __init__(self, url: str, prefix: str) -> None:
        self.url = url
        self.prefix = prefix
        self.clock = MovableClock()

    @classmethod
    def new(cls, url: str) -> RedisHarness:
        """A harness with keys of its own."""
        return cls(url, f"test-{secrets.token_hex(6)}")

    @contextmanager
    def open(self, **options: Any) -> Iterator[RedisSaver]:
        opened = RedisSaver.from_conn_string(
            self.url, prefix=self.prefix, clock=self.clock, **options
        )
        with opened as saver:
            saver.setup()
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncRedisSaver]:
        opened = AsyncRedisSaver.from_conn_string(
            self.url, prefix=self.prefix, clock=self.clock, **options
        )
        async with opened as saver:
            await saver.setup()
            yield saver

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Behind the saver's back."""
        with redis.Redis.from_url(self.url) as client:
            yield client

    def threads(self, client: Any) -> list[bytes]:
        """The keys with the records of threads."""
        found = client.scan_iter(match=f"{self.prefix}:{{*}}:records", count=1000)
        return sorted(found)

    def rows(self) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        with self.client() as client:
            for key in self.threads(client):
                counts["threads"] += 1
                for name in client.hkeys(key):
                    if kind := KINDS.get(name[:1].decode()):
                        counts[kind] += 1
        return {record: counts[record] for record in ("threads", *KINDS.values())}

    def stored(self) -> bytes:
        found: list[bytes] = []
        with self.client() as client:
            for key in client.scan_iter(match=f"{self.prefix}:*", count=1000):
                found.append(key)
                if client.type(key) == b"hash":
                    for name, value in client.hgetall(key).items():
                        found += name, value
                elif client.type(key) == b"zset":
                    found += client.zrange(key, 0, -1)
                else:
                    found.append(client.get(key))
        return b"\0".join(found)

    def damage(self) -> None:
        with self.client() as client:
            for key in self.threads(client):
                for name in client.hkeys(key):
                    if name[:1] == b"s":
                        data = bytearray(client.hget(key, name))
                        data[len(data) // 2] ^= 1
                        client.hset(key, name, bytes(data))
                        return
        raise LookupError("no segment is stored")

    def version(self) -> str:
        with self.client() as client:
            return f"Redis {client.execute_command('INFO', 'server')['redis_version']}"

    def location(self) -> str:
        return f"{self.url} {self.prefix}"

    @classmethod
    def reopen(cls, location: str) -> SaverHarness:
        return cls(*location.split())

    def close(self) -> None:
        with self.client() as client:
            keys = list(client.scan_iter(match=f"{self.prefix}:*", count=1000))
            for key in keys:
                client.unlink(key)


class ClusterHarness(RedisHarness):
    """The keys below a prefix of a cluster."""

    name = "redis-cluster (three nodes)"

    @contextmanager
    def client(self) -> Iterator[Any]:
        host, _, port = self.url.partition("://")[2].split(",")[0].partition(":")
        with redis.RedisCluster(host, int(port)) as client:
            yield client

    def version(self) -> str:
        with self.client() as client:
            told = client.info("server", target_nodes=client.get_primaries())
            versions = {each["redis_version"] for each in told.values()}
            return f"Redis {'/'.join(sorted(versions))} x {len(told)}"
