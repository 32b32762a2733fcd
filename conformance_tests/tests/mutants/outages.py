"""Stores that do the wrong thing when something around them fails."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha1
from typing import Any

from checkpoint_base.plan import Plan
from checkpoint_base.sql.requests import execute_many
from checkpoint_redis.connection.requests import call
from checkpoint_redis.connection.scripts import Script
from checkpoint_redis.store.planner import RedisStorePlanner
from checkpoint_redis.tests.store_harness import RedisStoreHarness
from checkpoint_sqlite.store.planner import QUERIES, SqliteStorePlanner
from checkpoint_sqlite.tests.store_harness import SqliteStoreHarness
from conformance_tests.tests.mutants.on_redis import on_redis as faulty
from conformance_tests.tests.mutants.on_redis import or_else
from conformance_tests.tests.mutants.registry import C, mutant
from store_vector.namespaces import NamespaceQuery
from store_vector.records import Found, Put, Read, Record, Search


def on_redis(caught_by: str, **more: Any) -> Callable[[C], C]:
    """A planner of the Redis store with a fault."""
    return faulty(RedisStoreHarness, caught_by, **more)


_TEXT = b"return string.match(redis.call('INFO', 'stats'), 'total_connections_received:(%d+)')"
_CONNECTIONS = Script("connections", _TEXT, sha1(_TEXT, usedforsecurity=False).hexdigest().encode())
"""Replies how many connections the server has had."""


class _Swallowing(RedisStorePlanner):
    """No error of the network gets out: nothing is found then, and nothing is stored."""

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        return (yield from or_else([None] * len(reads), super().get(reads, now)))

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        yield from or_else(None, super().put(puts, now))

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        return (yield from or_else([], super().search(search, now)))

    def namespaces(self, query: NamespaceQuery, now: float) -> Plan[Iterable[str]]:
        return (yield from or_else([], super().namespaces(query, now)))


@on_redis("store.network.an_outage_is_an_error")
class SwallowedOutage(_Swallowing):
    """While the network is down, nothing is known and everything is stored."""


@on_redis("store.network.an_answer_cut_short_is_no_answer")
class HalfAnAnswer(_Swallowing):
    """What is left of an answer when the connection breaks is the answer."""


@on_redis("store.network.a_stalled_call_ends_when_the_network_goes_on", patience=0.05)
class ImpatientWithAStall(_Swallowing):
    """An answer that does not come in time is taken for an empty one."""


@on_redis("store.network.a_slow_one_changes_nothing", patience=0.03)
class ImpatientWithADistance(_Swallowing):
    """An answer from far away is taken for an empty one."""


@on_redis("store.network.cut_connections_are_replaced")
class OneConnectionForEver(RedisStorePlanner):
    """On another connection than its first one, the store finds nothing."""

    connections: Any = None

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        # the client may connect again without an error that a plan would see
        connections = yield from call(_CONNECTIONS, (), ())
        self.connections = self.connections or connections
        if connections != self.connections:
            return [None] * len(reads)
        return (yield from super().get(reads, now))


@on_redis("store.network.a_batch_cut_short_is_there_whole_or_not_at_all")
class BatchInParts(RedisStorePlanner):
    """Each put of a batch is sent for itself."""

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        for one in puts:
            yield from super().put([one], now)


@on_redis("store.server_death.keeps_what_was_acknowledged", settings={})
class NothingOnADisk(RedisStorePlanner):
    """The server acknowledges what is in its memory only."""


@on_redis("store.server_death.is_an_error_until_it_runs_again")
class DeathIsNothing(_Swallowing):
    """While the server is dead, nothing is known."""


def on_sqlite(caught_by: str) -> Callable[[C], C]:
    """A harness of the SQLite store whose stores have a fault."""
    return mutant(caught_by, lambda harness, folder: harness(folder / "mutant.db"))


class _Planned(SqliteStoreHarness):
    planner: type[SqliteStorePlanner]

    @contextmanager
    def open(self, **options: Any) -> Iterator[Any]:
        with super().open(**options) as store:
            store._planner.__class__ = self.planner
            yield store

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[Any]:
        async with super().aopen(**options) as store:
            store._planner.__class__ = self.planner
            yield store


class _WritesIfItCan(SqliteStorePlanner):
    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        yield from or_else(None, super().put(puts, now))


@on_sqlite("store.disk_full.is_an_error_and_nothing_half")
class WritesIfItCan(_Planned):
    """What does not fit on the disk is dropped, and nobody is told."""

    planner = _WritesIfItCan


class _OneByOne(SqliteStorePlanner):
    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        for one in puts:
            yield from super().put([one], now)
            time.sleep(0.002)  # the kill comes here


@on_sqlite("store.processes.one_that_is_killed_leaves_whole_batches")
class TransactionForEachPut(_Planned):
    """A batch is as many transactions as it has puts."""

    planner = _OneByOne


class _VectorsOnce(SqliteStorePlanner):
    def _put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        names = [Read(one.ns, one.key, refresh=False) for one in puts]
        there = yield from self.get(names, now)
        new = [one for one, old in zip(puts, there, strict=True) if old is None]
        yield from super()._put(new, now)
        values = [
            (
                *(one.ns, one.key, one.value, now, one.expires_at, one.ttl),
                *(self._ttl.horizon(now), json.dumps(one.keys)),
            )
            for one in puts
            if one not in new
        ]
        yield from execute_many(QUERIES["put_item"], values)


@on_sqlite("store.provider.that_is_slow_decides_no_order")
class VectorsOnce(_Planned):
    """Whoever finds an item there when its embedding has come leaves its vectors as they are."""

    planner = _VectorsOnce


@on_sqlite("store.provider.that_fails_now_and_then")
class ZerosInstead(SqliteStoreHarness):
    """A text whose embedding fails gets one of zeros."""

    def _arguments(self, **options: Any) -> dict[str, Any]:
        given = super()._arguments(**options)
        index = given["index"]

        def embed(texts: Sequence[str]) -> list[list[float]]:
            try:
                found: list[list[float]] = index["embed"](texts)
            except ConnectionError:
                return [[0.0] * index["dims"] for _ in texts]
            return found

        return {**given, "index": {**index, "embed": embed}}


@on_sqlite("store.provider.that_is_slow_holds_up_nobody_else")
class EmptyWhileItEmbeds(SqliteStoreHarness):
    """While one call waits for its embedding, all others are told that there is nothing."""

    embedding = False

    def _arguments(self, **options: Any) -> dict[str, Any]:
        given = super()._arguments(**options)
        index = given.get("index")
        if index is None:
            return given

        def embed(texts: Sequence[str]) -> list[list[float]]:
            self.embedding = True
            try:
                found: list[list[float]] = index["embed"](texts)
            finally:
                self.embedding = False
            return found

        return {**given, "index": {**index, "embed": embed}}

    @contextmanager
    def open(self, **options: Any) -> Iterator[Any]:
        with super().open(**options) as store:
            self._hide(store._planner)
            yield store

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[Any]:
        async with super().aopen(**options) as store:
            self._hide(store._planner)
            yield store

    def _hide(self, planner: Any) -> None:
        get = planner.get

        def nothing(reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
            found = yield from get(reads, now)
            return [None] * len(reads) if self.embedding else found

        planner.get = nothing
