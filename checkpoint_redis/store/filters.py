"""Filters as arguments of scripts. A script only prefilters; `Filter.matches` decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from checkpoint_base.plan import Plan
from checkpoint_redis.connection.requests import Arg
from store_vector.filters.keys import Keys, indexed, keys_for, path_text
from store_vector.filters.operators import Condition, Filter
from store_vector.values import dumps

_AT_ONCE: Final = 1000
"""Items or entries that one script indexes or drops."""


def arguments(wanted: Filter) -> list[Arg]:
    """The arguments of lua/store/filters.lua: those conditions of a filter that keys can test."""
    pieces: list[Arg] = []
    ranges: list[Arg] = []
    for part in wanted.parts:
        keys = keys_for(part) if isinstance(part, Condition) else None
        if keys is None or not isinstance(part, Condition):
            continue
        path = path_text(part.path)
        if len(keys.points) == 1:
            pieces.append(dumps({path: keys.points[0]})[1:-1].encode())
        else:
            ranges += path.encode(), *_bounds(keys)
    return [len(pieces), *pieces, len(ranges), *ranges]


def _bounds(keys: Keys) -> tuple[bytes, bytes]:
    if keys.points:
        return min(keys.points).encode(), max(keys.points).encode()
    return keys.low.encode(), keys.high.encode()


def spans(wanted: Filter, declared: Sequence[str]) -> list[Arg]:
    """The key ranges of conditions on declared fields, as arguments of lua/store/browse.lua."""
    found = indexed(wanted, declared)
    args: list[Arg] = [4 * len(found)]
    for path, keys in found:
        args += path.encode(), *_bounds(keys), int(len(keys.points) == 1)
    return args


def setup_lists(
    ask: Callable[[str, Sequence[Arg], float], Plan[Any]],
    declared: Sequence[str],
    *,
    drop_undeclared: bool,
) -> Plan[None]:
    """Build the missing indexes of declared fields, and drop those of other fields if
    `drop_undeclared`, a thousand items with each script.
    """
    for path in declared:
        while (yield from ask("list", [path.encode(), _AT_ONCE], 0.0)):
            pass
    if drop_undeclared:
        kept = [path.encode() for path in declared]
        while (yield from ask("unlist", [len(kept), *kept, _AT_ONCE], 0.0)):
            pass
