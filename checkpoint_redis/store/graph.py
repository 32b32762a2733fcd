"""Vector search with the server's index: Query Engine, or a vector set of Redis 8.

The index gives candidates; their scores are computed from the vectors. If too few candidates match
filter and namespace, all matching items are ranked: a search never returns fewer items than match.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkpoint_base.plan import Plan
from checkpoint_redis.connection.requests import Arg
from checkpoint_redis.store.filters import arguments
from checkpoint_redis.store.packing import split_name
from checkpoint_redis.store.vector_search import Ask, RedisVectorSearch
from store_vector.config import IndexSettings
from store_vector.embedding.embed import FLOAT32
from store_vector.records import Array, Found, Search

_BUILT_AT_ONCE: Final = 200
_MORE: Final = 4
"""Candidates for each item requested: the index orders them approximately, and an item may have
several vectors."""
_LEAST, _MOST = 50, 2_000
_EF: Final = 200
_METRICS: Final = {"cosine": "COSINE", "l2": "L2", "inner_product": "IP"}


class Graph(RedisVectorSearch):
    """Vector search with the index on the server, or exact search if there is none."""

    def __init__(self, settings: IndexSettings, ask: Ask, cache_bytes: int) -> None:
        super().__init__(settings, ask, cache_bytes)
        self._settings, self._metric = settings, _METRICS[settings.distance]
        self._is_wanted = settings.engine == "auto" and settings.kind != "flat"

    def setup(self, now: float) -> Plan[None]:
        """Build the index, if the server supports one and the store has none."""
        if not self._is_wanted:
            return
        one = self._settings
        args: list[Arg] = [one.dims, self._metric, one.m or 16, one.ef_construction or 200]
        state = yield from self._ask("engage", args, now)
        behind = b""
        while state == b"building":
            behind = yield from self._ask("build", [behind, _BUILT_AT_ONCE], now)
            if not behind:
                break

    def search(self, search: Search, query: Array, now: float) -> Plan[list[Found]]:
        """The items nearest to a query: one script, more if few of the candidates match."""
        if not self._is_wanted:
            return (yield from super().search(search, query, now))
        wanted = max(_MORE * search.end, _LEAST)
        while wanted <= _MOST:
            args = arguments(search.filter)
            ef = max(self._settings.ef_search or _EF, wanted)
            vector = query.astype(FLOAT32).tobytes()
            args += search.ns.encode(), vector, self._metric, wanted, ef
            reply = yield from self._ask("near", args, now)
            if reply is None:
                return (yield from super().search(search, query, now))
            looked_at, there_are, sure, doubtful = reply
            found = self._ranked(search, query, sure + doubtful)
            if looked_at >= there_are or _is_enough(search, found, doubtful):
                return found[search.offset : search.end]
            if looked_at < wanted:  # the HNSW graph is not connected: it gives no more candidates
                break
            # enough candidates, if the same share of them matches
            share = max(len(found), 0.5) / looked_at
            wanted = max(int(1.5 * search.end / share), 2 * wanted)
        return (yield from self._from_server(search, query, now))


def _is_enough(search: Search, found: Sequence[Found], doubtful: Sequence[bytes]) -> bool:
    """Whether the page is complete: it has no item as far away as the farthest candidate. The index
    may have left out others at that distance, which sort by name.
    """
    if len(found) < search.end:
        return False
    names = {split_name(name) for name in doubtful[::3]}
    return not names.intersection(one.record.name for one in found)
