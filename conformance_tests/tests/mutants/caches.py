"""Caches that are wrong, most of them as one that is in use has been."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from langgraph.cache.base import FullKey

from checkpoint_base.cache.entries import decode
from checkpoint_base.plan import Plan
from checkpoint_sqlite import SqliteCache
from checkpoint_sqlite.cache import SqliteCachePlanner
from checkpoint_sqlite.tests.cache_harness import SqliteCacheHarness
from conformance_tests import CacheHarness
from conformance_tests.tests.mutants.registry import C, mutant


def _opened(cls: type, folder: Path) -> SqliteCacheHarness:
    class Harness(SqliteCacheHarness):
        @contextmanager
        def open(self, **options: Any) -> Iterator[SqliteCache]:
            with super().open(**options) as cache:
                broken: Any = cache if issubclass(cls, SqliteCache) else cache._planner
                broken.__class__ = cls
                yield cache

        def aopen(self, **options: Any) -> Any:
            return CacheHarness.aopen(self, **options)  # the same, awaited

    return Harness(folder / "mutant.db")


def cache(caught_by: str) -> Callable[[C], C]:
    """A SQLite cache, or its planner, with a fault."""
    return mutant(caught_by, _opened)


@cache("cache.namespaces.no_separator_joins_two")
class JoinsLabelsByAComma(SqliteCache):
    """The labels of a namespace are joined, and read apart again."""

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        found = super().get([_joined(name) for name in keys])
        return {(tuple(ns[0].split(",")), key): found[ns, key] for ns, key in found}

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        super().set({_joined(name): value for name, value in pairs.items()})

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        return self.get(keys)

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        self.set(pairs)


def _joined(name: FullKey) -> FullKey:
    return (",".join(name[0]),), name[1]


@cache("cache.namespaces.clear_exactly_those")
class ClearsWhatBeginsAlike(SqliteCachePlanner):
    """A namespace is cleared with all whose ids sort behind it."""

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        shorter = None if namespace_ids is None else ["" for _ in namespace_ids]
        yield from super().clear(shorter)


@cache("cache.namespaces.clear_none_of_them")
class ClearsAllForAnEmptyList(SqliteCachePlanner):
    """A list without namespaces is taken for none given."""

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        yield from super().clear(namespace_ids or None)


@cache("cache.entries.absent_ones_are_left_out")
class GivesNoneForWhatIsAbsent(SqliteCache):
    """What is not there is None, as a value may be."""

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        return {**dict.fromkeys(keys), **super().get(keys)}

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        return self.get(keys)


@cache("cache.ttl.has_passed")
class GivesWhatHasExpired(SqliteCachePlanner):
    """A value is there until a sweep comes by."""

    def get(self, ids: Sequence[str], now: float) -> Plan[list[Any]]:
        return (yield from super().get(ids, 0.0))


@cache("cache.ttl.is_that_of_the_last_set")
class KeepsTheFirstExpiry(SqliteCachePlanner):
    """Storing again does not change when a value expires."""

    def put(self, entries: Sequence[Any], now: float) -> Plan[None]:
        before = yield from super().get([entry.id for entry in entries], now)
        known = {entry.id for entry in before}
        yield from super().put([one for one in entries if one.id not in known], now)


@cache("cache.ttl.sweep_removes_what_has_expired")
class SweepsNothing(SqliteCachePlanner):
    """What has expired stays where it is."""

    def sweep(self, now: float) -> Plan[int]:
        yield from ()
        return 1


@cache("cache.size.the_oldest_go_first")
class RemovesTheNewest(SqliteCachePlanner):
    """What is too much goes at the wrong end."""

    def trim(self, max_bytes: int) -> Plan[int]:
        sql = self._queries["trim"].replace("stored_at DESC", "stored_at")
        self._queries = {**self._queries, "trim": sql}
        return (yield from super().trim(max_bytes))


@cache("cache.failures.a_damaged_value_is_a_miss")
class FailsTheRunForADamagedValue(SqliteCache):
    """The error of a damaged value ends the run."""

    def _get(self, names: Mapping[str, FullKey]) -> Plan[dict[FullKey, Any]]:
        found = yield from self._planner.get(list(names), self._clock())
        return {
            names[entry.id]: self._codec.load(decode(names[entry.id], entry.data, entry.expires_at))
            for entry in found
        }


@cache("cache.failures.a_value_whose_class_is_gone_is_a_miss")
class GivesASubstitute(SqliteCache):
    """LangGraph's serializer makes something else of a value whose class is gone."""

    def _get(self, names: Mapping[str, FullKey]) -> Plan[dict[FullKey, Any]]:
        self._codec._reader = self.serde
        return (yield from super()._get(names))


@cache("cache.failures.a_value_that_cannot_be_stored_is_left_out")
class KeepsWhatShouldBeReplaced(SqliteCachePlanner):
    """Where a value cannot be stored the one before is given on and on."""

    def delete(self, ids: Sequence[str]) -> Plan[None]:
        yield from ()


@cache("cache.loop.large_values_are_encoded_elsewhere")
class EncodesOnTheLoop(SqliteCache):
    """The a-methods are the blocking ones."""

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        return self.get(keys)

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        self.set(pairs)


@cache("cache.entries.are_copies")
class KeepsTheObject(SqliteCache):
    """What was set is kept as it is beside the database, and given to everybody."""

    kept: ClassVar[dict[FullKey, Any]] = {}

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        self.kept.update({name: value for name, (value, _) in pairs.items()})

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        return {name: self.kept[name] for name in keys if name in self.kept}

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        self.set(pairs)

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        return self.get(keys)


@cache("cache.namespaces.are_kept_apart")
class ForgetsTheNamespace(SqliteCache):
    """Values are found by their key alone."""

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        found = super().get([((), key) for _, key in keys])
        return {name: found[(), name[1]] for name in keys if ((), name[1]) in found}

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        super().set({((), key): value for (_, key), value in pairs.items()})

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        return self.get(keys)

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        self.set(pairs)


@cache("cache.graphs.clear_the_cache_of_a_node")
class ClearsNothing(SqliteCachePlanner):
    """Clearing is for another day."""

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        yield from ()
