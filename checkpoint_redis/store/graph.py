"""Search by meaning in the Query Engine, or in a vector set of Redis 8: near ones from the index,
scores from the vectors.

Where a filter or a namespace leaves too few of those that are near, all that passes is ranked: what
is found is never less than there is.
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
"""So many times as many vectors as are wanted are looked at: their scores are exact, not their
order in the index, and an item may have several."""
_LEAST, _MOST = 50, 2_000
_EF: Final = 200
_METRICS: Final = {"cosine": "COSINE", "l2": "L2", "inner_product": "IP"}


class Graph(RedisVectorSearch):
    """Searches over a store's index on the server; exact ones where there is none."""

    def __init__(self, settings: IndexSettings, ask: Ask, cache_bytes: int) -> None:
        super().__init__(settings, ask, cache_bytes)
        self._settings, self._metric = settings, _METRICS[settings.distance]
        self._is_wanted = settings.engine == "auto" and settings.kind != "flat"

    def setup(self, now: float) -> Plan[None]:
        """Build the index, if the server can keep one and the store has none."""
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
        """What a search gives: one script, more where few of the near ones match."""
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
            if looked_at < wanted:  # parts of the graph cannot be reached
                break
            # as many as it takes, if the share of those that match stays what it is
            share = max(len(found), 0.5) / looked_at
            wanted = max(int(1.5 * search.end / share), 2 * wanted)
        return (yield from self._from_server(search, query, now))


def _is_enough(search: Search, found: Sequence[Found], doubtful: Sequence[bytes]) -> bool:
    """Whether all of the page is nearer than what the index left out: of equal ones it gives any,
    and their order is by name.
    """
    if len(found) < search.end:
        return False
    names = {split_name(name) for name in doubtful[::3]}
    return not names.intersection(one.record.name for one in found)
