"""The planner of the stores on Redis: one script for each operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.lifecycle.setup_check import requires_setup
from checkpoint_base.plan import Plan
from checkpoint_base.saver.config import text
from checkpoint_base.saver.ttl.refresh import refresh_ttl_best_effort, warn_not_moved
from checkpoint_redis.connection.requests import Arg, call, moment
from checkpoint_redis.connection.scripts import script
from checkpoint_redis.saver.schema import expect_schema, schema_version, server_name
from checkpoint_redis.store.filters import arguments, setup_lists, spans
from checkpoint_redis.store.graph import Graph
from checkpoint_redis.store.packing import (
    name_of,
    pack_item,
    pack_unchanged,
    pack_vectors,
    parted,
    split_name,
    unpack_item,
)
from store_vector.config import IndexSettings, StoreTTL
from store_vector.namespaces import NamespaceQuery
from store_vector.planner import StorePlanner
from store_vector.records import Found, Put, Read, Record, Search, StoreStats

SCHEMA: Final = 1
"""Version of the stored format."""
CACHE_BYTES: Final = 1 << 29
"""Limit of the vectors cached in memory, in bytes; beyond it each search reads the server."""

_LOOKED_AT: Final = 20_000
"""Items that one script of a search examines."""
_LEAST: Final = 50
_NAMESPACES: Final = 5_000
_SWEPT: Final = 1_000
_KINDS: Final = (
    b"items",
    b"names",
    b"updated",
    b"expires",
    b"vectors",
    b"changes",
    b"counters",
    b"graph",
    b"fields",
)


class _Look(NamedTuple):
    """Items that a script found, and where it stopped; None: at the end."""

    records: list[Record]
    position: _Position | None


class _Position(NamedTuple):
    """Where a search goes on: after the item of this negated update time and name, skipping
    `offset` matches.
    """

    time: bytes
    name: bytes
    offset: int


@requires_setup(StorePlanner)
class RedisStorePlanner:
    """The plans of a store on Redis. All its keys are in one slot, so that a batch is one script.

    Args:
        settings: the vector index; None: no vector search.
        ttl: time to live of items.
        prefix: the hash tag with which all keys begin.
        cache_bytes: limit of the vectors cached in memory, in bytes.
        fields: the paths of declared fields (`filter_fields`).
    """

    is_set_up = False

    def __init__(
        self,
        settings: IndexSettings | None,
        ttl: StoreTTL,
        prefix: str = "store",
        cache_bytes: int = CACHE_BYTES,
        fields: Sequence[str] = (),
    ) -> None:
        name = text("prefix", prefix)
        if not name or "{" in name or "}" in name:
            raise InvalidArgumentError(
                f"prefix: wanted some text without braces, which are for hash tags, got {prefix!r}"
            )
        tag = b"{" + name.encode() + b"}:"
        self._schema = tag + b"schema"
        self._keys = [tag + kind for kind in _KINDS]
        self._ttl, self._fields = ttl, fields
        self._meaning = None if settings is None else Graph(settings, self._ask, cache_bytes)

    def _ask(self, name: str, args: Sequence[Arg], now: float) -> Plan[Any]:
        head = [moment(self._ttl.horizon(now)), moment(now)]
        return (yield from call(script(f"store/{name}"), self._keys, [*head, *args]))

    def setup(self, drop_undeclared: bool = False) -> Plan[None]:
        """Store the schema version, build the indexes of declared fields, and a vector index if the
        server supports one. What is done already is only checked.
        """
        if not (yield from schema_version(self._schema, SCHEMA)):
            yield from schema_version(self._schema, SCHEMA, note=True)
        yield from setup_lists(self._ask, self._fields, drop_undeclared=drop_undeclared)
        if self._meaning is not None:
            yield from self._meaning.setup(0.0)

    def expect_setup(self) -> Plan[None]:
        """Check the stored schema version; raise as `expect_schema` does."""
        yield from expect_schema(self._schema, SCHEMA)

    # ------------------------------------------------------------------ get, put

    def get(self, reads: Sequence[Read], now: float) -> Plan[Sequence[Record | None]]:
        """Read items: one script, which also refreshes their expiry."""
        names = [name_of(ns, key) for ns, key, _ in reads]
        moves = "".join(["1" if refresh else "0" for _, _, refresh in reads])
        found, refusal = yield from self._ask("get", [len(names), *names, moves], now)
        _warn_of(refusal, len(names))
        return [
            unpack_item(ns, key, packed) if packed else None
            for (ns, key, _), packed in zip(reads, parted(found), strict=True)
        ]

    def put(self, puts: Sequence[Put], now: float) -> Plan[None]:
        """Put and delete items: one script. If a put that embeds nothing finds stored vectors of
        fields that the store does not embed, the script writes nothing, and runs again with the
        digests of these fields' texts.
        """
        unchanged = {name_of(one.ns, one.key): one.unchanged for one in puts}
        while True:
            args: list[Arg] = []
            for one in puts:
                args.append(name_of(one.ns, one.key))
                if one.value is None:
                    args += b"", b"", b"", b""
                else:
                    args += pack_item(one, now), moment(one.expires_at), pack_vectors(one.vectors)
                    args.append(pack_unchanged(one.unchanged))
            others: list[bytes] = yield from self._ask("put", [len(args), *args], now)
            for name, field in zip(others[::2], others[1::2], strict=True):
                if (texts := unchanged[name]) is not None:
                    texts.read([field.decode()])
            if not others:
                return

    # ------------------------------------------------------------------ search

    def search(self, search: Search, now: float) -> Plan[Sequence[Found]]:
        """Search items: one script. With a filter or a query, more if few items match, and one if
        an expiry is refreshed.
        """
        if search.vector is not None and self._meaning is not None:
            found = yield from self._meaning.search(search, search.vector, now)
        elif search.filter:
            found = yield from self._filtered(search, now)
        else:
            return (yield from self._newest(search, now))
        found = search.near_enough(found)
        if search.refresh:
            names = [
                name_of(one.record.ns, one.record.key)
                for one in found
                if one.record.is_refresh_due(now)
            ]
            if names:
                refresh = self._ask("refresh", [len(names), *names], now)
                yield from refresh_ttl_best_effort(refresh, f"one of {len(names)} items")
        return found

    def _newest(self, search: Search, now: float) -> Plan[list[Found]]:
        found: list[Found] = []
        position: _Position | None = _Position(b"", b"", search.offset)
        while position is not None and len(found) < search.limit:
            how = (search.limit - len(found), int(search.refresh))
            look = yield from self._browse(search, how, position, now)
            position = look.position
            found += [Found(one) for one in look.records]
        return found

    def _filtered(self, search: Search, now: float) -> Plan[list[Found]]:
        found: list[Found] = []
        position: _Position | None = _Position(b"", b"", 0)
        count = search.end  # most items that pass the script's prefilter match
        while position is not None and len(found) < search.end:
            some, position = yield from self._browse(search, (count, 0), position, now)
            found += [Found(one) for one in some if search.filter.matches(one.decoded)]
            count = max(4 * count, _LEAST)
        return found[search.offset : search.end]

    def _browse(
        self, search: Search, how: tuple[int, int], position: _Position, now: float
    ) -> Plan[_Look]:
        count, moves = how
        time, name, offset = position
        args = [*arguments(search.filter), *spans(search.filter, self._fields)]
        args += search.ns.encode(), offset, count, _LOOKED_AT, moves, time, name
        reply = yield from self._ask("browse", args, now)
        joined, last, left, refusal = reply
        found = parted(joined)
        _warn_of(refusal, len(found) // 2)
        records = [
            unpack_item(*split_name(found[n]), found[n + 1]) for n in range(0, len(found), 2)
        ]
        return _Look(records, _Position(last[0], last[1], left) if last else None)

    def namespaces(self, query: NamespaceQuery, now: float) -> Plan[Iterable[str]]:
        """List namespaces: one script for 5,000 of them."""
        low, high = query.bounds or ("", "")
        depth = (query.max_depth or 0) if query.is_one_range else 0
        enough = query.offset + query.limit if query.is_one_range else None
        at, found = low.encode(), list[str]()
        while True:
            count = _NAMESPACES if enough is None else min(_NAMESPACES, enough - len(found))
            some, at = yield from self._ask("namespaces", [at, high.encode(), depth, count], now)
            found += [ns.decode() for ns in some]
            if not at or len(found) == enough:
                return found

    # ------------------------------------------------------------------ expiry, size

    def sweep(self, now: float) -> Plan[int]:
        """Remove expired items: one script for a thousand."""
        swept = 0
        while True:
            count: int = yield from self._ask("sweep", [_SWEPT], now)
            swept += count
            if count < _SWEPT:
                return swept

    def stats(self) -> Plan[StoreStats]:
        """Count items and bytes."""
        server = yield from server_name(self._schema)
        items, vectors, size = yield from self._ask("stats", (), 0.0)
        return StoreStats("redis", server, items, vectors, size)


def _warn_of(refusal: bytes, items: int) -> None:
    """Log the server's error if it refused to refresh the expiry of items."""
    if refusal:
        warn_not_moved(f"one of {items} items", refusal.decode())
