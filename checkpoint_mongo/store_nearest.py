"""Search by meaning by `$vectorSearch`, where the deployment has it: near ones from the index,
scores from the vectors.

The index knows of a write a little later. So each search also takes what was put in the last two
minutes, and what the index cannot hold: items with several vectors. Where that is less than is
wanted, the search is exact.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_mongo.requests import (
    ITEMS,
    Aggregate,
    CreateSearchIndex,
    Document,
    Probe,
    Unsupported,
    Wait,
)
from checkpoint_mongo.store_documents import DEEPEST, EMBEDDING, RECORD, space_of
from checkpoint_mongo.store_meaning import HAS_VECTORS, Meaning
from checkpoint_mongo.store_reading import Stage, passing
from store_vector.config import IndexSettings, StoreTTL
from store_vector.namespaces import decode, encode
from store_vector.records import Array, Found, Search

LAG: Final = 120.0
"""Seconds within which the index has seen a write."""

_LATEST: Final = 1000
"""So many of the items that were put within the lag are compared."""
_SIMILARITIES: Final[Mapping[str, str]] = {"cosine": "cosine", "l2": "euclidean"}
"""`dotProduct` wants vectors of length 1, which nobody promised: inner products are exact."""
_LONGEST: Final = 8192  # dimensions
_MOST: Final = 10_000  # candidates
_MORE, _MORE_FILTERED, _LEAST = 4, 20, 50
"""So many times as many as are wanted are looked at."""
_CANDIDATES: Final = 20
_PAUSE: Final = 0.5  # seconds
_PATIENCE: Final = 600  # pauses
_log = logging.getLogger("checkpoint_mongo.store")


class Nearest(Meaning):
    """Searches over a store's search index; exact ones where there is none.

    Args:
        settings: the index.
        ttl: how items expire.
        cache_bytes: how large the matrix of an exact search may be.
        prefix: what the names of collections begin with.
        clock: epoch seconds.
    """

    def __init__(
        self,
        settings: IndexSettings,
        ttl: StoreTTL,
        cache_bytes: int,
        prefix: str,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(settings, ttl, cache_bytes)
        self._collection = prefix + ITEMS
        self._clock = clock
        self._is_engaged = False
        self._told: set[str] = set()
        similarity = _SIMILARITIES.get(settings.distance)
        self._is_wanted = (
            settings.engine == "auto" and similarity is not None and settings.dims <= _LONGEST
        )
        self.index = f"{self._collection}_{settings.dims}_{similarity}"

    @property
    def definition(self) -> Document:
        """The index: vectors, and what a search tells apart before it compares them."""
        one = self._settings
        vector: dict[str, Any] = {
            "type": "vector",
            "path": "vector",
            "numDimensions": one.dims,
            "similarity": _SIMILARITIES[one.distance],
        }
        options = {"maxEdges": one.m, "numEdgeCandidates": one.ef_construction}
        if given := {name: value for name, value in options.items() if value is not None}:
            vector["hnswOptions"] = given
        paths = ["expires_at", *(f"within.{depth}" for depth in range(1, DEEPEST + 1))]
        return {"fields": [vector, *({"type": "filter", "path": path} for path in paths)]}

    # ------------------------------------------------------------------ setup

    def setup(self) -> Plan[None]:
        """Create the index, if the deployment has such, and wait until it answers."""
        if not self._is_wanted:
            return
        there = yield from self._listed()
        if isinstance(there, list) and not there:
            made: str | Unsupported = yield Probe(
                CreateSearchIndex(self.index, self.definition, ITEMS)
            )
            there = yield from self._listed()  # perhaps somebody else has just created it
            if isinstance(made, Unsupported) and not there:
                there = made
        if isinstance(there, Unsupported):
            self._tell("no $vectorSearch here, searches by meaning are exact: %s", there.why)
            return
        self._is_engaged = yield from self._is_queryable()

    def _listed(self) -> Plan[list[Document] | Unsupported]:
        stages = [{"$listSearchIndexes": {"name": self.index}}]
        found: list[Document] | Unsupported = yield Probe(Aggregate(stages, ITEMS))
        return found

    def _is_queryable(self) -> Plan[bool]:
        for _ in range(_PATIENCE):
            there = yield from self._listed()
            for one in there if isinstance(there, list) else ():
                if one.get("queryable"):
                    return True
                if one.get("status") == "FAILED":
                    self._tell("the index %s cannot be built, searches are exact", self.index)
                    return False
            yield Wait(_PAUSE)
        self._tell("the index %s is not ready, searches are exact until setup()", self.index)
        return False

    def _tell(self, text: str, what: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.warning(text, what)

    # ------------------------------------------------------------------ search

    def search(self, search: Search, query: Array, now: float) -> Plan[list[Found]]:
        """What a search gives: one command, and those of an exact one where that was too little."""
        wanted = max((_MORE_FILTERED if search.filter else _MORE) * search.end, _LEAST)
        if self._is_engaged and wanted <= _MOST and (query.any() or not self._is_cosine):
            stages = self.pipeline(search, query, wanted, now)
            some: list[Document] | Unsupported = yield Probe(Aggregate(stages, ITEMS))
            if isinstance(some, Unsupported):
                self._tell("$vectorSearch failed, such searches are exact: %s", some.why)
            else:
                # of what the index did not name, all is farther than what it did: a page of those
                # that it named has them all, whatever else is among them
                near = self.fitting(search, (one for one in some if "near" in one))
                if len(near) >= search.end:
                    return self.best(search, query, some)[search.offset :]
        return (yield from super().search(search, query, now))

    @property
    def _is_cosine(self) -> bool:
        return self._settings.distance == "cosine"

    def pipeline(self, search: Search, query: Array, wanted: int, now: float) -> list[Stage]:
        """So many that are near, the newest, and those that are not in the index."""
        horizon = self._ttl.horizon(now)
        aside = passing(search, horizon, HAS_VECTORS, field="aside")
        # an index that is behind may name what has no vectors any more
        inside = passing(search, horizon, HAS_VECTORS)
        latest = [
            {"$match": {"updated_at": {"$gte": self._clock() - LAG}}},
            *inside,
            {"$sort": {"updated_at": -1}},
            {"$limit": _LATEST},
        ]
        return [
            {"$vectorSearch": self._stage(search, query, wanted, horizon)},
            *inside,
            {"$set": {"near": True}},
            {"$unionWith": {"coll": self._collection, "pipeline": aside}},
            {"$unionWith": {"coll": self._collection, "pipeline": latest}},
            {"$project": {**RECORD, **EMBEDDING, "near": 1}},
        ]

    def _stage(
        self, search: Search, query: Array, wanted: int, horizon: float | None
    ) -> dict[str, Any]:
        one = self._settings
        stage: dict[str, Any] = {
            "index": self.index,
            "path": "vector",
            "queryVector": query.astype(float).tolist(),
            "limit": wanted,
        }
        if one.kind == "flat":
            stage["exact"] = True
        else:
            least = max(_CANDIDATES * search.end, one.ef_search or 0, wanted)
            stage["numCandidates"] = min(least, _MOST)
        conditions: list[Document] = []
        if search.ns:
            labels = decode(search.ns)[:DEEPEST]
            at = {f"within.{len(labels)}": {"$eq": space_of(encode(labels))}}
            conditions.append(at)
        if horizon is not None:
            conditions.append({"expires_at": {"$gt": horizon}})
        if conditions:
            stage["filter"] = {"$and": conditions}
        return stage
