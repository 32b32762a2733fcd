"""Vector search on Postgres: vectors that pgvector ranks are scored again, as they were put."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from checkpoint_base.plan import Plan, offload, read
from checkpoint_base.sql.requests import Row, rows
from checkpoint_postgres.connection.requests import keeping_settings
from checkpoint_postgres.store.reading import Statement, where
from checkpoint_postgres.store.vectors import MOST_UNCONVERTED, Engine
from store_vector.config import IndexSettings
from store_vector.records import Array, Found, Name, Record, Search
from store_vector.vectors.exact import matrix
from store_vector.vectors.ranking import Ranking, Vectors, precise

_LEAST: Final = 32
_PAGE_BYTES: Final = 1 << 25
"""Bytes of vectors that are in memory at a time when they are compared without pgvector."""
_MOST_NEAR: Final = 4096
"""Maximum of nearest vectors to read by the index; if a search needs more, all are compared."""


class PostgresVectorSearch:
    """Vector searches of a store.

    Args:
        queries: named statements.
        settings: of vector search.
    """

    def __init__(self, queries: Mapping[str, str], settings: IndexSettings) -> None:
        self._queries = queries
        self._distance, self._dims = settings.distance, settings.dims

    def search(
        self, engine: Engine | None, search: Search, horizon: float | None
    ) -> Plan[list[Found]]:
        """Search by a vector; returns the page.

        Args:
            engine: pgvector; None: compare the vectors here.
            search: the vector, namespace, filter and page.
            horizon: epoch seconds; items that expire until then are left out. None: none are.
        """
        query = search.vector
        if query is None:
            return []
        if engine is None:
            return (yield from self._numpy(search, query, horizon))
        if engine.is_approximate and (query.any() or self._distance != "cosine"):
            near = self._near(engine, search, query, horizon)
            found = yield from keeping_settings(engine.tuned, near)
            if found is not None:
                return found
        return (yield from self._exact(engine, search, query, horizon))

    def _near(
        self, engine: Engine, search: Search, query: Array, horizon: float | None
    ) -> Plan[list[Found] | None]:
        """Search by the index. None: it finds too few items, or too many are not in it."""
        count = _rounded(search.end)
        while count <= _MOST_NEAR:
            reply = _Reply.of(
                (yield from rows(*engine.near(self._queries, search, horizon, count)))
            )
            if reply.has_too_many:
                return None
            ranked = self._ranked(search, query, reply)
            if len(reply.near) < count:
                is_whole = reply.compared_all or len(ranked.best) >= search.end
                return ranked.page if is_whole else None
            if ranked.is_enough(engine.precision if reply.compared_all else 0.0):
                return ranked.page
            count *= 4
        return None

    def _exact(
        self, engine: Engine, search: Search, query: Array, horizon: float | None
    ) -> Plan[list[Found]]:
        count = _rounded(search.end)
        while True:
            found = yield from rows(*engine.exact(self._queries, search, horizon, count))
            reply = _Reply.of(found)
            if reply.has_too_many:
                return (yield from self._numpy(search, query, horizon))
            ranked = self._ranked(search, query, reply)
            if len(reply.near) < count or ranked.is_enough(engine.precision):
                return ranked.page
            count *= 8

    def _ranked(self, search: Search, query: Array, reply: _Reply) -> _Ranked:
        """Score the nearest vectors, and those that pgvector could not rank."""
        some = [*reply.near, *reply.unconverted]
        if not some:
            return _Ranked(search, [], 0.0, 0.0)
        rows_ = matrix([one[-1] for one in some], self._dims, len(some))
        scores = precise(rows_, query, self._distance).tolist()
        best: dict[Name, Found] = {}
        for (*columns, _), score in zip(some, scores, strict=True):
            name = Name(columns[0], columns[1])
            known = best.get(name)
            if known is None or (known.score or 0.0) < score:
                best[name] = Found(known.record if known else Record(*columns), score)
        fitting = [one for one in best.values() if search.filter.matches(one.record.decoded)]
        scale = 1.0
        if self._distance != "cosine":
            longest = float(np.abs(rows_).max()) * self._dims**0.5
            scale = longest * max(float(np.abs(query).max()) * self._dims**0.5, 1.0)
        worst = min(scores[: len(reply.near)], default=0.0)
        return _Ranked(search, sorted(fitting, key=_place), worst, scale)

    # ------------------------------------------------------------------ without pgvector

    def _numpy(self, search: Search, query: Array, horizon: float | None) -> Plan[list[Found]]:
        """Fetch and compare the vectors of all items that match: one statement, or for more than a
        page of vectors a read transaction.
        """
        some = yield from rows(*self._passing(search, horizon, None))
        if len(some) < self._page:
            yield from offload()
            return self._best_of(search, query, some, [])[search.offset :]
        return (yield from read(self._paged, search, query, horizon))

    def _paged(self, search: Search, query: Array, horizon: float | None) -> Plan[list[Found]]:
        best: list[Found] = []
        after: Row | None = None
        while True:
            some = yield from rows(*self._passing(search, horizon, after))
            yield from offload()
            best = self._best_of(search, query, some, best)
            if len(some) < self._page:
                return best[search.offset :]
            after = some[-1]

    @property
    def _page(self) -> int:
        return max(1, _PAGE_BYTES // (4 * self._dims))

    def _passing(
        self, search: Search, horizon: float | None, after: Row | None
    ) -> tuple[str, list[Any]]:
        statement, queries = Statement(), self._queries
        conditions = [*statement.within(search, "e.ns"), *statement.conditions(search, horizon)]
        if after is not None:
            place = ", ".join(statement.mark(one, "text") for one in (*after[:2], after[-1]))
            conditions.append(f"(e.ns, e.key, e.digest) > ({place})")
        conditions.append(f"octet_length(e.data) = {4 * self._dims}")
        sql = (
            f"SELECT {queries['columns']}, e.data, e.digest "  # noqa: S608 (constants, places)
            f"FROM {queries['items']} AS i "
            f"JOIN {queries['embeddings']} AS e ON e.ns = i.ns AND e.key = i.key "
            f"{where(conditions)} ORDER BY e.ns, e.key, e.digest LIMIT {self._page}"
        )
        return sql, statement.values

    def _best_of(
        self, search: Search, query: Array, some: Sequence[Row], known: list[Found]
    ) -> list[Found]:
        """The best items of `known` and of the rows `some`, best first."""
        vectors: dict[Name, list[bytes]] = defaultdict(list)
        records: dict[Name, Record] = {}
        for *columns, data, _ in some:
            name = Name(columns[0], columns[1])
            if name not in vectors:
                records[name] = Record(*columns)
            vectors[name].append(data)
        names = [name for name, one in records.items() if search.filter.matches(one.decoded)]
        best = {one.record.name: one for one in known}
        if names:
            blobs = [data for name in names for data in vectors[name]]
            counts = [len(vectors[name]) for name in names]
            whole = Vectors.of(matrix(blobs, self._dims, len(blobs)), counts, self._distance)
            for at, score in Ranking(whole, query).leading(search.end, names.__getitem__):
                one = best.get(names[at])
                if one is None or (one.score or 0.0) < score:  # its vectors may be on two pages
                    best[names[at]] = Found(records[names[at]], score)
        return sorted(best.values(), key=_place)[: search.end]


class _Reply(NamedTuple):
    """The rows of a search: the columns of an item, and one of its vectors.

    Attributes:
        compared_all: whether pgvector ranked the vectors of all matching items, without the index.
        near: the nearest vectors.
        unconverted: vectors that are missing in pgvector's column, and not ranked.
    """

    compared_all: bool
    near: list[Row]
    unconverted: list[Row]

    @classmethod
    def of(cls, found: Sequence[Row]) -> _Reply:
        """Split rows by their first column: `compared_all`, or NULL for an unconverted vector."""
        near = [one for one in found if one[0] is not None]
        return cls(
            bool(near and near[0][0]),
            [one[1:] for one in near if one[1] is not None],
            [one[1:] for one in found if one[0] is None],
        )

    @property
    def has_too_many(self) -> bool:
        """Whether more than MOST_UNCONVERTED vectors are unconverted."""
        return len(self.unconverted) > MOST_UNCONVERTED


class _Ranked(NamedTuple):
    """The items of the nearest vectors.

    Attributes:
        search: the search.
        best: the items that match the filter, best first.
        worst: the lowest score of the nearest vectors.
        scale: how large the vectors are; rounding errors are proportional to it.
    """

    search: Search
    best: list[Found]
    worst: float
    scale: float

    @property
    def page(self) -> list[Found]:
        """The page that the search asks for."""
        return self.best[self.search.offset : self.search.end]

    def is_enough(self, precision: float) -> bool:
        """Whether no vector that was not read can be on the page, or as near as its last item."""
        if len(self.best) < self.search.end:
            return False
        last = self.best[self.search.end - 1].score or 0.0
        return last > self.worst + precision * self.scale


def _place(found: Found) -> tuple[float, Name]:
    return -(found.score or 0.0), found.record.name


def _rounded(wanted: int) -> int:
    """How many vectors to read: at least twice as many as items, and one of few numbers, since each
    number makes a statement to be prepared.
    """
    count = _LEAST
    while count < 2 * wanted:
        count *= 4
    return count
