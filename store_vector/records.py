"""Records of a store: items, vectors and statistics, and the reads, searches and puts of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from langgraph.store.base import Item, SearchItem

from checkpoint_base.saver.ttl.policy import is_refresh_due
from store_vector.embedding.paths import TextDigests
from store_vector.filters.operators import Filter
from store_vector.namespaces import bounds, decode
from store_vector.values import loads

Array = npt.NDArray[np.float32]
Load = Callable[[str], dict[str, Any]]
"""Parses an item's JSON text."""


class Name(NamedTuple):
    """An item's primary key: its encoded namespace (`namespaces.encode`) and its key."""

    ns: str
    key: str


@dataclass(eq=False, slots=True)
class Record:
    """An item as it is stored.

    Attributes:
        ns: the encoded namespace.
        key: the key.
        value: JSON text, verbatim.
        created_at: epoch seconds of the first put; later puts keep it.
        updated_at: epoch seconds of the last put.
        expires_at: epoch seconds at which the item expires; None: never.
        ttl: minutes from a put or a refresh to the expiry; None: it never expires.
    """

    ns: str
    key: str
    value: str
    created_at: float
    updated_at: float
    expires_at: float | None = None
    ttl: float | None = None
    _decoded: dict[str, Any] | None = field(default=None, init=False)

    @property
    def name(self) -> Name:
        """The item's primary key."""
        return Name(self.ns, self.key)

    def is_refresh_due(self, now: float) -> bool:
        """Whether a read at `now` (epoch seconds) should write a new expiry."""
        if self.ttl is None or self.expires_at is None:
            return False
        return is_refresh_due(self.expires_at, self.ttl, now)

    @property
    def decoded(self) -> dict[str, Any]:
        """The parsed value, cached: each call returns the same object."""
        if self._decoded is None:
            self._decoded = loads(self.value)
        return self._decoded

    def item(self, load: Load | None = None) -> Item:
        """The result of `get`. Each call parses the value anew, with `load` (default: `loads`)."""
        created = moment(self.created_at)
        same = self.updated_at == self.created_at
        return Item(
            value=(load or loads)(self.value),
            key=self.key,
            namespace=decode(self.ns),
            created_at=created,
            updated_at=created if same else moment(self.updated_at),
        )


class Found(NamedTuple):
    """A search result; the score is None in a search without a query."""

    record: Record
    score: float | None = None

    def item(self, load: Load | None = None) -> SearchItem:
        """The result of `search`, its value parsed by `load` (default: `loads`)."""
        record = self.record
        created = moment(record.created_at)
        same = record.updated_at == record.created_at
        return SearchItem(
            namespace=decode(record.ns),
            key=record.key,
            value=record.decoded if load is None else load(record.value),
            created_at=created,
            updated_at=created if same else moment(record.updated_at),
            score=self.score,
        )


class Read(NamedTuple):
    """A `get` of an item; `refresh` tells whether it extends the item's expiry."""

    ns: str
    key: str
    refresh: bool


class Search(NamedTuple):
    """The validated arguments of `search`.

    Attributes:
        ns: the encoded namespace that is searched with its descendants; `""`: all namespaces.
        filter: the condition on items' values.
        limit: maximum number of results, 1 or more.
        offset: number of results skipped before them.
        refresh: whether the search extends the expiry of the items that it returns.
        text: the query of a vector search; None: filter only, newest items first.
        vector: the embedding of `text`, float32, with the index's dimensions. Set if and only if
            `text` is.
        least: minimum score of a result; None: no minimum.
    """

    ns: str
    filter: Filter
    limit: int
    offset: int
    refresh: bool
    text: str | None = None
    vector: Array | None = None
    least: float | None = None

    @property
    def bounds(self) -> tuple[str, str] | None:
        """The range [from, to) of encoded namespaces to search; None: all of them."""
        return bounds(self.ns)

    @property
    def end(self) -> int:
        """Number of ranked items needed: those skipped and those returned."""
        return self.offset + self.limit

    def near_enough(self, found: list[Found]) -> list[Found]:
        """Drop results of a page, which is sorted best first, with less than the minimum score.
        Later pages only have lower scores.
        """
        if self.least is None:
            return found
        return [one for one in found if one.score is None or one.score >= self.least]

    def embedded(self, vector: Array) -> Search:
        """A copy of the search, with the embedding of its text."""
        return self._replace(vector=vector)


class Vector(NamedTuple):
    """An embedding of one of an item's texts.

    Attributes:
        field: the path of the text in the value.
        digest: digest of field and text (`Text.digest`).
        data: the vector as little-endian float32 values.
    """

    field: str
    digest: str
    data: bytes


class Put(NamedTuple):
    """A `put`, or a `delete` (then `value` is None, and the fields after it are ignored).

    `vectors` replace all vectors of the item; if empty, these are deleted. With `unchanged`, the
    vectors whose texts the new value still has are kept, unless the old item is hidden as expired.

    Attributes:
        ns: the encoded namespace.
        key: the key.
        value: JSON text.
        ttl: TTL in minutes; None: the item never expires.
        expires_at: epoch seconds at which the item expires, or None.
        vectors: the new vectors, with distinct digests.
        keys: the value's filter keys (`filter_keys`).
        unchanged: digests of the value's texts, if the put embeds nothing (`index=False`); then
            `vectors` is empty.
    """

    ns: str
    key: str
    value: str | None
    ttl: float | None = None
    expires_at: float | None = None
    vectors: Sequence[Vector] = ()
    keys: Mapping[str, str] = MappingProxyType({})
    unchanged: TextDigests | None = None


@dataclass(frozen=True)
class StoreStats:
    """Statistics of a store.

    Attributes:
        backend: `"sqlite"`, `"postgres"`, …
        server: the server and its version.
        items: number of items, including expired items that are not swept yet.
        vectors: number of embeddings.
        bytes: size of the store on disk or in the server; on SQLite, of the whole file.
    """

    backend: str
    server: str
    items: int
    vectors: int
    bytes: int


@lru_cache(1024)  # items of one batch share their times
def moment(seconds: float) -> datetime:
    """Convert epoch seconds to a datetime in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)
