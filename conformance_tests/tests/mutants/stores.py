"""Stores that are wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from checkpoint_base.plan import Plan
from checkpoint_base.sql.requests import execute_many, rows
from checkpoint_sqlite.store.planner import QUERIES, SqliteStorePlanner
from checkpoint_sqlite.tests.store_harness import SqliteStoreHarness
from conformance_tests.tests.mutants.registry import C, mutant
from store_vector.embedding.paths import TextDigests
from store_vector.filters.keys import indexed
from store_vector.filters.operators import Condition, Filter, Group, Part
from store_vector.namespaces import NamespaceQuery
from store_vector.records import Found, Name, Put, Read, Record, Search


def _opened(planner: type, folder: Path) -> SqliteStoreHarness:
    class Harness(SqliteStoreHarness):
        @contextmanager
        def open(self, **options: Any) -> Iterator[Any]:
            with super().open(**options) as store:
                store._planner.__class__ = planner
                yield store

        @asynccontextmanager
        async def aopen(self, **options: Any) -> AsyncIterator[Any]:
            async with super().aopen(**options) as store:
                store._planner.__class__ = planner
                yield store

    return Harness(folder / "mutant.db")


def store(caught_by: str) -> Callable[[C], C]:
    """A planner of the SQLite store with a fault."""
    return mutant(caught_by, _opened)


@store("store.search.newest_first")
class OldestItemsFirst(SqliteStorePlanner):
    """A search begins with the items that were changed longest ago."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        return (yield from super().search(search, now))[::-1]


@store("store.search.prefixes_match_whole_labels")
class PrefixWithoutABoundary(SqliteStorePlanner):
    """A search in ("users", "1") finds what is in ("users", "10")."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        everywhere = search._replace(ns="", limit=10_000, offset=0)
        found = yield from super().search(everywhere, now)
        under = [one for one in found if one.record.ns.startswith(search.ns.rstrip("\x01"))]
        return under[search.offset : search.end]


@store("store.filter.applies_before_the_limit")
class FilterAfterTheLimitOfItems(SqliteStorePlanner):
    """The newest few items are taken first, then filtered."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        some = yield from super().search(search._replace(filter=Filter.of(None)), now)
        right = yield from super().search(search._replace(limit=10_000, offset=0), now)
        names = {one.record.name for one in right}
        return [one for one in some if one.record.name in names]


@store("store.meaning.filters_come_first")
class FilterAfterTheRanking(SqliteStorePlanner):
    """The best few by meaning are taken first, then filtered."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        some = yield from super().search(search._replace(filter=Filter.of(None)), now)
        right = yield from super().search(search._replace(limit=10_000, offset=0), now)
        names = {one.record.name for one in right}
        return [one for one in some if one.record.name in names]


@store("store.filter.fields_are_combined_with_and")
class FilterByOneField(SqliteStorePlanner):
    """Of several fields of a filter, the first is looked at."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        first = Filter(search.filter.parts[:1])
        return (yield from super().search(search._replace(filter=first), now))


@store("store.filter.logic")
class EveryGroupIsOr(SqliteStorePlanner):
    """`$and` is taken for `$or`."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        parts = tuple(_loosened(part) for part in search.filter.parts)
        return (yield from super().search(search._replace(filter=Filter(parts)), now))


def _loosened(part: Part) -> Part:
    if isinstance(part, Condition):
        return part
    return Group(is_any=True, parts=tuple(map(_loosened, part.parts)))


@store("store.filter.one_field")
class NegationNeedsTheField(SqliteStorePlanner):
    """`$not` matches only items that have the field."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        parts = tuple(_narrowed(part) for part in search.filter.parts)
        return (yield from super().search(search._replace(filter=Filter(parts)), now))


def _narrowed(part: Part) -> Part:
    if isinstance(part, Group):
        return part._replace(parts=tuple(map(_narrowed, part.parts)))
    if part.is_negated and part.op != "$exists":
        return Group(is_any=False, parts=(Condition(part.path, "$exists"), part))
    return part


@store("store.filter_fields.of_items_that_are_there")
class IndexOfNewItemsOnly(SqliteStorePlanner):
    """The index of a declared field has only what was put since it was declared."""

    known: int | None = None

    def _note(self) -> Plan[int]:
        if self.known is None:
            ((last,),) = yield from rows("SELECT coalesce(max(id), 0) FROM store_items")
            self.known = int(last)
        return self.known

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        yield from self._note()
        yield from super().put(puts, now)

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        known = yield from self._note()
        found = yield from super().search(search, now)
        if not indexed(search.filter, self._fields):
            return found
        sql = "SELECT ns, key FROM store_items WHERE id <= ?"
        old = {Name(*one) for one in (yield from rows(sql, (known,)))}
        return [one for one in found if one.record.name not in old]


@store("store.filter_fields.newest_first")
class DeclaredFieldsInTheOrderOfTheirKeys(SqliteStorePlanner):
    """What an index of a declared field gives comes in the order of the index."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        found = yield from super().search(search, now)
        if indexed(search.filter, self._fields):
            return sorted(found, key=lambda one: one.record.value, reverse=True)
        return found


@store("store.search.pages_neither_repeat_nor_lose")
class PagesFromTheStart(SqliteStorePlanner):
    """`offset` is not looked at."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        return (yield from super().search(search._replace(offset=0), now))


