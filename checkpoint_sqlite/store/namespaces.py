"""Lists namespaces in one statement, which skips from one to the next in the index by name."""

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
_BEHIND: Final = f"substr(seek.ns, 1, at - 1) || char(2) ELSE {_NEXT} END"
# After all namespaces that share one label below the prefix. LIMIT keeps SQLite from flattening
# the subqueries, which would copy their expressions to every use.
_BEHIND_ONE: Final = (
    f"(SELECT CASE WHEN b > 0 THEN {_BEHIND} FROM (SELECT a + b AS at, b FROM "  # noqa: S608
    "(SELECT a, instr(substr(seek.ns, a + 1), char(1)) AS b FROM (SELECT ? AS a LIMIT 1) LIMIT 1)))"
)
# The same for several labels: nested like the one above, it would exceed limits of SQLite's parser.
_BEHIND_SOME: Final = f"""(
    WITH RECURSIVE cut (n, at) AS (
        SELECT 0, ?
        UNION ALL
        SELECT n + 1, at + instr(substr(seek.ns, at + 1), char(1))
        FROM cut WHERE n < ? AND instr(substr(seek.ns, at + 1), char(1)) > 0
    )
    SELECT CASE WHEN n = ? THEN {_BEHIND} FROM cut ORDER BY n DESC LIMIT 1
)"""  # noqa: S608 (constants)


def seek_namespaces(query: NamespaceQuery, horizon: float | None) -> Plan[list[str]]:
    """The namespaces that may match `query`, in order.

    If all in the range match, only one namespace is read of those that `max_depth` cuts to the
    same, and no more are read than `offset` and `limit` need.
    """
    first, end = query.bounds or ("", None)
    labels, enough = 0, -1
    if query.is_one_range:
        enough = query.offset + query.limit
        if query.max_depth is not None:
            labels = query.max_depth - len(decode(first))
            if labels <= 0:
                labels, enough = 0, 1  # all are cut to the same namespace
    shown = [] if horizon is None else [horizon]
    last = [] if end is None else [end]
    begin = [len(first)] if labels else []
    count = [labels, labels] if labels > 1 else []
    values: list[Any] = [*shown, *last, first, *shown, *last, *begin, *count, enough]
    sql = _statement(min(labels, 2), len(shown), len(last))
    return [ns for (ns,) in (yield from rows(sql, values))]


@lru_cache(64)
def _statement(labels: int, horizons: int, ends: int) -> str:
    """The statement that skips the namespaces under one that has this many labels below the prefix.

    Args:
        labels: 0: none are skipped; 1; 2: several.
        horizons: 1 if expired items are left out, else 0.
        ends: 1 if the range has an end, else 0.
    """
    least = _LEAST + " AND (i.expires_at IS NULL OR i.expires_at > ?)" * horizons
    after = (_NEXT, _BEHIND_ONE, _BEHIND_SOME)[labels]
    return _SEEK.format(least=least, upper=" AND i.ns < ?" * ends, after=after)
