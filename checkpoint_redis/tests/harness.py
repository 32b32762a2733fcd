"""How the conformance suite opens the Redis savers, and looks into their database."""

from __future__ import annotations

import atexit
import secrets
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import cache, cached_property
from typing import Any, ClassVar
from urllib.parse import urlsplit

import redis
from redis._parsers import AsyncCommandsParser
from redis.asyncio import RedisCluster as AsyncRedisCluster
from redis.asyncio.cluster import ClusterNode

from checkpoint_base.tests.damage import flipped
from checkpoint_redis import AsyncRedisSaver, RedisSaver
from checkpoint_redis.connection.connect import target_of
from checkpoint_redis.saver.packing import names_of
from checkpoint_redis.saver.schema import name_of
from checkpoint_redis.tests.users import user
from conformance_tests import MovableClock, SaverHarness
from conformance_tests.harness import FaultHooks
from tests.servers.redis import SERVERS, wait_until_whole

KINDS = {"n": "checkpoints", "v": "values", "s": "segments", "w": "writes"}


def part_of(stored: bytes, part: str) -> tuple[int, int]:
    """Where in a checkpoint's record its versions, metadata, body or values are (packing.py)."""
    lengths = struct.unpack_from("<8I", stored, 5)
    parent, run, *rest = [length if length != 0xFFFFFFFF else 0 for length in lengths]
    before = parent + run
    names = ("versions", "metadata", "kind", "body", "sealed kind", "value")
    sizes = dict(zip(names, rest, strict=True))
    at = 37 + before
    for name, size in sizes.items():
        if name == part:
            return at, at + size
        at += size
    raise LookupError(part)


def url_at(host: str, port: int) -> str:
    """A server that is given up on soon."""
    return f"redis://{host}:{port}/0?socket_timeout=2&socket_connect_timeout=2"


@cache
def client_of(url: str) -> Any:
    """One client for the harnesses of a process: each would connect anew, for every test."""
    client = redis.Redis.from_url(url)
    atexit.register(client.close)
    return client


class OnServer(FaultHooks):
    """What can be done to the servers of a harness.

    Attributes:
        url: Where they are.
    """

    url: str

    @cached_property
    def nodes(self) -> list[Any]:
        """Connections behind the back of savers and stores, to each server of its own."""
        return [client_of(self.url)]

    def address(self) -> tuple[str, int]:
        found = urlsplit(self.url)
        return str(found.hostname), int(found.port or 6379)

    def server_killed(self) -> AbstractContextManager[None]:
        return SERVERS[self.address()[1]].killed()

    def as_user(self, url: str) -> Any:
        """The same harness, but what it opens logs in as this URL says."""
        raise NotImplementedError

    @contextmanager
    def reading_only(self) -> Iterator[Any]:
        with user(self.nodes, self.url, "~*", "+@all", "-@write") as url:
            yield self.as_user(url)

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        """What a full disk is to others: more memory than this it must not use."""
        for node in self.nodes:
            node.config_set("maxmemory", 1)
        try:
            yield
        finally:
            for node in self.nodes:
                node.config_set("maxmemory", 0)