@store("store.meaning.best_first")
class WorstFirst(SqliteStorePlanner):
    """Distances are taken for similarities."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        if search.vector is not None:
            search = search.embedded(-search.vector)
        return (yield from super().search(search, now))


@store("store.meaning.score_threshold")
class AnyScoreIsEnough(SqliteStorePlanner):
    """`score_threshold` is not looked at."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        return (yield from super().search(search._replace(least=None), now))


@store("store.meaning.an_update_leaves_no_stale_vector")
class StaleVectors(SqliteStorePlanner):
    """An update without an index leaves the vectors of the value before."""

    def _put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        bare = [one for one in puts if one.value is not None and not one.vectors]
        yield from super()._put([one for one in puts if one not in bare], now)
        values = [
            (one.ns, one.key, one.value, now, one.expires_at, one.ttl, self._ttl.horizon(now), "{}")
            for one in bare
        ]
        yield from execute_many(QUERIES["put_item"], values)


@store("store.meaning.index_false_keeps_an_unchanged_text")
class EveryPutDropsVectors(SqliteStorePlanner):
    """A put that embeds nothing drops all vectors of its item, whatever its texts are."""

    def _put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        yield from super()._put([one._replace(unchanged=None) for one in puts], now)


class _Unjudged(TextDigests):
    def has(self, field: str, digest: str) -> bool:
        return True


@store("store.meaning.index_false_drops_a_changed_text")
class VectorsOfChangedTexts(SqliteStorePlanner):
    """A put that embeds nothing keeps all vectors, also those of texts that have changed."""

    def _put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        unjudged = [
            one if one.unchanged is None else one._replace(unchanged=_Unjudged("{}", ()))
            for one in puts
        ]
        yield from super()._put(unjudged, now)


@store("store.items.times")
class CreatedByTheLastPut(SqliteStorePlanner):
    """An update moves `created_at`."""

    def _put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        gone = [Put(one.ns, one.key, None) for one in puts]
        yield from super()._put(gone, now)
        yield from super()._put(puts, now)


@store("store.batch.the_last_put_wins")
class LostPut(SqliteStorePlanner):
    """The last put of a batch of several gets lost."""

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        yield from super().put(puts[:-1] if len(puts) > 1 else puts, now)


@store("store.ttl.expired_items_are_absent")
class ExpiredItemsAreShown(SqliteStorePlanner):
    """An expired item is given by `get` until it is swept."""

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        return (yield from super().get(reads, 0.0))


@store("store.ttl.reads_that_do_not")
class EveryReadRefreshes(SqliteStorePlanner):
    """`refresh_ttl=False` is not looked at."""

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        refreshed = [one._replace(refresh=True) for one in reads]
        return (yield from super().get(refreshed, now))


@store("store.ttl.an_item_that_is_read_again_and_again_stays")
class MeasuresFromTheLastGet(SqliteStorePlanner):
    """A get soon after another one moves nothing, however much is left until the expiry."""

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        gets: dict[tuple[str, str], float] = self.__dict__.setdefault("gets", {})
        late = [one.refresh and now - gets.get(one[:2], now) > 1 for one in reads]
        gets.update({one[:2]: now for one in reads})
        some = [one._replace(refresh=far) for one, far in zip(reads, late, strict=True)]
        return (yield from super().get(some, now))


@store("store.ttl.a_put_starts_anew")
class ExpiryStays(SqliteStorePlanner):
    """A put without a time to live leaves the item the one it had."""

    def _put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        before = yield from self.get([Read(one.ns, one.key, refresh=False) for one in puts], now)
        kept = [
            one._replace(ttl=old.ttl, expires_at=old.expires_at)
            if old is not None and one.ttl is None and one.value is not None
            else one
            for one, old in zip(puts, before, strict=True)
        ]
        yield from super()._put(kept, now)


@store("store.namespaces.deletes_leave_no_phantom")
class PhantomNamespaces(SqliteStorePlanner):
    """A namespace is listed for ever once it had an item."""

    seen: set[str]

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        self.seen = {*getattr(self, "seen", ()), *(one.ns for one in puts)}
        yield from super().put(puts, now)

    def namespaces(self, query: NamespaceQuery, now: float) -> Plan[Iterable[str]]:
        found = yield from super().namespaces(query, now)
        return [*found, *getattr(self, "seen", ())]


@store("store.meaning.vectors_of_another_length")
class VectorsOfAnyLength(SqliteStorePlanner):
    """What was put with other `dims` is ranked among the others, behind what has their length."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        found = list((yield from super().search(search, now)))
        if search.vector is None:
            return found
        there = yield from super().search(search._replace(text=None, vector=None), now)
        known = {one.record.name for one in found}
        return found + [Found(one.record, 0.0) for one in there if one.record.name not in known]


@store("store.namespaces.deleted_with_more_than_a_page")
class WholePagesAreNeverAllThere(SqliteStorePlanner):
    """A search with a large limit gives half of it, and so a namespace is deleted in part."""

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        return (yield from super().search(search._replace(limit=min(search.limit, 250)), now))
