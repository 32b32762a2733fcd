"""Search by meaning on Postgres: what the database ranks is scored again, from what was put."""

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
"""Vectors that are held at a time where they are compared here."""
_MOST_NEAR: Final = 4096
"""Nearest vectors that an index is asked for; who wants more has all compared."""


class PostgresVectorSearch:
    """Searches over the embeddings of a schema.

    Args:
        queries: named statements.
        settings: the index.
    """

    def __init__(self, queries: Mapping[str, str], settings: IndexSettings) -> None:
        self._queries = queries
        self._distance, self._dims = settings.distance, settings.dims

    def search(
        self, engine: Engine | None, search: Search, horizon: float | None
    ) -> Plan[list[Found]]:
        """What a search gives."""
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
        """By the index; None: it does not reach far enough."""
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
        """Score the nearest vectors, and those that were not ranked."""
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
        """All that pass are fetched: in one statement, or page by page if they are many."""
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
        """The best of those that are known and of some more, in order."""
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
    """What the database gave: vectors, each behind the columns of its item.

    Attributes:
        compared_all: whether it ranked all that pass, and not only what an index led to.
        near: the nearest.
        unconverted: those that it could not rank.
    """

    compared_all: bool
    near: list[Row]
    unconverted: list[Row]

    @classmethod
    def of(cls, found: Sequence[Row]) -> _Reply:
        """Rows, each behind `compared_all`, or NULL if it was not ranked."""
        near = [one for one in found if one[0] is not None]
        return cls(
            bool(near and near[0][0]),
            [one[1:] for one in near if one[1] is not None],
            [one[1:] for one in found if one[0] is None],
        )

    @property
    def has_too_many(self) -> bool:
        """Whether there are more that it could not rank."""
        return len(self.unconverted) > MOST_UNCONVERTED


class _Ranked(NamedTuple):
    """The items of the nearest vectors.

    Attributes:
        search: what they were sought for.
        best: those that match, in order.
        worst: the score of the farthest vector that was read.
        scale: how large what was multiplied is.
    """

    search: Search
    best: list[Found]
    worst: float
    scale: float

    @property
    def page(self) -> list[Found]:
        """What the search gives."""
        return self.best[self.search.offset : self.search.end]

    def is_enough(self, precision: float) -> bool:
        """Whether nothing that was not read can belong to the page, or be as near as its last."""
        if len(self.best) < self.search.end:
            return False
        last = self.best[self.search.end - 1].score or 0.0
        return last > self.worst + precision * self.scale


def _place(found: Found) -> tuple[float, Name]:
    return -(found.score or 0.0), found.record.name


def _rounded(wanted: int) -> int:
    """How many to ask for: some more, and few different numbers, since each is a statement."""
    count = _LEAST
    while count < 2 * wanted:
        count *= 4
    return count