class RedisHarness(OnServer, SaverHarness):
    """The keys below a prefix; sync and async savers open them side by side."""

    name = "redis (one server)"
    budgets: ClassVar[Mapping[str, int]] = {
        "put": 1,
        "put_writes": 1,
        "get_tuple": 1,
        "list": 1,
        "delete_thread": 1,
    }

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

    def through(self, host: str, port: int) -> RedisHarness:
        return RedisHarness(url_at(host, port), self.prefix)

    def as_user(self, url: str) -> RedisHarness:
        restricted = type(self)(url, self.prefix)
        restricted.nodes, restricted.clock = self.nodes, self.clock
        return restricted

    def keys(self, pattern: str = "*") -> Iterator[tuple[Any, bytes]]:
        """The keys below the prefix, each with the server that has it."""
        for node in self.nodes:
            for key in node.scan_iter(match=f"{self.prefix}:{pattern}", count=1000):
                yield node, key

    def rows(self) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for node, key in self.keys("{*}:records"):
            counts["threads"] += 1
            for name in node.hkeys(key):
                if kind := KINDS.get(name[:1].decode()):
                    counts[kind] += 1
        return {record: counts[record] for record in ("threads", *KINDS.values())}

    def stored(self) -> bytes:
        found: list[bytes] = []
        for node, key in self.keys():
            found.append(key)
            kind = node.type(key)
            if kind == b"hash":
                for name, value in node.hgetall(key).items():
                    found += name, value
            elif kind == b"zset":
                found += node.zrange(key, 0, -1)
            else:
                found.append(node.get(key) or b"")
        return b"\0".join(found)

    def damage(self) -> None:
        for node, key in self.keys("{*}:records"):
            for name in node.hkeys(key):
                if name[:1] == b"s":
                    data = bytearray(node.hget(key, name) or b"")
                    data[len(data) // 2] ^= 1
                    node.hset(key, name, bytes(data))
                    return
        raise LookupError("no segment is stored")

    def _fields(self, *begin: bytes) -> Iterator[tuple[Any, bytes, bytes]]:
        """All fields of threads that begin so: the server, the key and the name of each."""
        for node, key in self.keys("{*}:records"):
            for name in sorted(node.hkeys(key)):
                if name.startswith(begin):
                    yield node, key, name

    def damage_record(self, record: str) -> None:
        kinds = {"longer value": b"v", "write": b"w", "digests": b"d"}
        kind = kinds.get(record, b"n")
        for node, key, name in self._fields(kind):
            stored = node.hget(key, name) or b""
            if record == "longer value" and not 1000 < len(stored) < 2200:
                continue
            first, last = part_of(stored, record) if kind == b"n" else (0, len(stored))
            if first == last:
                continue
            changed = stored[:first] + flipped(stored[first:last], record) + stored[last:]
            node.hset(key, name, changed)
            return
        raise LookupError(f"no {record} is stored")

    def lose_value(self, channel: str) -> None:
        for node, key, name in self._fields(b"v"):
            if names_of(name)[1] == channel:
                node.hdel(key, name)

    def swap_records(self, record: str) -> None:
        kind = {"value": b"v", "write": b"w", "checkpoint": b"n"}[record]
        (node, key, name), (other_node, other_key, other), *_ = self._fields(kind)
        first, second = node.hget(key, name), other_node.hget(other_key, other)
        node.hset(key, name, second)
        other_node.hset(other_key, other, first)

    def version(self) -> str:
        told = [name_of(node.execute_command("INFO", "server")) for node in self.nodes]
        return "/".join(sorted(set(told))) + (f" x {len(told)}" if len(told) > 1 else "")

    def location(self) -> str:
        return f"{self.url} {self.prefix}"

    @classmethod
    def reopen(cls, location: str) -> SaverHarness:
        return cls(*location.split())

    def close(self) -> None:
        for node in self.nodes:
            keys = node.scan_iter(match=f"{self.prefix}:*", count=1000)
            with node.pipeline(transaction=False) as together:
                for key in keys:
                    together.unlink(key)
                together.execute()


@cache
def cluster_client(url: str) -> redis.RedisCluster:
    """A client of the cluster for the whole session: making one takes longer than most tests."""
    target = target_of(url)
    host, port = target.hosts[0]
    return redis.RedisCluster(host, port, decode_responses=True, **target.options)


class KnownCommands(AsyncCommandsParser):
    """What servers of one version say of their commands, asked for once in a process: to read it
    takes longer than most tests.
    """

    known: ClassVar[dict[str, Any]] = {}

    async def initialize(self, node: ClusterNode | None = None) -> None:
        if node:
            self.node = node
        if not self.known:
            await super().initialize(node)
            self.known.update(self.commands)
        self.commands = self.known


class ClusterHarness(RedisHarness):
    """The keys below a prefix of a cluster."""

    name = "redis-cluster (three nodes)"

    @property
    def _client(self) -> dict[str, Any]:
        """What clients for one test are made with."""
        target = target_of(self.url)
        return {"startup_nodes": [ClusterNode(*at) for at in target.hosts], **target.options}

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncRedisSaver]:
        client = AsyncRedisCluster(**self._client)
        client.commands_parser = KnownCommands()
        async with client:
            saver = AsyncRedisSaver(client, prefix=self.prefix, clock=self.clock, **options)
            await saver.setup()
            yield saver
            await saver.astop_ttl_sweeper()

    @contextmanager
    def open(self, **options: Any) -> Iterator[RedisSaver]:
        client = cluster_client(self.url)
        saver = RedisSaver(client, prefix=self.prefix, clock=self.clock, **options)
        saver.setup()
        yield saver
        saver.stop_ttl_sweeper()

    @cached_property
    def nodes(self) -> list[Any]:
        """A key is found on the node that has its slot."""
        hosts = self.url.partition("://")[2].split(",")
        return [client_of(f"redis://{host}") for host in hosts]


class ClusterOfOneHarness(ClusterHarness):
    """A cluster whose node can be reached through a proxy, and killed."""

    name = "redis-cluster (one node)"
    at: tuple[str, int] | None = None  # where its clients are to believe that it is

    def through(self, host: str, port: int) -> ClusterOfOneHarness:
        far = ClusterOfOneHarness(self.url, self.prefix)
        far.at = host, port
        return far

    @contextmanager
    def server_killed(self) -> Iterator[None]:
        with super().server_killed():
            yield
        wait_until_whole(self.nodes)

    @property
    def _client(self) -> dict[str, Any]:
        host, port = self.at or self.address()
        # the node tells its clients its own address
        return {
            "host": host,
            "port": port,
            "address_remap": lambda _: (host, port),
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
        }

    @contextmanager
    def open(self, **options: Any) -> Iterator[RedisSaver]:
        with redis.RedisCluster(**self._client) as client:
            saver = RedisSaver(client, prefix=self.prefix, clock=self.clock, **options)
            saver.setup()
            yield saver
            saver.stop_ttl_sweeper()
