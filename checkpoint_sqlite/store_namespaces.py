"""Namespaces: found from one to the next through the index by name, in one statement."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_base.sql.requests import rows
from store_vector.namespaces import NamespaceQuery, decode

_SEEK: Final = """
WITH RECURSIVE seek (ns) AS (
    SELECT ({least}{upper} AND i.ns >= ? ORDER BY i.ns LIMIT 1)
    UNION ALL
    SELECT ({least}{upper} AND i.ns >= {after} ORDER BY i.ns LIMIT 1)
    FROM seek WHERE seek.ns IS NOT NULL
    LIMIT ?
)
SELECT ns FROM seek WHERE ns IS NOT NULL
"""
_LEAST: Final = "SELECT i.ns FROM store_items AS i WHERE 1"
_NEXT: Final = "seek.ns || char(1)"
_DEEPEST: Final = 20
"""Labels below the prefix that SQL counts; cut deeper than that, all namespaces are read."""
# LIMIT keeps SQLite from writing an expression out wherever it is used
_CUT: Final = (
    "(SELECT CASE WHEN at > 0 THEN substr(seek.ns, 1, at - 1) || char(2) "  # noqa: S608 (constants)
    f"ELSE {_NEXT} END FROM (SELECT {{at}} AS at LIMIT 1))"
)
_LABEL: Final = (
    "(SELECT CASE WHEN a >= 0 AND b > 0 THEN a + b ELSE -1 END FROM (SELECT a, "
    "instr(substr(seek.ns, a + 1), char(1)) AS b FROM (SELECT {at} AS a LIMIT 1) LIMIT 1))"
)


def seek_namespaces(query: NamespaceQuery, horizon: float | None) -> Plan[list[str]]:
    """The namespaces that `query` may want, in order.

    What lies under one that is cut is passed over. Where all in the range are wanted, no more are
    sought than are given.
    """
    first, end = query.bounds or ("", None)
    labels, enough = 0, -1
    if query.is_one_range:
        enough = query.offset + query.limit
        if query.max_depth is not None:
            labels = query.max_depth - len(decode(first))
            if labels <= 0:
                labels, enough = 0, 1  # all of them are cut to the same
            elif labels > _DEEPEST:
                labels, enough = 0, -1
    shown = [] if horizon is None else [horizon]
    last = [] if end is None else [end]
    begin = [len(first)] if labels else []
    values: list[Any] = [*shown, *last, first, *shown, *last, *begin, enough]
    sql = _statement(labels, len(shown), len(last))
    return [ns for (ns,) in (yield from rows(sql, values))]


@lru_cache(64)
def _statement(labels: int, horizons: int, ends: int) -> str:
    """Passing over what lies under a namespace of so many labels below the prefix; 0: nothing."""
    least = _LEAST + " AND (i.expires_at IS NULL OR i.expires_at > ?)" * horizons
    at = "?"  # where the prefix ends
    for _ in range(labels):
        at = _LABEL.format(at=at)
    after = _CUT.format(at=at) if labels else _NEXT
    return _SEEK.format(least=least, upper=" AND i.ns < ?" * ends, after=after)
