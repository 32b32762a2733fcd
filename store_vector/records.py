"""What a store keeps, and what its operations ask a backend for."""

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
"""Makes the value of an item of its JSON text."""


class Name(NamedTuple):
    """Which item: the text of its namespace (`namespaces.encode`), and its key."""

    ns: str
    key: str


@dataclass(eq=False, slots=True)
class Record:
    """An item as it is stored.

    Attributes:
        ns: the text of its namespace.
        key: its key.
        value: JSON text, verbatim.
        created_at: epoch seconds of the first put; later puts leave it.
        updated_at: epoch seconds of the last put.
        expires_at: epoch seconds from which it has expired; None: never.
        ttl: minutes from a touch to the expiry; None: it never expires.
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
        """Which item it is."""
        return Name(self.ns, self.key)

    def is_refresh_due(self, now: float) -> bool:
        """Whether being read at `now` (epoch seconds) moves the expiry."""
        if self.ttl is None or self.expires_at is None:
            return False
        return is_refresh_due(self.expires_at, self.ttl, now)

    @property
    def decoded(self) -> dict[str, Any]:
        """The value; the same object each time."""
        if self._decoded is None:
            self._decoded = loads(self.value)
        return self._decoded

    def item(self, load: Load | None = None) -> Item:
        """What `get` gives: with a value of its own each time, made by `load`."""
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
    """An item that a search found; the score is None in a search without a query."""

    record: Record
    score: float | None = None

    def item(self, load: Load | None = None) -> SearchItem:
        """What `search` gives, with a value made by `load`."""
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
    """A `get`: which item, and whether reading it moves its expiry."""

    ns: str
    key: str
    refresh: bool


class Search(NamedTuple):
    """A `search`.

    Attributes:
        ns: the text of the namespace to search in, with all under it; `""`: everywhere.
        filter: what items' values must be.
        limit: how many to give at most, 1 or more.
        offset: how many to leave out before.
        refresh: whether being found moves an item's expiry.
        text: what to search for by meaning; None: only the filter counts, newest first.
        vector: the embedding of `text`: float32, as long as the index has dimensions. Set exactly
            when `text` is.
        least: the least score of what is given; None: any.
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
        """From and to (exclusive) of the texts of namespaces to search in; None: in all."""
        return bounds(self.ns)

    @property
    def end(self) -> int:
        """How many items, in order, are looked at: those left out and those given."""
        return self.offset + self.limit

    def near_enough(self, found: list[Found]) -> list[Found]:
        """What of a page, best first, has the least score. What follows has it even less."""
        if self.least is None:
            return found
        return [one for one in found if one.score is None or one.score >= self.least]

    def embedded(self, vector: Array) -> Search:
        """The search, with the embedding of its text."""
        return self._replace(vector=vector)


class Vector(NamedTuple):
    """An embedding of one of an item's texts.

    Attributes:
        field: the path where the text was.
        digest: of the text at this field (`Text.digest`).
        data: little-endian float32, one after the other.
    """

    field: str
    digest: str
    data: bytes


class Put(NamedTuple):
    """A `put`, or a `delete` (then `value` is None, and nothing else counts).

    All vectors that the item has are replaced by `vectors`; by none of them, if there are none.
    With `unchanged`, those stay whose texts it has, unless the item has expired and is absent.

    Attributes:
        ns: the text of the namespace.
        key: the key.
        value: JSON text.
        ttl: minutes to live, or None.
        expires_at: when they are over, in epoch seconds, or None.
        vectors: with digests that differ.
        keys: the filter keys of the value (`filter_keys`).
        unchanged: the texts of a value that is not embedded; then there are no `vectors`.
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
    """What a store holds.

    Attributes:
        backend: `"sqlite"`, `"postgres"`, …
        server: the server and its version.
        items: how many there are, expired ones that are not swept yet among them.
        vectors: how many embeddings.
        bytes: what the store takes on disk, or in the server; on SQLite, the whole file.
    """

    backend: str
    server: str
    items: int
    vectors: int
    bytes: int


@lru_cache(1024)  # items that were put together have the same times
def moment(seconds: float) -> datetime:
    """Epoch seconds as the time that items carry, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)
