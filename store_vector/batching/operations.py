"""Batches: store operations, validated and grouped before any embedding or database request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from langgraph.store.base import GetOp, ListNamespacesOp, Op, PutOp, Result, SearchOp

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan
from checkpoint_base.saver.config import text
from checkpoint_base.saver.ttl.policy import minutes
from store_vector.config import IndexSettings
from store_vector.embedding.embed import Embedded
from store_vector.embedding.paths import Field, Text, TextDigests, fields_of, texts
from store_vector.filters.keys import filter_keys
from store_vector.filters.operators import Filter
from store_vector.namespaces import NamespaceError, NamespaceQuery, encode, refuse_reserved
from store_vector.planner import StorePlanner
from store_vector.records import Load, Put, Read, Search, Vector
from store_vector.values import dumps, whole_number

_NO_KEYS: Final[Mapping[str, str]] = {}
Key = tuple[str, str]
"""As `Name`, but a plain tuple, which is faster to create."""


class PendingPut(NamedTuple):
    """A put whose texts are not embedded yet."""

    value: str | None
    ttl: float | None
    texts: Sequence[Text]
    keys: Mapping[str, str] = _NO_KEYS
    unchanged: TextDigests | None = None

    def after(self, earlier: PendingPut) -> PendingPut:
        """This put, merged with an `earlier` put of the same item in the same batch.

        If this put embeds nothing, it keeps the earlier put's texts that its own value still has.
        """
        if self.unchanged is None or earlier.unchanged is not None:
            return self
        has = self.unchanged.has
        kept = [one for one in earlier.texts if has(one.field, one.digest)]
        return self._replace(texts=kept, unchanged=None)

    def put(self, name: Key, vectors: Embedded, now: float) -> Put:
        """Attach the vectors, and compute the expiry from `now` (epoch seconds)."""
        (ns, key), (value, ttl, parts, keys, unchanged) = name, self
        expires_at = None if ttl is None else now + ttl * 60.0
        found = [Vector(one.field, one.digest, vectors.texts[one.text]) for one in parts]
        return Put(ns, key, value, ttl, expires_at, found, keys, unchanged)


@dataclass(slots=True)
class Batch:
    """Operations grouped by kind, with the positions of their results in the batch."""

    size: int = 0
    reads: dict[Key, tuple[bool, list[int]]] = field(default_factory=dict)
    searches: list[tuple[int, Search]] = field(default_factory=list)
    listings: list[tuple[int, NamespaceQuery]] = field(default_factory=list)
    puts: dict[Key, PendingPut] = field(default_factory=dict)

    @classmethod
    def of(cls, ops: Iterable[Op], settings: IndexSettings | None) -> Batch:
        """Validate and group operations.

        Args:
            ops: LangGraph's operations.
            settings: the vector index; None: no vector search.

        Raises:
            InvalidArgumentError: an operation is invalid.
        """
        batch = cls()
        for op in ops:
            batch._add(op, settings)
            batch.size += 1
        return batch

    @classmethod
    def merged(cls, batches: Sequence[Batch]) -> Batch:
        """Merge batches into one, whose results are the concatenation of theirs."""
        if len(batches) == 1:
            return batches[0]
        whole = cls()
        for batch in batches:
            start = whole.size
            for name, (refresh, places) in batch.reads.items():
                whole._read(name, refresh, [start + place for place in places])
            whole.searches += [(start + place, search) for place, search in batch.searches]
            whole.listings += [(start + place, query) for place, query in batch.listings]
            for name, put in batch.puts.items():
                whole._put(name, put)
            whole.size += batch.size
        return whole

    def _add(self, op: Op, settings: IndexSettings | None) -> None:
        if isinstance(op, GetOp):
            self._read(_name(op), bool(op.refresh_ttl), [self.size])
        elif isinstance(op, SearchOp):
            search = _search(op, settings)
            if search.limit > 0:
                self.searches.append((self.size, search))
            else:
                self.listings.append((self.size, _NOTHING))
        elif isinstance(op, ListNamespacesOp):
            self.listings.append((self.size, NamespaceQuery.of(op)))
        elif isinstance(op, PutOp):
            name = _name(op)
            if op.value is not None:
                refuse_reserved(op.namespace)
            self._put(name, _pending(op, settings))
        else:
            raise InvalidArgumentError(f"ops: unknown operation {op!r:.80}")

    def _read(self, name: Key, refresh: bool, places: list[int]) -> None:
        if name in self.reads:
            known = self.reads[name]
            refresh, places = known[0] or refresh, known[1] + places
        self.reads[name] = (refresh, places)

    def _put(self, name: Key, put: PendingPut) -> None:
        earlier = self.puts.get(name)
        self.puts[name] = put if earlier is None else put.after(earlier)

    @property
    def texts(self) -> list[str]:
        """The distinct texts to embed for puts."""
        return list(dict.fromkeys(one.text for put in self.puts.values() for one in put.texts))

    @property
    def queries(self) -> list[str]:
        """The distinct queries to embed for searches."""
        found = (search.text for _, search in self.searches)
        return list(dict.fromkeys(query for query in found if query is not None))

    def plan(
        self, planner: StorePlanner, vectors: Embedded, now: float, load: Load | None = None
    ) -> Plan[list[Result]]:
        """Run the batch: reads first, then puts, so that reads do not see the batch's own puts.
        Results are in the order of the operations.
        """
        results: list[Any] = [None] * self.size
        if self.reads:
            reads = [Read(ns, key, refresh) for (ns, key), (refresh, _) in self.reads.items()]
            records = yield from planner.get(reads, now)
            for record, (_, places) in zip(records, self.reads.values(), strict=True):
                if record is not None:
                    for place in places:
                        results[place] = record.item(load)
        for place, search in self.searches:
            if search.text is not None:
                search = search.embedded(vectors.queries[search.text])  # noqa: PLW2901
            found = yield from planner.search(search, now)
            results[place] = [one.item(load) for one in found]
        for place, query in self.listings:
            if query.limit <= 0:
                results[place] = []
            else:
                results[place] = query.select((yield from planner.namespaces(query, now)))
        if self.puts:
            puts = [put.put(name, vectors, now) for name, put in self.puts.items()]
            yield from planner.put(puts, now)
        return results


def single(
    op: GetOp, planner: StorePlanner, now: float, load: Load | None = None
) -> Plan[list[Result]]:
    """A fast path for the most frequent batch, a single `get`."""
    ns, key = _name(op)
    (record,) = yield from planner.get([Read(ns, key, bool(op.refresh_ttl))], now)
    return [None if record is None else record.item(load)]


_NOTHING = NamespaceQuery((), None, 0, 0)


def _name(op: GetOp | PutOp) -> Key:
    encoded = encode(op.namespace)
    if not encoded:
        raise NamespaceError("namespace: must not be empty")
    return encoded, text("key", op.key)


def _search(op: SearchOp, settings: IndexSettings | None) -> Search:
    if op.query is not None and not isinstance(op.query, str):
        raise InvalidArgumentError(f"query: wanted a string, got {op.query!r:.80}")
    return Search(
        ns=encode(op.namespace_prefix),
        filter=Filter.of(op.filter),
        limit=whole_number("limit", op.limit),
        offset=whole_number("offset", op.offset),
        refresh=bool(op.refresh_ttl),
        text=op.query if op.query and settings is not None else None,
        least=None if settings is None else settings.score_threshold,
    )


def _pending(op: PutOp, settings: IndexSettings | None) -> PendingPut:
    if op.value is None:
        return PendingPut(None, None, ())
    fields = _fields(op.index, settings)
    value = dumps(op.value)
    ttl = None if op.ttl is None else minutes("ttl", op.ttl)
    keys = filter_keys(op.value)
    if fields or settings is None:
        return PendingPut(value, ttl, texts(op.value, fields), keys)
    return PendingPut(value, ttl, (), keys, TextDigests(value, settings.fields))


def _fields(index: Any, settings: IndexSettings | None) -> Sequence[Field]:
    if index is None:
        return () if settings is None else settings.fields
    if index is False:
        return ()
    if index is True:
        raise InvalidArgumentError("index: wanted False, None or a list of paths, got True")
    fields = fields_of("index", index)
    return () if settings is None else fields
